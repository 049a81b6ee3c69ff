# A cluster for the system tests: a store, workers and two lbs, each process on its own; sourced in
# place of lib.sh. All processes are ours: they are stopped by pid.
# shellcheck shell=bash source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A worker_pid worker_http worker_before lb_pid lb_port lb_http
store_url=
redis_pid=
redis_port=

# ---- the store ----------------------------------------------------------------------------------

redis() { # command...
    redis-cli -h 127.0.0.1 -p "$redis_port" "$@"
}

redis_answers() {
    [[ $(redis ping 2>/dev/null) == PONG ]]
}

redis_binds=(127.0.0.1)

# On the port it had before, if there was one, with what it had written to its file.
redis_start() {
    local tries
    for tries in 1 2 3 4 5; do
        [[ -n $redis_port ]] || redis_port=$((20000 + RANDOM % 12000))
        redis-server --port "$redis_port" --bind "${redis_binds[@]}" --protected-mode no \
            --save '' --appendonly yes --appendfsync always --dir "$TMPDIR" --loglevel notice >>"$TMPDIR/redis.log" 2>&1 &
        redis_pid=$!
        own_pids+=("$redis_pid")
        # Another one may have the port: it answers, and ours has ended.
        await 'redis-server answers or ends' 10 redis_is_up_or_gone
        is_running "$redis_pid" && return
        forget_pid "$redis_pid"
        ((tries < 5)) && redis_port=
    done
    fail 'no port for redis-server'
}

redis_is_up_or_gone() {
    has_ended "$redis_pid" || redis_answers
}

redis_kill() {
    process_kill "$redis_pid"
}

store_start() { # redis | lmdb
    case $1 in
        redis)
            redis_port=
            redis_start
            store_url=redis://127.0.0.1:$redis_port
            ;;
        lmdb)
            store_url=lmdb:$TMPDIR/store
            ;;
    esac
}

store_stop() {
    case $store_url in
        redis:*)
            redis_kill
            rm -rf "$TMPDIR/appendonlydir"
            ;;
        lmdb:*) rm -rf "$TMPDIR/store" ;;
    esac
}

# The log, as octets in which payloads can be found.
event_log() {
    case $store_url in
        redis:*)
            redis --scan --pattern '*:log' | sed 's/.*/XRANGE & - +/' | redis --raw
            ;;
        lmdb:*) "$bin/tests/event_log" "$TMPDIR/store" ;;
    esac
}

# ---- processes ----------------------------------------------------------------------------------

# Without a chance to do anything about it; its children are not to be told either.
process_kill() { # pid
    kill -KILL "$1"
    wait "$1" 2>/dev/null || true
    forget_pid "$1"
}

process_stop() { # what pid
    local status=0
    kill -TERM "$2"
    await "$1 ends" 10 has_ended "$2"
    wait "$2" || status=$?
    forget_pid "$2"
    expect_eq "exit status of $1" "$status" 0
}

serving_line() { # log pid
    has_ended "$2" || grep -q ' serving ' "$1"
}

answers_yes() { # url
    curl -sf -m 2 -o "$TMPDIR/ready" "$1"
}

worker_exec=()           # as node_exec
worker_address=127.0.0.1 # where it is reached
worker_link=             # where it binds; empty: there

worker_start() { # id
    local log=$TMPDIR/worker-$1.log
    : >"$log"
    "${worker_exec[@]}" "$bin/holdfast-worker" --id "$1" \
        --link "${worker_link:-$worker_address}:0" --advertise "$worker_address:0" \
        --http "$worker_address:0" --store "$store_url" --cluster-key-file "$TMPDIR/cluster.key" \
        --psk "$identity:$key" --psk "$identity_b:$key_b" 2>"$log" </dev/null &
    worker_pid[$1]=$!
    own_pids+=("$!")
    await "worker $1 serves" 15 serving_line "$log" "${worker_pid[$1]}"
    is_running "${worker_pid[$1]}" || fail "worker $1 ended at start"
    worker_http[$1]=$(word_of "$(grep -m 1 ' serving ' "$log")" http)
    worker_before[$1]=0
    await "worker $1 is ready" 15 answers_yes "http://${worker_http[$1]}/readyz"
}

worker_forget() { # id
    unset "worker_pid[$1]" "worker_http[$1]" "worker_before[$1]"
}

worker_kill() { # id
    process_kill "${worker_pid[$1]}"
    worker_forget "$1"
}

worker_stop() { # id
    process_stop "worker $1" "${worker_pid[$1]}"
    worker_forget "$1"
}

lb_launch() { # number
    : >"$TMPDIR/lb-$1.log"
    "$bin/holdfast-lb" --coaps "[::]:${lb_port[$1]:-0}" --coap '[::]:0' --http 127.0.0.1:0 \
        --store "$store_url" --cluster-key-file "$TMPDIR/cluster.key" --handshake-rate 0 \
        2>"$TMPDIR/lb-$1.log" </dev/null &
    lb_pid[$1]=$!
    own_pids+=("$!")
    await "lb $1 serves or ends" 10 serving_line "$TMPDIR/lb-$1.log" "${lb_pid[$1]}"
    is_running "${lb_pid[$1]}" && return
    forget_pid "${lb_pid[$1]}"
    return 1
}

