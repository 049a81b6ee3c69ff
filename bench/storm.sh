#!/usr/bin/env bash
# All devices of a fleet lose their sessions at once and handshake, while others go on: how long the
# handshakes take, and what the others notice. As root: in a network namespace of its own, which has
# a port for each device.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'END'
usage: bench/storm.sh [--devices N] [--others N] [--rate N] [--backend NAME] [--expect]
  --devices N     that handshake at once (50000)
  --others N      that have sessions and keep them (500)
  --rate N        requests a second of the others (2000)
  --backend NAME  Holdfast's I/O backend, uring or mmsg (mmsg)
  --expect        exit with 1 if the others' p99 exceeds 100 ms, or anything is lost

BUILD  folder of a release build (build/release)
END
}

devices=50000 others=500 rate=2000 backend=mmsg expect=
arguments=("$@")
while (($#)); do
    case $1 in
        --devices | --others | --rate | --backend)
            declare "${1#--}=${2:?}"
            shift
            ;;
        --expect) expect=1 ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            printf 'storm.sh: unknown option %s; see --help\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

if [[ -z ${STORM_INSIDE:-} ]]; then
    ((EUID == 0)) || {
        echo 'storm.sh: want root, for a network namespace' >&2
        exit 2
    }
    STORM_INSIDE=1 exec unshare --net "$0" "${arguments[@]}"
fi
ip link set lo up
sysctl -qw net.ipv4.ip_local_port_range='1024 65535'
# shellcheck source=bench/servers.sh
source bench/servers.sh


start() { # name options...: in the background; its pid in $started
    "$bin/holdfast-bench" --target "$target" --psk "$identity:$key_hex" --json --duration 120 \
        --handshakes-in-flight 64 --begin "$work/begin" "${@:2}" >"$work/$1.json" 2>"$work/$1.log" &
    started=$!
}

has_sessions() { # name count
    tail -n 1 "$work/$1.log" | grep -q "^sessions=$2 "
}

# Both runs begin when all have sessions; then those of the storm lose them. The others end with it.
server_start "holdfast-$backend" lmdb
start others --devices "$others" --rate "$rate" --workload echo
others_pid=$started
# As many processes as it takes for a descriptor each.
fleets=$((devices / ($(ulimit -Hn) - 1000) + 1))
per_fleet=$((devices / fleets))
storm_pids=()
for ((fleet = 0; fleet < fleets; fleet++)); do
    start "storm$fleet" --devices "$per_fleet" --workload reconnect --ack-timeout 10000
    storm_pids+=("$started")
done
all_have_sessions() {
    has_sessions others "$others" || return
    for ((fleet = 0; fleet < fleets; fleet++)); do
        has_sessions "storm$fleet" "$per_fleet" || return
    done
}
for _ in {1..600}; do
    ! all_have_sessions || break
    sleep 0.2
done
touch "$work/begin"
wait "${storm_pids[@]}"
kill -INT "$others_pid"
wait "$others_pid"
server_stop
jq -s '.[1:] as $storms | def total(f): $storms | map(f) | add; def most(f): $storms | map(f) | max;
    {storm: {devices: total(.devices), handshakes: total(.handshakes_after_start),
        seconds: (most(.duration_ms) / 1000), rate: total(.handshake_rate),
        p99_ms: most(.handshake_p99_ms), max_ms: most(.handshake_max_ms),
        repeated_flights: total(.handshake_retransmissions), failed: total(.handshakes_failed),
        lost: total(.lost)},
    others: (.[0] | {served, p50_ms, p99_ms, p999_ms, max_ms, lost, retransmissions,
        handshakes_after_start})}' "$work/others.json" "$work"/storm*.json | tee "$work/result.json"
[[ -z $expect ]] || jq -e '.others.p99_ms <= 100 and .others.lost == 0 and .storm.lost == 0 and
    .others.handshakes_after_start == 0' "$work/result.json" >/dev/null
