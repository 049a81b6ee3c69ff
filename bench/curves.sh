#!/usr/bin/env bash
# How Holdfast scales: rate, latency and memory against devices, payload, workers, threads of the
# lb and sessions. Writes CURVES.md and curves.svg.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/servers.sh
source bench/servers.sh

usage() {
    cat <<'END'
usage: bench/curves.sh [--full] [--only CURVE] [--sessions N,N...] [--stores NAME,NAME]
           [--rounds N] [--duration S] [--limit S] [--backend NAME] [--output DIR]
  --full          up to 100,000 devices and 1,000,000 sessions, some ten minutes; without it a
                  short way of each curve
  --only CURVE    devices, payload, workers, threads or sessions
  --sessions N,N  sessions of that curve
  --stores NAMES  stores of that curve (lmdb,redis)
  --rounds N      whose medians are written, of all curves but that (--full: 3, else 1)
  --duration S    seconds of each run (2)
  --limit S       no row begins later than that; what is left out is said (840)
  --backend NAME  Holdfast's I/O backend, uring or mmsg (mmsg)
  --output DIR    where CURVES.md and curves.svg go (bench with --full and without --only; else
                  CURVES.md is printed)

BUILD  folder of a release build (build/release)
END
}

full='' only='' session_list='' stores=lmdb,redis rounds='' duration=2 limit=840 output=''
backend=mmsg
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
        --only | --stores | --rounds | --duration | --limit | --backend | --output)
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

curves=(devices payload workers threads sessions)
[[ -z $only || " ${curves[*]} " == *" $only "* ]] || {
    printf 'curves.sh: --only: %s is none; want one of: %s\n' "$only" "${curves[*]}" >&2
    exit 2
}
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
rounds=${rounds:-${full:+3}}
rounds=${rounds:-1}
[[ $output || ! $full || $only ]] || output=bench

# --- rows ---

missing=0 # rows that could not be measured
chart=$work/chart

miss() { # label empty-columns why
    local column
    printf '| %s | %s |' "$1" "$3"
    for ((column = 0; column < $2; column++)); do printf ' |'; done
    echo
    echo "curves.sh: $1: $3" >&2
    missing=$((missing + 1))
}

panel() { # title decimals name
    printf 'panel\t%s\t%s\n' "$1" "$2" >>"$chart.$3"
}

bar() { # name-of-panel label value [least most]
    printf 'bar\t%s\t#2a6f97\t%s\t%s\t%s\n' "$2" "$3" "${4:-$3}" "${5:-$3}" >>"$chart.$1"
}

grouped() { # number
    sed -E ':a; s/([0-9])([0-9]{3})($|,)/\1,\2\3/; ta' <<<"$1"
}

# Devices have a port each as long as one address has so many, an address each beyond that, and
# share ports where this process may not have so many descriptors.
own_ports_max=20000
descriptors=$(ulimit -Hn)
addresses_of() { # devices
    if [[ $descriptors != unlimited ]] && (($1 + 100 > descriptors)); then
        echo --sockets=64
    elif (($1 > own_ports_max)); then
        echo --spread
    fi
}

# More at a time would overflow queues, and measure how long devices wait to repeat themselves.
at_once=1000

# One run as fast as it goes, and one at half of that rate, for the latency; each with a server of
# its own. A line of JSON of both.
measure() { # devices payload
    local rate options=(--devices "$1" --payload "$2" --duration "$duration" --start-timeout 60)
    local addresses
    addresses=$(addresses_of "$1")
    [[ -z $addresses ]] || options+=("$addresses")
    bench_seconds=$((duration + 100))
    server_start "holdfast-$backend" lmdb
    bench "${load[@]}" "${options[@]}" --at-once "$at_once" >"$work/max.json" || return
    server_stop
    rate=$(jq '.rate / 2 | floor' "$work/max.json")
    server_start "holdfast-$backend" lmdb
    bench "${load[@]}" "${options[@]}" --rate "$rate" >"$work/half.json" || return
    server_stop
    jq -cs '{addresses: .[0].addresses, rate: .[0].rate, cpu: .[0].server_cpu_ms,
        p50: .[1].p50_ms, p99: .[1].p99_ms, lost: (.[0].lost + .[1].lost)}' \
        "$work/max.json" "$work/half.json" >>"$work/rounds.json"
}

