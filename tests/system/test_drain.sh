#!/usr/bin/env bash
# A worker that is told to end while a change waits for the store: nobody could take its place, so
# the reply has to come from itself, and before it ends.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl redis-server redis-cli

held_ms=600 # longer than an idle worker takes to drain; worker/README.md says how long it may

store_holds_a_change() {
    (($(redis info clients | sed -n 's/^blocked_clients:\([0-9]*\).*/\1/p') >= 1))
}

has_waited() { # ms since the worker was told
    ((${EPOCHREALTIME/./} - told_us >= $1 * 1000))
}

worker_says() { # reason
    [[ $(curl -s -m 2 "http://${worker_http[1]}/readyz") == *"$1"* ]]
}

store_start redis
cluster_start 1
probe_start patient --server "127.0.0.1:${lb_port[1]}" --psk "$identity:$key" --cid 0
must patient connect
must patient post /events 20

begin 'the store holds a change, and the worker is told to end'
# Reads go on; what changes something waits, as behind a slow disk.
redis client pause 10000 write >"$TMPDIR/paused"
printf 'post /events 20\n' >&"${probe_in[patient]}"
await 'the store holds the change' 5 store_holds_a_change
kill -TERM "${worker_pid[1]}"
told_us=${EPOCHREALTIME/./}
await 'it says that it drains' 2 worker_says draining
await 'it waits' 2 has_waited "$held_ms"
is_running "${worker_pid[1]}" || fail 'it has not waited for the store'
redis client unpause >"$TMPDIR/paused"
hear patient 5 || fail 'no reply'
expect_eq 'reply' "$(field code)" 2.04
expect_eq 'times that it was asked again' "$(field timeouts)" 0
await 'worker 1 ends' 5 has_ended "${worker_pid[1]}"
status=0
wait "${worker_pid[1]}" || status=$?
forget_pid "${worker_pid[1]}"
worker_forget 1
expect_eq 'exit status of worker 1' "$status" 0

begin 'and whoever comes next knows of it'
worker_start 2
lbs_see 1
handshakes_note
must patient post /events 20
expect_eq 'reply' "$(field code)" 2.04
expect_no_handshakes
expect_eq 'events in the log' "$(redis xlen "$(redis --scan --pattern '*:log')")" 3
probe_stop patient
cluster_stop
