#!/usr/bin/env bash
# What the death of a worker costs its devices, and what a store has to do: medians over rounds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=bench/servers.sh
source bench/servers.sh

usage() {
    cat <<'END'
usage: bench/failover.sh [kill|writes|claims] [--rounds N] [--devices N] [--rate N] [--seconds S]
  kill     kill -9 one of two workers under load: how long requests take that had to be repeated,
           what was lost, who had to do a handshake anew (the default)
  writes   store writes for 1,000 records of traffic that changes nothing, two workers
  claims   claims a second from one Redis, and its memory for a session (100,000 of them)
  --rounds N    whose median is printed (5)
  --devices N   with a session each (19600)
  --rate N      requests a second, of all of them (19600)
  --seconds S   of each run (kill: 8, writes: 30)

BUILD  folder of a release build (build/release)
END
}

what=kill rounds=5 devices=19600 rate=19600 seconds=
while (($#)); do
    case $1 in
        kill | writes | claims) what=$1 ;;
        --rounds | --devices | --rate | --seconds)
            declare "${1#--}=${2:?}"
            shift
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            printf 'failover.sh: unknown option %s; see --help\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

median() { # numbers, one a line
    sort -g | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'
}

metric() { # worker name-with-labels
    curl -sf -m 5 "127.0.0.1:${worker_http[$1]}/metrics" |
        awk -v name="$2" '$1 == name { printf "%.0f\n", $2; found = 1 } END { exit !found }'
}

has_sessions() { # how many
    (($(metric 0 holdfast_sessions) + $(metric 1 holdfast_sessions) >= $1))
}

workers=2
bench_pid=
begin_load() { # options...
    bench --devices "$devices" --rate "$rate" "$@" >"$work/result.json" &
    bench_pid=$!
    wait_for 'sessions of all devices' has_sessions "$devices"
}

# --- kill: the second worker, in the midst of the run ---

kill_round() { # number
    local killed handshakes
    start_holdfast auto redis
    rm -f "$work/mark"
    # Not to be measured as the server's: it is killed.
    begin_load --duration "${seconds:-8}" --workload echo --payload 32 --ack-timeout 200 \
        --mark "$work/mark" --server-pid "${pids[-1]}"
    sleep 3
    killed=$(metric 1 holdfast_sessions)
    touch "$work/mark"
    kill -KILL "${pids[1]}"
    wait "$bench_pid"
    handshakes=$(jq .handshakes_after_start "$work/result.json")
    jq -r --argjson round "$1" --argjson killed "$killed" --argjson adopted \
        "$(metric 0 holdfast_sessions_adopted_total)" '[$round, $killed, $adopted, .lost,
        .handshakes_after_start, .unrecovered, .affected_p50_ms, .affected_p99_ms, .affected_max_ms,
        .max_gap_ms] | @tsv' "$work/result.json" | tee -a "$work/rounds"
    server_stop
    return $((handshakes > 0))
}

kill_rounds() {
    local columns=(round killed adopted lost handshakes unrecovered p50_ms p99_ms max_ms max_gap_ms)
    local round column line=median status=0
    (IFS=$'\t' && echo "${columns[*]}")
    for ((round = 1; round <= rounds; round++)); do
        kill_round "$round" || status=1
    done
    for ((column = 2; column <= ${#columns[@]}; column++)); do
        line+=$'\t'$(cut -f "$column" "$work/rounds" | median)
    done
    echo "$line"
    return "$status"
}

# --- writes: what the store is asked for traffic that changes nothing ---

totals() { # name-with-labels: of both workers
    echo $(($(metric 0 "$1") + $(metric 1 "$1")))
}

writes_round() { # number
    local records writes
    start_holdfast auto redis
    begin_load --duration "${seconds:-30}" --workload get
    sleep 2 # what the handshakes have left is written
    records=$(totals holdfast_records_total\{direction=\"in\"\})
    writes=$(totals holdfast_store_commands_total\{kind=\"write\"\})
    wait "$bench_pid"
    records=$(($(totals holdfast_records_total\{direction=\"in\"\}) - records))
    writes=$(($(totals holdfast_store_commands_total\{kind=\"write\"\}) - writes))
    awk -v round="$1" -v records="$records" -v writes="$writes" \
        'BEGIN { printf "%d\t%d\t%d\t%.3f\n", round, records, writes, writes / records * 1000 }' |
        tee -a "$work/rounds"
    server_stop
}

writes_rounds() {
    local round
    printf 'round\trecords\twrites\twrites_per_1000\n'
    for ((round = 1; round <= rounds; round++)); do
        writes_round "$round"
    done
    printf 'median\t\t\t%s\n' "$(cut -f 4 "$work/rounds" | median)"
}

# --- claims: without workers ---

memory_used() {
    redis-cli -p "$redis_port" info memory | tr -d '\r' | sed -n 's/^used_memory://p'
}

claims_round() { # number
    local sessions=100000 before after rate
    redis_port=$(free_port)
    redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" \
        >"$work/redis.log" 2>&1 &
    redis_pid=$!
    wait_for redis-server redis-cli -p "$redis_port" ping
    before=$(memory_used)
    "$bin/holdfast-store" "redis://127.0.0.1:$redis_port" "$sessions" create >"$work/create"
    after=$(memory_used)
    "$bin/holdfast-store" "redis://127.0.0.1:$redis_port" "$sessions" claim >"$work/claim"
    rate=$(awk '$1 == "claim" { print $2 }' "$work/claim")
    printf '%s\t%s\t%s\n' "$1" "$rate" $(((after - before) / sessions)) | tee -a "$work/rounds"
    server_stop
}

claims_rounds() {
    local round
    printf 'round\tclaims_per_s\toctets_per_session\n'
    for ((round = 1; round <= rounds; round++)); do
        claims_round "$round"
    done
    printf 'median\t%s\t%s\n' "$(cut -f 2 "$work/rounds" | median)" \
        "$(cut -f 3 "$work/rounds" | median)"
}

printf 'bench/failover.sh %s: %s\n' "$what" "$(machine)"
"${what}_rounds"
