# Servers under measurement, for compare.sh and curves.sh; sourced by them. All processes are ours:
# they are stopped by pid.
# shellcheck shell=bash

build=${BUILD:-build/release}
bin=$(realpath -m "$build/bin")
peers=$(deploy/deps.sh --prefix)/peers
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-bench.XXXXXX")
identity=device-1
key_text=0123456789abcdef # libcoap takes the key as text
key_hex=30313233343536373839616263646566

pids=()   # of the server at hand
target=   # its URI
# shellcheck disable=SC2034  # for those who source this
load=() # options of holdfast-bench that make the same load there
finish() {
    server_stop
    rm -rf "$work"
}
trap finish EXIT

for name in holdfast-bench holdfast-lb holdfast-worker holdfast-udp-echo; do
    [[ -x $bin/$name ]] || {
        echo "$bin/$name is missing; run cmake --build --preset release" >&2
        exit 2
    }
done
for name in jq curl redis-server; do
    command -v "$name" >/dev/null || {
        echo "$name is missing; run deploy/deps.sh --tests" >&2
        exit 2
    }
done

head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$work/key"

# UDP ports that nobody has: $1 and the one after it.
free_port() {
    local port hex next
    while :; do
        port=$((15000 + RANDOM % 8000 * 2))
        printf -v hex ':%04X ' "$port"
        printf -v next ':%04X ' $((port + 1))
        grep -qE "$hex|$next" /proc/net/udp /proc/net/udp6 /proc/net/tcp || break
    done
    echo "$port"
}

run() { # command...: in the background, one of the server's processes
    "$@" >>"$work/server.log" 2>&1 &
    pids+=($!)
}

wait_for() { # what command...
    local what=$1 i
    shift
    for ((i = 0; i < 200; i++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "$what did not come up; the end of its log:" >&2
    tail -n 20 "$work/server.log" >&2
    exit 1
}

is_bound() { # port
    grep -q "$(printf ':%04X ' "$1")" /proc/net/udp
}

is_ready() { # port: of HTTP
    curl -sf "127.0.0.1:$1/readyz"
}

has_workers() { # port count
    [[ $(curl -s "127.0.0.1:$1/metrics" | awk '$1 == "holdfast_lb_workers_alive" { print $2 }') == "$2" ]]
}

# One lb and `workers` workers. Their HTTP ports are in $lb_http and ${worker_http[@]}.
workers=1
lb_threads=1
lb_options=(--handshake-rate 0)
start_holdfast() { # backend store
    local port link id url
    worker_http=()
    port=$(free_port)
    lb_http=$(free_port)
    case $2 in
        lmdb)
            mkdir -p "$work/store"
            url=lmdb:$work/store
            ;;
        redis)
            redis_port=$(free_port)
            "$(command -v redis-server)" --port "$redis_port" --bind 127.0.0.1 --save '' \
                --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
            redis_pid=$!
            wait_for redis-server redis-cli -p "$redis_port" ping
            url=redis://127.0.0.1:$redis_port
            ;;
        *) url=$2 ;;
    esac
    local lb_store=(--store "$url")
    [[ $url != memory: ]] || lb_store=()
    for ((id = 1; id <= workers; id++)); do
        link=$(free_port)
        worker_http+=("$(free_port)")
        run "$bin/holdfast-worker" --id "$id" --link "127.0.0.1:$link" --io "$1" --log warn \
            --cluster-key-file "$work/key" --psk "$identity:$key_hex" --store "$url" \
            --http "127.0.0.1:${worker_http[-1]}"
        [[ $url != memory: ]] || lb_store+=(--worker "$id=127.0.0.1:$link")
        wait_for holdfast-worker is_ready "${worker_http[-1]}"
    done
    run "$bin/holdfast-lb" --coaps "127.0.0.1:$port" --coap "127.0.0.1:$((port + 1))" --io "$1" \
        --log warn --cluster-key-file "$work/key" --threads "$lb_threads" "${lb_options[@]}" \
        "${lb_store[@]}" --http "127.0.0.1:$lb_http"
    wait_for holdfast-lb has_workers "$lb_http" "$workers"
    target=coaps://127.0.0.1:$port
    load=(--workload echo --payload 32)
}

server_start() { # name store
    local port
    case $1 in
        udp)
            port=$(free_port)
            run "$bin/holdfast-udp-echo" "127.0.0.1:$port"
            wait_for "$1" is_bound "$port"
            target=coap://127.0.0.1:$port
            load=(--workload datagram --payload 82)
            ;;
        holdfast-*) start_holdfast "${1#holdfast-}" "$2" ;;
        libcoap-*)
            port=$(free_port)
            run "$peers/${1#libcoap-}/coap-server" -A 127.0.0.1 -p "$port" -e -k "$key_text" -v 3
            wait_for "$1" is_bound $((port + 1))
            target=coaps://127.0.0.1:$((port + 1))
            load=(--workload echo --payload 32 --put --path example_data)
            ;;
    esac
}

redis_pid=
server_stop() {
    local pid
    for pid in "${pids[@]}" $redis_pid; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}" $redis_pid; do
        wait "$pid" 2>/dev/null || true
    done
    pids=()
    redis_pid=
    rm -rf "$work/store"
}

# holdfast-bench against the server at hand, JSON on stdout; fails if it was no proper run. All of
# the server's processes are measured, unless --server-pid says which.
bench_seconds=600 # at most
bench() { # options...
    local psk=(--psk "$identity:$key_hex") status=0
    [[ $target != coap:* ]] || psk=()
    [[ " $* " == *' --server-pid '* ]] || set -- "${pids[@]/#/--server-pid=}" "$@"
    timeout "$bench_seconds" "$bin/holdfast-bench" --target "$target" "${psk[@]}" --json \
        --handshakes-in-flight 64 "$@" 2>"$work/bench.log" || status=$?
    ((status == 0)) || {
        tail -n 3 "$work/bench.log" >&2
        return "$status"
    }
}

commit() {
    printf '%s' "$(git rev-parse --short HEAD)"
    git diff --quiet HEAD -- . ':!bench/*.md' ':!bench/*.svg' || printf ' with changes'
}

machine() {
    printf '%s, %s processors, %s GB, Linux %s, %s' \
        "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
        "$(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" \
        "$(uname -r | sed 's/-.*//')" "$(uname -m)"
}
