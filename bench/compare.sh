#!/usr/bin/env bash
# Measures Holdfast, libcoap's coap-server and a bare UDP echo under the same load, one after the
# other, in rounds, and writes what came out: RESULTS.md and results.svg.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/servers.sh
source bench/servers.sh

usage() {
    cat <<'END'
usage: bench/compare.sh [--rounds N] [--devices N] [--duration S] [--store URL] [--output DIR]
  --rounds N    rounds over all servers (5)
  --devices N   devices, each with a source port of its own (1000)
  --duration S  seconds of each run (4)
  --store URL   Holdfast's store (lmdb: in a folder that is removed afterwards)
  --output DIR  where RESULTS.md and results.svg go (bench)

BUILD  folder of a release build (build/release)
END
}

rounds=5 devices=1000 duration=4 output=bench store=lmdb
command_line="bench/compare.sh${*:+ $*}"
command_line=${command_line% --output *}
started_at="$(date -u +%F), commit $(commit)"
load_before=$(cut -d " " -f 1 /proc/loadavg)
while (($#)); do
    case $1 in
        --rounds) rounds=${2:?} ;;
        --devices) devices=${2:?} ;;
        --duration) duration=${2:?} ;;
        --store) store=${2:?} ;;
        --output) output=${2:?} ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            printf 'compare.sh: unknown option %s; see --help\n' "$1" >&2
            exit 2
            ;;
    esac
    shift 2
done

servers=(udp holdfast-uring holdfast-mmsg libcoap-wolfssl libcoap-mbedtls)
secure=("${servers[@]:1}")
results=$work/results.json

# One run against a server of its own, whose numbers become a line of $results.
measure() { # server kind round bench-options...
    local server=$1 kind=$2 round=$3
    shift 3
    bench_seconds=$((duration + 240)) # 120 for the start, 93 for what is lost in the end
    server_start "$server" "$store"
    bench --devices "$devices" --duration "$duration" "${load[@]}" "$@" >"$work/run.json"
    server_stop
    jq -c --arg server "$server" --arg kind "$kind" --argjson round "$round" \
        '. + {server: $server, kind: $kind, round: $round}' "$work/run.json" >>"$results"
    jq -r '"\(.server) \(.kind): \(.rate | floor)/s, p99 \(.p99_ms) ms, CPU \(.server_cpu_ms) " +
           "ms/1000, lost \(.lost)"' <<<"$(tail -n 1 "$results")" >&2
}

# The median of a field over the rounds so far, as a whole number.
median() { # server kind field
    jq -s --arg server "$1" --arg kind "$2" --arg field "$3" '
        [.[] | select(.server == $server and .kind == $kind) | .[$field]] | sort |
        .[length / 2 | floor] | floor' "$results"
}

half_of_better() { # server server
    local one other
    one=$(median "$1" max rate)
    other=$(median "$2" max rate)
    echo $(((one > other ? one : other) / 2))
}

for ((round = 1; round <= rounds; round++)); do
    echo "compare.sh: round $round of $rounds" >&2
    for server in "${servers[@]}"; do
        measure "$server" max "$round"
    done
    # Rates that are the same for all, fixed by the first round.
    if ((round == 1)); then
        low=$(half_of_better libcoap-wolfssl libcoap-mbedtls)
        high=$(half_of_better holdfast-uring holdfast-mmsg)
    fi
    for server in "${secure[@]}"; do
        measure "$server" low "$round" --rate "$low"
        measure "$server" high "$round" --rate "$high"
    done
done

# --- what came out -------------------------------------------------------------------------------

