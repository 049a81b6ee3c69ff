#!/usr/bin/env bash
# Four workers, two lbs and Redis under the load of thousands of devices: each process is killed in
# turn, then all are restarted one after the other. For tests/run.sh --soak; not a part of all tests,
# for it takes minutes. SOAK_DEVICES (3000), SOAK_EVERY_MS (1000).
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl redis-server redis-cli

devices=${SOAK_DEVICES:-3000}
every_ms=${SOAK_EVERY_MS:-1000}
names=(routed-1 routed-2 addressed)
workers=4

mark_all() {
    local name
    for name in "${names[@]}"; do
        must "$name" mark
    done
}

settle() { # what
    local name
    for name in "${names[@]}"; do
        fleet_await "$name"
        fleet_rest "$name" "$1"
        expect_in_log "$name"
    done
    expect_no_handshakes
    for name in "${names[@]}"; do
        must "$name" go
    done
}

store_start redis
cluster_start "$workers"
fleet_start routed-1 0 1 --devices $((devices * 2 / 5)) --every-ms "$every_ms"
fleet_start routed-2 0 2 --devices $((devices * 2 / 5)) --every-ms "$every_ms"
fleet_start addressed none 2 --devices $((devices / 5)) --every-ms "$every_ms"
handshakes_note
echo "  $devices devices, a request each $every_ms ms; sessions: $(workers_metric holdfast_sessions)"

for id in 1 2 3 4; do
    begin "kill -9 of worker $id"
    mark_all
    worker_kill "$id"
    settle "worker $id killed"
    worker_start "$id"
    lbs_see "$workers"
done
for number in 1 2; do
    begin "kill -9 of lb $number"
    mark_all
    process_kill "${lb_pid[$number]}"
    lb_start "$number"
    mark_all
    settle "lb $number killed"
done
begin 'kill -9 of Redis'
mark_all
redis_kill
redis_start
mark_all
settle 'Redis killed'
begin 'all restarted, one after the other'
mark_all
for id in 1 2 3 4; do
    worker_stop "$id"
    worker_start "$id"
    lbs_see "$workers"
done
for number in 1 2; do
    process_stop "lb $number" "${lb_pid[$number]}"
    lb_start "$number"
done
mark_all
settle 'all restarted'
for name in "${names[@]}"; do
    probe_stop "$name"
done
cluster_stop
