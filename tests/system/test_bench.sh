#!/usr/bin/env bash
# holdfast-bench against a node: each workload, both ways to use sockets, and what it says of a run.
# Its numbers are compared with the server's own.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl redis-server redis-cli

# Runs it; its JSON is in $answer. An expectation that is not met is a failure.
bench() { # options...
    local status=0
    timeout 60 "$bin/holdfast-bench" --target "coaps://127.0.0.1:$coaps_port" \
        --psk "$identity:$key" --json "$@" >"$TMPDIR/bench.json" 2>"$TMPDIR/bench.log" || status=$?
    answer=$(<"$TMPDIR/bench.json")
    expect_eq "exit status of holdfast-bench $*" "$status" 0
}

expect_status() { # status options...
    local want=$1 status=0
    shift
    timeout 60 "$bin/holdfast-bench" "$@" >"$TMPDIR/bench.out" 2>"$TMPDIR/bench.log" || status=$?
    expect_eq "exit status of holdfast-bench $*" "$status" "$want"
}

all_well=(--expect lost=0 --expect wrong=0 --expect refused=0 --expect unavailable=0
    --expect bad_records=0 --expect sessions_ended=0)

begin 'options that cannot be used'
expect_status 0 --help
expect_status 2
expect_match 'stderr' "$(<"$TMPDIR/bench.log")" '--target'
expect_status 2 --target coaps://127.0.0.1:1
expect_match 'stderr' "$(<"$TMPDIR/bench.log")" '--psk'
expect_status 2 --target udp://127.0.0.1:1
expect_status 2 --target coap://127.0.0.1:1 --expect p98=1ms

node_start bench

begin 'echo: 200 devices, each with a port of its own'
before=$(handshakes)
bench --devices 200 --duration 3 --expect handshakes_after_start=0 --expect rate=100 "${all_well[@]}"
expect_eq 'handshakes' "$(field handshakes)" 200
expect_eq 'handshakes that the server counted' "$(($(handshakes) - before))" 200
expect_eq 'served' "$(field served)" "$(field requests)"
# A header of 4, a token of 2, Uri-Path 1 + 4, a marker and 32 octets; 38 and 29 octets of DTLS.
expect_eq 'octets of a request' "$(field octets_up)" 82
expect_eq 'octets of a reply' "$(field octets_down)" 68

begin 'rebind: a new port for each request, and no handshake'
changes=$(address_changes)
bench --devices 200 --duration 3 --workload rebind --expect handshakes_after_start=0 "${all_well[@]}"
expect_at_least 'address changes' "$(($(address_changes) - changes))" 200
expect_at_least 'rebinds' "$(field rebinds)" 200

begin 'devices that share ports'
bench --devices 200 --duration 2 --workload rebind --sockets 3 --rebind-every 5 \
    --expect handshakes_after_start=0 "${all_well[@]}"
expect_at_least 'served' "$(field served)" 200

begin 'devices with an address each, awake and asleep'
changes=$(address_changes)
bench --devices 50 --duration 1 --spread --at-once 10 --expect handshakes_after_start=0 \
    "${all_well[@]}"
expect_eq 'addresses' "$(field addresses)" 50
expect_at_least 'served' "$(field served)" 50
bench --devices 50 --duration 2 --asleep --rate 100 --expect handshakes_after_start=0 \
    --expect backlog=0 --expect unsent=0 "${all_well[@]}"
expect_eq 'requests' "$(field requests)" 200
expect_eq 'address changes' "$(address_changes)" "$changes"

begin 'an open loop keeps its rate'
bench --devices 50 --duration 2 --rate 500 --workload mix --expect backlog=0 "${all_well[@]}"
expect_eq 'requests' "$(field requests)" 1000

begin 'events that were acknowledged are named'
bench --devices 20 --duration 1 --workload events --acknowledged "$TMPDIR/acknowledged" \
    "${all_well[@]}"
expect_eq 'names' "$(sort -u "$TMPDIR/acknowledged" | wc -l)" "$(field served)"

begin 'handshakes, and all at once'
bench --devices 20 --duration 1 --workload handshake --rate 50 --expect handshakes_failed=0
expect_eq 'handshakes' "$(field handshakes_after_start)" 50
expect_match 'handshakes a second' "$(field handshake_rate)" '^(4[0-9]|50)(\.|$)'
bench --devices 50 --duration 20 --workload reconnect --expect handshakes_failed=0 "${all_well[@]}"
expect_eq 'handshakes' "$(field handshakes_after_start)" 50
expect_eq 'served' "$(field served)" 50