row() { # label devices payload
    local round medians
    rm -f "$work/rounds.json"
    for ((round = 1; round <= rounds; round++)); do
        ((SECONDS < limit)) || break
        measure "$2" "$3" || server_stop
    done
    if [[ ! -s $work/rounds.json ]]; then
        miss "$(grouped "$1")" 5 "$( ((SECONDS < limit)) && echo 'has failed' || echo 'no time left')"
        return
    fi
    # Median, least and greatest of each.
    medians=$(jq -cs 'def spread: sort | [.[length / 2 | floor], .[0], .[-1]];
        {addresses: .[0].addresses, lost: (map(.lost) | add)} +
        (. as $all | ["rate", "cpu", "p50", "p99"] |
            map({key: ., value: (. as $f | $all | map(.[$f]) | spread)}) | from_entries)' \
        "$work/rounds.json")
    jq -r --arg name "$(grouped "$1")" '
        def k: round | tostring | [while(length > 0; .[:-3])] | map(.[-3:]) | reverse | join(",");
        def f: . * 100 | round / 100 | tostring;
        def range(g): "\(.[0] | g)" + if .[1] == .[2] then "" else
            " (\(.[1] | g) to \(.[2] | g))" end;
        "| \($name) | \(.addresses | k) | \(.rate | range(k)) | \(.cpu[0] | f) " +
        "| \(.p50[0] | f) | \(.p99 | range(f)) | \(.lost) |"' <<<"$medians"
    # shellcheck disable=SC2046  # three numbers
    bar rate "$(grouped "$1")" $(jq -r '.rate | join(" ")' <<<"$medians")
    # shellcheck disable=SC2046
    bar p99 "$(grouped "$1")" $(jq -r '.p99 | join(" ")' <<<"$medians")
    echo "curves.sh: $1: $(jq -c . <<<"$medians")" >&2
}

head_of() { # what title
    echo "| $1 | addresses | requests/s | server CPU, ms for 1,000 | p50 at half of that, ms | p99, ms | lost |"
    echo '|---|---|---|---|---|---|---|'
    panel "Requests per second against $2" 0 rate
    panel "p99 at half of that rate, ms, against $2" 2 p99
}

# The panels of the curve at hand, one after the other.
draw() { # panels...
    local name
    for name; do
        cat "$chart.$name" >>"$chart"
        rm "$chart.$name"
    done
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

# Real sessions, each by a whole handshake from an address of its own; then they sleep.
session_row() { # sessions engine
    local before after label
    label="$(grouped "$1") | $2"
    ((SECONDS < limit)) || {
        miss "$label" 6 'no time left'
        return
    }
    bench_seconds=340
    server_start "holdfast-$backend" "$2"
    before=$(store_octets "$2")
    bench --workload get --devices "$1" --duration 1 --rate 1 --asleep --start-timeout 280 \
        --server-pid "${pids[0]}" --ack-timeout 10000 >"$work/sessions.json" || {
        server_stop
        miss "$label" 6 'not in 280 s'
        return
    }
    after=$(store_octets "$2")
    server_stop
    jq -r --arg name "$label" --arg addresses "$(grouped "$(jq .addresses "$work/sessions.json")")" \
        --argjson store $((after - before)) 'def m: . / 1e5 | round / 10;
        "| \($name) | \($addresses) | \(.server_memory | round) | " +
        "\(.server_memory * .devices | m) | \($store / .devices | round) | " +
        "\($store | m) | \(.handshake_rate | round) | \(.handshake_p99_ms) |"' \
        "$work/sessions.json"
    bar resident "$(grouped "$1"), $2" "$(jq '.server_memory * .devices / 1e6' "$work/sessions.json")"
    bar each "$(grouped "$1"), $2" "$(jq .server_memory "$work/sessions.json")"
    bar stored "$(grouped "$1"), $2" $(((after - before) / $1))
    echo "curves.sh: $1 sessions, $2: $(jq -c '{addresses, server_memory, handshake_rate}' \
        "$work/sessions.json"), store $((after - before))" >&2
}

# --- curves ---

curve_devices() {
    local n
    echo '## Devices'
    echo
    echo "Echo of 32 octets, as fast as it goes with $at_once requests outstanding, of devices in turn."
    echo 'Addresses: source addresses with their ports; where there are fewer than devices, those share'
    echo 'them (this process may not have more descriptors), which saves the client calls of the system.'
    echo
    head_of devices devices
    for n in "${devices[@]}"; do row "$n" "$n" 32; done
    draw rate p99
}

curve_payload() {
    local n
    echo '## Payload'
    echo
    echo 'Octets echoed, 1,000 devices.'
    echo
    head_of octets 'octets of payload'
    for n in "${payloads[@]}"; do row "$n" 1000 "$n"; done
    draw rate p99
}

curve_workers() {
    echo '## Workers'
    echo
    echo "Each is a process with one thread; 1,000 devices, 32 octets; $(nproc) processors for all."
    echo
    head_of workers workers
    for workers in 1 2; do row "$workers" 1000 32; done
    workers=1
    draw rate p99
}

curve_threads() {
    echo '## Threads of the lb'
    echo
    echo "One worker, 1,000 devices, 32 octets; $(nproc) processors for all."
    echo
    head_of threads 'threads of the lb'
    for lb_threads in 1 2; do row "$lb_threads" 1000 32; done
    lb_threads=1
    draw rate p99
}

curve_sessions() {
    local n engine
    echo '## Sessions'
    echo
    echo 'Idle sessions in one worker, each made by a whole handshake, cookie included, and by one'
    echo 'ping, from an address and port of its own. Resident memory is what the worker has more than'
    echo 'without any: with few sessions mostly what it has but once, such as room for handshakes; on'
    echo 'LMDB the pages of its mapped file are in it. One run for each row.'
    echo
    echo '| sessions | store | addresses | resident octets each | resident, MB | stored octets each | stored, MB | handshakes/s | their p99, ms |'
    echo '|---|---|---|---|---|---|---|---|---|'
    panel 'Resident memory of the worker, MB, against sessions' 1 resident
    panel 'Resident memory of the worker, octets a session' 0 each
    panel 'Store, octets a session' 0 stored
    for engine in ${stores//,/ }; do
        for n in "${sessions[@]}"; do session_row "$n" "$engine"; done
    done
    draw resident each stored
}

: >"$chart"
{
    echo '# Scale curves'
    echo
    echo "Written by \`$command_line\`."
    echo
    echo "- $started_at"
    echo "- $(machine); load average before the run: $load_before"
    echo "- One lb and one worker unless it says otherwise, backend \`$backend\`, store \`lmdb:\` unless"
    echo '  it says otherwise; PSK, TLS_PSK_WITH_AES_128_CCM_8, Connection IDs. Client and server share'
    echo "  the machine's processors; the client uses one."
    echo "- Runs of $duration s, a fresh server for each; medians of $rounds rounds (least to greatest)."
    echo
    echo '![requests per second, latency, memory](curves.svg)'
    for curve in "${curves[@]}"; do
        [[ -z $only || $only == "$curve" ]] || continue
        echo
        "curve_$curve"
    done
} >"$work/CURVES.md"
awk -f bench/chart.awk "$chart" >"$work/curves.svg"
if [[ $output ]]; then
    cp "$work/CURVES.md" "$work/curves.svg" "$output"
    echo "curves.sh: $output/CURVES.md and $output/curves.svg written in $SECONDS s" >&2
else
    cat "$work/CURVES.md"
fi
((missing == 0)) || {
    echo "curves.sh: $missing rows are missing" >&2
    exit 1
}