# {server: {kind: {field: [median, min, max]}}}
jq -s 'def spread: sort | [.[length / 2 | floor], .[0], .[-1]];
    group_by(.server) | map({key: .[0].server, value: (group_by(.kind) | map({key: .[0].kind,
        value: (. as $runs | ["rate", "p50_ms", "p99_ms", "p999_ms", "server_cpu_ms",
                              "server_memory_peak", "lost", "retransmissions", "octets_up",
                              "octets_down"] |
            map({key: ., value: (. as $f | $runs | map(.[$f] // 0) | spread)}) | from_entries)
    }) | from_entries)}) | from_entries' "$results" >"$work/summary.json"

table() {
    jq -r --argjson low "$low" --argjson high "$high" '
        def f($d): . * pow(10; $d) | round / pow(10; $d) | tostring;
        def k: round | tostring | [while(length > 0; .[:-3])] | map(.[-3:]) | reverse | join(",");
        def range($d): "\(.[0] | f($d)) (\(.[1] | f($d)) to \(.[2] | f($d)))";
        def krange: "\(.[0] | k) (\(.[1] | k) to \(.[2] | k))";
        . as $all |
        {"udp": "bare UDP echo", "holdfast-uring": "Holdfast, io_uring",
         "holdfast-mmsg": "Holdfast, recvmmsg", "libcoap-wolfssl": "libcoap on wolfSSL",
         "libcoap-mbedtls": "libcoap on mbedTLS"} as $names |
        [$all["libcoap-wolfssl"], $all["libcoap-mbedtls"]] as $peers |
        ($peers | map(.max.rate[0]) | max) as $peer_rate |
        ($peers | map(.max.server_cpu_ms[0]) | min) as $peer_cpu |
        "### As fast as it goes",
        "",
        "| server | requests/s | to libcoap | to UDP | server CPU, ms for 1,000 | to libcoap | p99, ms | peak RSS, octets a session | lost |",
        "|---|---|---|---|---|---|---|---|---|",
        (["udp", "holdfast-uring", "holdfast-mmsg", "libcoap-wolfssl", "libcoap-mbedtls"][] |
            . as $s | $all[$s].max as $r |
            "| \($names[$s]) | \($r.rate | krange) | \($r.rate[0] / $peer_rate | f(2)) " +
            "| \($r.rate[0] / $all.udp.max.rate[0] | f(2)) | \($r.server_cpu_ms | range(2)) " +
            "| \($r.server_cpu_ms[0] / $peer_cpu | f(2)) | \($r.p99_ms | range(1)) " +
            "| \(if $s == "udp" then "" else $r.server_memory_peak[0] | k end) | \($r.lost[2]) |"),
        "",
        ({kind: "high", rate: $high, of: "Holdfast"}, {kind: "low", rate: $low, of: "libcoap"} |
            . as $at | ($peers | map(.[$at.kind].p99_ms[0]) | min) as $peer_p99 |
            "### At \(.rate | k) requests/s, half of what the faster \(.of) can do",
            "",
            "| server | served/s | p50, ms | p99, ms | to libcoap | p99.9, ms | server CPU, ms for 1,000 | lost |",
            "|---|---|---|---|---|---|---|---|",
            (["holdfast-uring", "holdfast-mmsg", "libcoap-wolfssl", "libcoap-mbedtls"][] |
                . as $s | $all[$s][$at.kind] as $r |
                "| \($names[$s]) | \($r.rate[0] | k) | \($r.p50_ms | range(2)) " +
                "| \($r.p99_ms | range(2)) | \($r.p99_ms[0] / $peer_p99 | f(3)) " +
                "| \($r.p999_ms | range(2)) | \($r.server_cpu_ms | range(2)) | \($r.lost[2]) |"),
            ""),
        "On the wire, UDP payload: a request of \($all["holdfast-uring"].max.octets_up[0]) and a " +
        "reply of \($all["holdfast-uring"].max.octets_down[0]) octets."
    ' "$work/summary.json"
}

chart() {
    jq -r '. as $all |
        def bars($field): {"udp": ["bare UDP echo", "#8d99ae"],
            "holdfast-uring": ["Holdfast, io_uring", "#2a6f97"],
            "holdfast-mmsg": ["Holdfast, recvmmsg", "#2a6f97"],
            "libcoap-wolfssl": ["libcoap on wolfSSL", "#c98b4a"],
            "libcoap-mbedtls": ["libcoap on mbedTLS", "#c98b4a"]} | to_entries[] |
            ["bar"] + .value + $all[.key].max[$field];
        ["panel", "Requests per second (more is better)", 0], bars("rate"),
        ["panel", "Server CPU, ms for 1,000 requests (less is better)", 2], bars("server_cpu_ms") |
        map(tostring) | join("\t")' "$work/summary.json" | awk -f bench/chart.awk
}

{
    echo '# Side by side'
    echo
    echo "Written by \`$command_line\`."
    echo
    echo "- $started_at"
    echo "- $(machine); load average before the run: $load_before"
    echo "- $devices devices, each with a source port of its own; PSK,"
    echo "  TLS_PSK_WITH_AES_128_CCM_8, with a Connection ID where the server takes one; 32 octets"
    echo "  echoed: POST \`/echo\` at Holdfast, PUT \`/example_data\` at libcoap's \`coap-server -e\`,"
    echo "  the datagram itself, of 82 octets, at the bare echo."
    echo "- Holdfast is one lb and one worker, store \`${store%%:*}:\`. Client and server share the"
    echo "  machine's processors; the client uses one."
    echo "- Medians of $rounds rounds (least to greatest), servers in alternation, a fresh server for"
    echo "  each run of $duration s. \"To libcoap\": to the better of its two backends."
    echo
    table
    echo
    echo '![requests per second and processor time](results.svg)'
} >"$work/RESULTS.md"
chart >"$work/results.svg"
cp "$work/RESULTS.md" "$work/results.svg" "$output"
echo "compare.sh: $output/RESULTS.md and $output/results.svg written" >&2
