#!/usr/bin/env bash
# Processes that die, restart, come and go under load: no device does another handshake, nothing
# that one saw acknowledged is missing from the log or there twice, and all are served again soon.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl pgrep redis-server redis-cli ss

served_again_ms=3000 # for each session; loose, since the machine may be busy with other things
planned_ms=200       # for 99 of 100 requests while processes end as planned
devices=100
both=(routed addressed) # with Connection ID and without; one at each lb

# A session without CID stays where its flow went last, so that one worker may have none of them.
mark_both() { # [worker]
    local name concerned=0
    for name in "${both[@]}"; do
        [[ -z ${1:-} ]] || fleet_place "$name"
    done
    for name in "${both[@]}"; do
        must "$name" mark "$@"
        concerned=$((concerned + $(field concerned)))
    done
    expect_at_least 'sessions concerned' "$concerned" 1
}

await_both() {
    local name
    for name in "${both[@]}"; do
        fleet_await "$name"
    done
}

# The end of each test: the books are balanced, and the load goes on.
settle() { # what [p99-ms]
    local name
    for name in "${both[@]}"; do
        fleet_rest "$name" "$1"
        expect_at_most "$name: ms until all are served" "$(jq .recovery_ms.max <<<"$answer")" \
            "$served_again_ms"
        expect_eq "$name: replies of 5.03" "$(field unavailable)" 0
        [[ -z ${2:-} ]] || expect_at_most "$name: p99 of all requests in ms" \
            "$(jq .reply_ms.p99 <<<"$answer")" "$2"
        expect_log "$name"
    done
    expect_no_handshakes
    for name in "${both[@]}"; do
        must "$name" go
    done
}

killed_worker() {
    begin "$store: kill -9 of a worker"
    mark_both 1
    worker_kill 1
    await_both
    settle 'kill -9 of a worker'
    worker_start 1
    lbs_see 2
}

restarted_worker() { # id
    worker_stop "$1"
    worker_start "$1"
    lbs_see 2
}

rolling_restart() {
    begin "$store: all workers restarted, one after the other"
    mark_both
    restarted_worker 1
    restarted_worker 2
    settle 'rolling restart' "$planned_ms"
}

killed_lb() { # number
    begin "$store: kill -9 of lb $1"
    mark_both
    process_kill "${lb_pid[$1]}"
    lb_start "$1"
    # What was on its way through the dead one does not count as served.
    mark_both
    await_both
    settle "lb $1 killed and started"
}

# From workers 1 and 2 to four, and on to 3 and 4; and back. All sessions move twice.
scaled() {
    begin "$store: two workers more, then two fewer"
    mark_both
    worker_start 3
    worker_start 4
    lbs_see 4
    worker_stop 1
    worker_stop 2
    lbs_see 2
    settle 'from 2 workers to 4 to 2' "$planned_ms"
    mark_both
    worker_start 1
    worker_start 2
    lbs_see 4
    worker_stop 3
    worker_stop 4
    lbs_see 2
    settle 'and back' "$planned_ms"
}

# A worker that does not know how long it was away still believes that all is its own.
zombie() { # seconds
    local lost
    begin "$store: a worker that stands still for $1 s"
    lost=$(worker_metric 1 holdfast_sessions_lost_total)
    mark_both 1
    kill -STOP "${worker_pid[1]}"
    await_both
    sleep "$1"
    kill -CONT "${worker_pid[1]}"
    lbs_see 2
    settle "a worker stopped for $1 s"
    mark_both
    await_both
    settle 'and after that'
    expect_at_least 'sessions that it gave up' \
        $(($(worker_metric 1 holdfast_sessions_lost_total) - lost)) 1
}

port_is_free() {
    [[ -z $(ss -Hlun "sport = :$coaps_port") ]]
}

# All processes of a node at once. The kernel takes its time to close the sockets of an io_uring
# whose process was killed.
node_kill() {
    local pids
    mapfile -t pids < <(children holdfast-lb; children holdfast-worker)
    kill -KILL "$node_pid" "${pids[@]}"
    wait "$node_pid" 2>/dev/null || true
    forget_pid "$node_pid"
    await 'the port is free' 10 port_is_free
}

whole_node() {
    local end name
    store_url=lmdb:$TMPDIR/store
    node_start node --workers 2 --store "$store_url"
    lb_port=([1]=$coaps_port [2]=$coaps_port)
    fleet_start routed 0 1 --devices "$devices"
    fleet_start addressed none 2 --devices "$devices"
    for end in node_stop node_kill; do
        begin "a whole node ends ($end) and starts again"
        "$end"
        node_start node --workers 2 --store "$store_url" --coaps "[::]:$coaps_port"
        mark_both
        await_both
        expect_eq 'handshakes since' "$(handshakes)" 0
        settle "$end"
    done
    for name in "${both[@]}"; do
        probe_stop "$name"
    done
    node_stop
}

for store in redis lmdb; do
    store_start "$store"
    cluster_start 2
    fleet_start routed 0 1 --devices "$devices"
    fleet_start addressed none 2 --devices "$devices"
    handshakes_note
    rolling_restart
    killed_worker
    killed_lb 1
    killed_lb 2
    scaled
    zombie 2
    zombie 4
    for name in "${both[@]}"; do
        probe_stop "$name"
    done
    cluster_stop
done
whole_node