begin 'the mark: by a file and by a signal'
touch_mark() {
    sleep 1
    touch "$TMPDIR/mark"
}
touch_mark &
bench --devices 50 --duration 3 --mark "$TMPDIR/mark" --expect unrecovered=0 --expect mark=3s \
    "${all_well[@]}"
expect_eq 'recovered' "$(field recovered)" 50

begin 'plain CoAP'
expect_status 0 --target "coap://127.0.0.1:$coap_port" --devices 20 --duration 1 "${all_well[@]}"
expect_status 0 --target "coap://127.0.0.1:$coap_port" --devices 20 --sockets 2 --duration 1 \
    "${all_well[@]}"

begin 'an expectation that is not met'
expect_status 1 --target "coap://127.0.0.1:$coap_port" --devices 2 --duration 1 --expect p50=0us
expect_match 'stderr' "$(<"$TMPDIR/bench.log")" 'p50: .*expected at most 0 ms'

begin 'a key that the server does not know'
expect_status 1 --target "coaps://127.0.0.1:$coaps_port" --psk "$identity:00" --devices 2 \
    --duration 1 --start-timeout 2
expect_match 'stderr' "$(<"$TMPDIR/bench.log")" 'only 0 of 2 devices got a session'

node_stop

# Of two workers, one is asked: it sends on whoever asks for the other's sessions.
notified_on() { # store
    local id name='[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{7}' acknowledged=$TMPDIR/$1.acknowledged
    begin "devices that the server observes, on $1"
    store_start "$1"
    cluster_start 2
    coaps_port=${lb_port[1]}
    bench --devices 40 --duration 2 --workload notify --rate 200 --acknowledged "$acknowledged" \
        --observe-api "http://${worker_http[1]}" --expect observed=40 --expect unstored=0 \
        --expect relations_ended=0 --expect handshakes_after_start=0 --expect backlog=0 \
        "${all_well[@]}"
    expect_eq 'notifications' "$(field requests)" 400
    expect_eq 'acknowledged' "$(field served)" 400
    expect_at_least 'stored' "$(field stored)" 400
    expect_eq 'relations' "$(field relations)" 40
    expect_eq 'observations' "$(workers_metric 'holdfast_observations{role="client"}')" 40
    for id in 1 2; do
        expect_at_least "observations of worker $id" \
            "$(worker_metric "$id" 'holdfast_observations{role="client"}')" 1
    done
    # One for each device is the state that it registered with; it has no name.
    expect_at_least 'what the workers count' \
        "$(workers_metric 'holdfast_notifications_received_total{result="stored"}')" 440
    expect_eq 'names' "$(sort -u "$acknowledged" | wc -l)" 400
    event_log | LC_ALL=C grep -aoE "$name" | LC_ALL=C sort >"$TMPDIR/$1.found"
    expect_eq 'acknowledged and not in the log' \
        "$(LC_ALL=C sort "$acknowledged" | LC_ALL=C comm -23 - "$TMPDIR/$1.found" | wc -l)" 0
    expect_eq 'more than once in the log' "$(uniq -d "$TMPDIR/$1.found" | wc -l)" 0
    cluster_stop
}
notified_on redis
notified_on lmdb

begin 'more than the server takes of one device'
notified_too_often() {
    store_start lmdb
    cluster_start 1
    coaps_port=${lb_port[1]}
    bench --devices 1 --duration 3 --workload notify --ack-timeout 100 \
        --observe-api "http://${worker_http[1]}" --expect unstored=0 --expect relations_ended=0 \
        "${all_well[@]}"
    expect_at_least 'repeated' "$(field retransmissions)" 1
    expect_at_most 'acknowledged' "$(field served)" 400
    cluster_stop
}
notified_too_often

begin 'operators that nobody answers'
node_start operators
expect_status 1 --target "coaps://127.0.0.1:$coaps_port" --psk "$identity:$key" --devices 2 \
    --duration 1 --start-timeout 2 --workload notify --observe-api http://127.0.0.1:1
expect_match 'stderr' "$(<"$TMPDIR/bench.log")" 'only 0 of 2 devices observe or are observed'
node_stop