# On the port it had before, if there was one: as whoever looks after it does, again and again, since
# the kernel takes its time to close the sockets of an io_uring whose process was killed.
lb_start() { # number
    local line
    await "lb $1 has its port" 10 lb_launch "$1"
    line=$(grep -m 1 ' serving ' "$TMPDIR/lb-$1.log")
    lb_port[$1]=$(word_of "$line" coaps)
    lb_port[$1]=${lb_port[$1]##*:}
    lb_http[$1]=$(word_of "$line" http)
    await "lb $1 is ready" 10 answers_yes "http://${lb_http[$1]}/readyz"
}

lb_sees() { # number workers
    [[ $(http=${lb_http[$1]} metric holdfast_lb_workers_alive) == "$2" ]]
}

lbs_see() { # workers
    local number
    for number in "${!lb_pid[@]}"; do
        await "lb $number sees $1 workers" 10 lb_sees "$number" "$1"
    done
}

cluster_start() { # workers
    local id
    openssl rand -hex 32 >"$TMPDIR/cluster.key"
    for ((id = 1; id <= $1; id++)); do
        worker_start "$id"
    done
    lb_port=()
    lb_start 1
    lb_start 2
    lbs_see "$1"
}

cluster_stop() {
    local each
    for each in "${!lb_pid[@]}"; do
        process_stop "lb $each" "${lb_pid[$each]}"
        unset "lb_pid[$each]" "lb_http[$each]"
    done
    for each in "${!worker_pid[@]}"; do
        worker_stop "$each"
    done
    store_stop
}

# ---- what it counts -----------------------------------------------------------------------------

worker_metric() { # id name-with-labels
    http=${worker_http[$1]} metric "$2"
}

workers_metric() { # name-with-labels: the sum over all that live
    local id value sum=0
    for id in "${!worker_pid[@]}"; do
        value=$(worker_metric "$id" "$1")
        sum=$((sum + value))
    done
    echo "$sum"
}

# From here on no handshake is wanted: neither at a worker of now nor at one that comes later.
handshakes_note() {
    local id
    for id in "${!worker_pid[@]}"; do
        worker_before[$id]=$(worker_metric "$id" 'holdfast_handshakes_total{result="ok"}')
    done
}

expect_no_handshakes() {
    local id
    for id in "${!worker_pid[@]}"; do
        expect_eq "handshakes of worker $id" \
            $(($(worker_metric "$id" 'holdfast_handshakes_total{result="ok"}') - \
            worker_before[$id])) 0
    done
}

# ---- devices ------------------------------------------------------------------------------------

fleet_start() { # name cid lb options...
    local name=$1 cid=$2 lb=$3
    shift 3
    program_start "$name" "$bin/tests/fleet" --server "127.0.0.1:${lb_port[$lb]}" \
        --psk "$identity:$key" --cid "$cid" --name "$name" \
        --acknowledged "$TMPDIR/$name.acknowledged" "$@"
    hear "$name" 60 || fail "$name has no sessions"
    fleet_place "$name"
}

# True when each device concerned by the mark has been served since.
fleet_is_served() { # name
    must "$1" tell
    [[ $(field unserved) == 0 ]]
}

# True when each device has been told which worker serves it.
fleet_is_placed() { # name
    must "$1" tell
    [[ $(field unplaced) == 0 ]]
}

fleet_place() { # name
    must "$1" forget
    await "$1: each device knows its worker" 20 fleet_is_placed "$1"
}

fleet_await() { # name
    await "$1: each session is served again" 20 fleet_is_served "$1"
}

fleet_print() { # name what, of the report in $answer
    jq -r --arg name "$1" --arg what "$2" '"  \($name) \($what): \(.replies) replies, " +
        "\(.repeated) repeated, \(.unavailable) x 5.03; request p50 \(.reply_ms.p50) ms, " +
        "p99 \(.reply_ms.p99) ms, max \(.reply_ms.max) ms; \(.recovery_ms.count) served again " +
        "after p50 \(.recovery_ms.p50) ms, p99 \(.recovery_ms.p99) ms, max \(.recovery_ms.max) ms"
        ' <<<"$answer"
}

# Nothing is left unanswered, nobody has lost its session, no answer was an error.
fleet_rest() { # name what
    must "$1" rest
    fleet_print "$1" "$2"
    expect_eq "$1: sessions lost" "$(field dead)" 0
    expect_eq "$1: unanswered" "$(field waiting)" 0
    expect_eq "$1: not served again" "$(field unserved)" 0
    expect_eq "$1: refused ($(field last_refusal))" "$(field refused)" 0
}

# Each event that a device saw acknowledged is in the log; one that was not may be there.
expect_in_log() { # name
    local wanted=$TMPDIR/$1.wanted found=$TMPDIR/$1.found
    LC_ALL=C sort "$TMPDIR/$1.acknowledged" >"$wanted"
    event_log | LC_ALL=C grep -aoE "$1-[0-9]+-[0-9]+\." | LC_ALL=C sort >"$found"
    expect_at_least "$1: events acknowledged" "$(wc -l <"$wanted")" 1
    expect_eq "$1: acknowledged and not in the log" \
        "$(LC_ALL=C comm -23 "$wanted" "$found" | wc -l)" 0
}

# And once, which holds as long as no 5.03 is lost on its way (worker/event.h).
expect_log() { # name
    expect_in_log "$1"
    expect_eq "$1: more than once in the log" "$(uniq -d "$TMPDIR/$1.found" | wc -l)" 0
}
