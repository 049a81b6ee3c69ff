#!/usr/bin/env bash
# Devices that the server observes: what a confirmable notification takes from when it is due until
# the server has stored and acknowledged it. One lb and workers of our own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/servers.sh
source bench/servers.sh

usage() {
    cat <<'END'
usage: bench/notify.sh [--devices N] [--rate N] [--duration S] [--payload N] [--workers N]
           [--stores NAME,NAME] [--backend NAME] [--expect]
  --devices N     that are observed (1000)
  --rate N        notifications a second, of all of them (5000); a worker takes 32 a second of each
                  in the long run
  --duration S    seconds of each run (10)
  --payload N     octets of a notification (32)
  --workers N     that share them (1)
  --stores NAMES  one run on each (lmdb,redis)
  --backend NAME  Holdfast's I/O backend, uring or mmsg (mmsg)
  --expect        exit with 1 if one was lost, rejected, repeated or acknowledged without being
                  stored, or its device could not be observed

BUILD  folder of a release build (build/release)
END
}

devices=1000 rate=5000 duration=10 payload=32 stores=lmdb,redis backend=mmsg expect=
while (($#)); do
    case $1 in
        --devices | --rate | --duration | --payload | --workers | --stores | --backend)
            declare "${1#--}=${2:?}"
            shift
            ;;
        --expect) expect=1 ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            printf 'notify.sh: unknown option %s; see --help\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

expectations=()
[[ -z $expect ]] || expectations=(--expect observed="$devices" --expect lost=0 --expect refused=0
    --expect retransmissions=0 --expect unstored=0 --expect relations_ended=0
    --expect handshakes_after_start=0 --expect backlog=0)

status=0
echo "bench/notify.sh: $(machine)"
echo '| store | sent | acknowledged | rejected | repeated | lost | stored | a second | p50, ms | p99, ms | max, ms | server CPU, ms for 1,000 | the API, p50 and p99, ms |'
echo '|---|---|---|---|---|---|---|---|---|---|---|---|---|'
for store in ${stores//,/ }; do
    server_start "holdfast-$backend" "$store"
    bench --workload notify --observe-api "http://127.0.0.1:${worker_http[0]}" \
        --devices "$devices" --rate "$rate" --duration "$duration" --payload "$payload" \
        "${expectations[@]}" >"$work/notify.json" || status=1
    server_stop
    jq -r --arg store "$store" '"| \($store) | \(.requests) | \(.served) | \(.refused) | " +
        "\(.retransmissions) | \(.lost) | \(.stored) | \(.rate | floor) | \(.p50_ms) | " +
        "\(.p99_ms) | \(.max_ms) | \(.server_cpu_ms) | \(.observe_p50_ms), \(.observe_p99_ms) |"
        ' "$work/notify.json"
done
exit "$status"
