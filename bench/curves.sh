#!/usr/bin/env bash
# How Holdfast scales: rate, latency and memory against devices, payload, workers, threads of the
# lb and sessions. Writes CURVES.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/servers.sh
source bench/servers.sh

usage() {
    cat <<'END'
usage: bench/curves.sh [--full] [--only CURVE] [--sessions N,N...] [--stores NAME,NAME]
           [--duration S] [--backend NAME] [--output DIR]
  --full          up to 100,000 devices and 1,000,000 sessions, some ten minutes; without it a
                  short way of each curve
  --only CURVE    devices, payload, workers, threads or sessions
  --sessions N,N  sessions of that curve
  --stores NAMES  stores of that curve (lmdb,redis)
  --duration S    seconds of each run (3)
  --backend NAME  Holdfast's I/O backend, uring or mmsg (mmsg)
  --output DIR    where CURVES.md goes (bench)

BUILD  folder of a release build (build/release)
END
}

full='' only='' session_list='' stores=lmdb,redis duration=3 output=bench backend=mmsg
command_line="bench/curves.sh${*:+ $*}"
command_line=${command_line% --output *}
started_at="$(date -u +%F), commit $(commit)"
load_before=$(cut -d " " -f 1 /proc/loadavg)
while (($#)); do
    case $1 in
        --full) full=1 ;;
        --sessions)
            session_list=${2:?}
            shift
            ;;
        --only | --stores | --duration | --backend | --output)
            declare "${1#--}=${2:?}"
            shift
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            printf 'curves.sh: unknown option %s; see --help\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

if [[ $full ]]; then
    devices=(100 1000 10000 100000)
    payloads=(0 32 128 512 1024)
    sessions=(1000 10000 100000 1000000)
else
    devices=(100 1000)
    payloads=(0 1024)
    sessions=(1000 10000)
fi

[[ -z $session_list ]] || IFS=, read -ra sessions <<<"$session_list"

# Above these many devices they share source ports: there are not enough for one each.
own_ports_max=20000
sharing() { # devices
    (($1 <= own_ports_max)) || printf -- '--sockets=64'
}

# One run as fast as it goes, and one at half of that rate, for the latency.
row() { # label devices payload
    local rate result shared
    shared=$(sharing "$2")
    server_start "holdfast-$backend" lmdb
    bench "${load[@]}" --devices "$2" --payload "$3" --duration "$duration" --start-timeout 300 \
        ${shared:+"$shared"} >"$work/max.json"
    server_stop
    rate=$(jq '.rate / 2 | floor' "$work/max.json")
    server_start "holdfast-$backend" lmdb
    bench "${load[@]}" --devices "$2" --payload "$3" --duration "$duration" --start-timeout 300 \
        --rate "$rate" ${shared:+"$shared"} >"$work/half.json"
    server_stop
    result=$(jq -rs '"\(.[0].rate | floor) | \(.[0].server_cpu_ms) | \(.[1].p50_ms) | " +
        "\(.[1].p99_ms) | \(.[0].lost + .[1].lost)"' "$work/max.json" "$work/half.json")
    echo "| $1 | $result |"
    echo "curves.sh: $1: $result" >&2
}

head_of() { # what
    echo "| $1 | requests/s | server CPU, ms for 1,000 | p50 at half of that, ms | p99, ms | lost |"
    echo '|---|---|---|---|---|---|'
}

# Octets that the store takes: of LMDB the pages in use, which are what the file has grown to.
store_octets() { # engine
    case $1 in
        lmdb) du --block-size=1 --apparent-size -c "$work"/store/*.mdb | awk 'END { print $1 }' ;;
        redis)
            redis-cli -p "$redis_port" info memory | tr -d '\r' |
                awk -F: '$1 == "used_memory" { print $2 }'
            ;;
    esac
}

# Real sessions, each by a whole handshake; then none of them says anything.
session_row() { # sessions engine
    local before after result
    server_start "holdfast-$backend" "$2"
    before=$(store_octets "$2")
    bench --workload get --devices "$1" --duration 1 --rate 1 --sockets 16 --start-timeout 590 \
        --server-pid "${pids[0]}" --ack-timeout 10000 >"$work/sessions.json"
    after=$(store_octets "$2")
    server_stop
    result=$(jq -r --argjson store $((after - before)) '"\(.server_memory | round) | " +
        "\($store / .devices | round) | \(.handshake_rate | round) | \(.handshake_p99_ms)"' \
        "$work/sessions.json")
    echo "| $1 | $2 | $result |"
    echo "curves.sh: $1 sessions, $2: $result" >&2
}

is_wanted() { # curve
    [[ -z $only || $only == "$1" ]]
}

curve_devices() {
    local n
    echo '## Devices'
    echo
    echo "Echo of 32 octets; above $own_ports_max devices they share 64 source ports."
    echo
    head_of devices
    for n in "${devices[@]}"; do row "$n" "$n" 32; done
}

curve_payload() {
    local n
    echo '## Payload'
    echo
    echo 'Octets echoed, 1,000 devices.'
    echo
    head_of octets
    for n in "${payloads[@]}"; do row "$n" 1000 "$n"; done
}

curve_workers() {
    echo '## Workers'
    echo
    echo 'Each is a process with one thread; 1,000 devices, 32 octets.'
    echo
    head_of workers
    for workers in 1 2; do row "$workers" 1000 32; done
    workers=1
}

curve_threads() {
    echo '## Threads of the lb'
    echo
    echo 'One worker, 1,000 devices, 32 octets.'
    echo
    head_of threads
    for lb_threads in 1 2; do row "$lb_threads" 1000 32; done
    lb_threads=1
}

curve_sessions() {
    local n engine
    echo '## Sessions'
    echo
    echo 'Idle sessions in one worker, each made by a whole handshake, cookie included. Resident'
    echo 'memory is what the worker has more than without any, its handshake objects gone.'
    echo
    echo '| sessions | store | resident octets each | stored octets each | handshakes/s | their p99, ms |'
    echo '|---|---|---|---|---|---|'
    for engine in ${stores//,/ }; do
        for n in "${sessions[@]}"; do session_row "$n" "$engine"; done
    done
}

{
    echo '# Scale curves'
    echo
    echo "Written by \`$command_line\`."
    echo
    echo "- $started_at"
    echo "- $(machine); load average before the run: $load_before"
    echo "- One lb and one worker unless it says otherwise, backend \`$backend\`, store \`lmdb:\`; PSK,"
    echo "  TLS_PSK_WITH_AES_128_CCM_8, Connection IDs. The client has one of the processors to itself."
    for curve in devices payload workers threads sessions; do
        ! is_wanted "$curve" || {
            echo
            "curve_$curve"
        }
    done
} >"$work/CURVES.md"
cp "$work/CURVES.md" "$output"
echo "curves.sh: $output/CURVES.md written" >&2
