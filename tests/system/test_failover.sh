#!/usr/bin/env bash
# Processes that die, restart, come and go under load: no device does another handshake, nothing
# that one saw acknowledged is missing from the log or there twice, and all are served again soon.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl redis-server redis-cli

served_again_ms=3000 # for each session; loose, since the machine may be busy with other things
devices=100
both=(routed addressed) # with Connection ID and without

mark_both() { # [worker]
    local name
    for name in "${both[@]}"; do
        must "$name" mark "$@"
    done
}

await_both() {
    local name
    for name in "${both[@]}"; do
        fleet_await "$name"
    done
}

# The end of each test: the books are balanced, and the load goes on.
settle() { # what
    local name
    for name in "${both[@]}"; do
        fleet_rest "$name" "$1"
        expect_at_most "$name: ms until all are served" "$(jq .recovery_ms.max <<<"$answer")" \
            "$served_again_ms"
        expect_eq "$name: replies of 5.03" "$(field unavailable)" 0
        expect_log "$name"
    done
    expect_no_handshakes
    for name in "${both[@]}"; do
        must "$name" go
    done
}

# A worker that sessions of both kinds are at.
killed_worker() {
    begin "$store: kill -9 of a worker under load"
    local concerned
    mark_both 1
    concerned=$(field concerned)
    expect_at_least 'sessions of worker 1' "$concerned" 1
    worker_kill 1
    await_both
    settle 'kill -9 of a worker'
    worker_start 1
    lbs_see 2
}

for store in redis lmdb; do
    store_start "$store"
    cluster_start 2
    fleet_start routed 0 1 --devices "$devices"
    fleet_start addressed none 1 --devices "$devices"
    handshakes_note
    killed_worker
    for name in "${both[@]}"; do
        probe_stop "$name"
    done
    cluster_stop
done
