#!/usr/bin/env bash
# Devices that are asked and observed through the HTTP API: while a NAT forgets them between two
# notifications, while the worker that owns their session dies between two, before the heir has
# heard from them, or in the middle of one that comes in blocks; and devices that misbehave.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl ip nft conntrack redis-server redis-cli

# ---- the API ------------------------------------------------------------------------------------

api_exec=() # as node_exec

# The reply's status is in $status, its body in $TMPDIR/body. Redirects are followed; one to a worker
# that has died and is still listed ends at a port that refuses: refused.
api() { # method http path curl-options...
    local method=$1 at=$2 path=$3 ended=0
    shift 3
    status=$("${api_exec[@]}" curl -s -m 30 -L -o "$TMPDIR/body" -w '%{http_code}' -X "$method" \
        "$@" "http://$at/api/v1/sessions/$path") || ended=$?
    ((ended != 7)) || status=refused
    ((ended == 0 || ended == 7)) || fail "$method $path: no answer (curl $ended)"
}

body() {
    cat "$TMPDIR/body"
}

has_somebody() { # method http path curl-options...
    api "$@"
    [[ $status != 503 && $status != refused ]]
}

# A session that moves from worker to worker may be nobody's for a moment: who asks then is told to
# ask again, or sent on to the one that has died (worker/README.md, "As client").
expect_api() { # status method http path curl-options...
    local want=$1
    shift
    await "$1 $3 is answered" 10 has_somebody "$@"
    [[ $status == "$want" ]] || fail "$1 $3: got $status, want $want: $(body)"
}

observe() { # http cid path
    expect_api 201 POST "$1" "$2/observations" --data "{\"path\":\"$3\"}"
    observation=$(jq .id "$TMPDIR/body")
}

log_holds() { # text
    event_log | LC_ALL=C grep -aqF -- "$1"
}

await_log() { # text
    await "'$1' is in the event log" 20 log_holds "$1"
}

times_in_log() { # text
    event_log | LC_ALL=C grep -aoF -- "$1" | wc -l
}

device_start() { # name server options...
    local name=$1 server=$2
    shift 2
    program_start "$name" "$bin/tests/coap_device" --server "$server" --psk "$identity:$key" "$@"
    must "$name" connect
    cid=$(field server_cid)
}

counted() { # name what
    must "$1" count
    field "$2"
}

# ---- behind a NAT -------------------------------------------------------------------------------

device=holdfast-$$-device
nat=holdfast-$$-nat
server=holdfast-$$-server

network() {
    local name
    for name in "$device" "$nat" "$server"; do
        ip netns add "$name"
        own_namespaces+=("$name")
        ip -n "$name" link set lo up
    done
    ip -n "$device" link add wan type veth peer name lan netns "$nat"
    ip -n "$nat" link add wan type veth peer name lan netns "$server"
    ip -n "$device" addr add 10.77.1.2/24 dev wan
    ip -n "$nat" addr add 10.77.1.1/24 dev lan
    ip -n "$nat" addr add 10.77.2.1/24 dev wan
    ip -n "$server" addr add 10.77.2.2/24 dev lan
    ip -n "$device" link set wan up
    ip -n "$nat" link set lan up
    ip -n "$nat" link set wan up
    ip -n "$server" link set lan up
    ip -n "$device" route add default via 10.77.1.1
    ip netns exec "$nat" sysctl -qw net.ipv4.ip_forward=1
    ip netns exec "$nat" nft -f - <<'END'
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "wan" meta l4proto udp masquerade to :1024-65535 fully-random
    }
}
END
}

nat_forgets() {
    ip netns exec "$nat" conntrack -F 2>"$TMPDIR/conntrack.log" || fail 'conntrack -F'
}

worker_http_of_node() {
    grep -m 1 ' serving .*store=' "$node_log" | grep -o 'http=[^ ]*' | head -n 1 | cut -d= -f2
}

nat_between_two() {
    local at before
    begin 'a NAT forgets the device between two notifications'
    network
    node_exec=(ip netns exec "$server")
    probe_exec=(ip netns exec "$device")
    api_exec=("${node_exec[@]}")
    node_start nat
    store_url=lmdb:$state/store
    ln -sfn "$state/store" "$TMPDIR/store"
    at=$(worker_http_of_node)
    expect_match 'where the worker answers' "$at" ':[0-9]+$'
    device_start nomad "10.77.2.2:$coaps_port"
    observe "$at" "$cid" /temp
    await_log 20.0
    must nomad change nat-1.
    expect_eq 'notification' "$(field outcome)" acked
    await_log nat-1.
    before=$(address_changes)
    nat_forgets
    must nomad change nat-2.
    expect_eq 'notification' "$(field outcome)" acked
    expect_eq 'repeated' "$(field repeats)" 0
    await_log nat-2.
    nat_forgets
    must nomad tell nat-3.
    await_log nat-3.
    expect_eq 'address changes' "$(address_changes)" $((before + 2))
    expect_eq 'registrations' "$(counted nomad registrations)" 1

    begin 'a request reaches the device at its new address'
    expect_api 200 GET "$at" "$cid/resources/temp"
    expect_eq 'value' "$(body)" nat-3.
    expect_eq handshakes "$(handshakes)" 1
    probe_stop nomad
    node_stop
    node_exec=()
    probe_exec=()
    api_exec=()
}

# ---- without the worker that knew it ------------------------------------------------------------

# Which workers have the session: the others send on to it.
owners_of() { # cid
    local id code
    for id in "${!worker_http[@]}"; do
        code=$(curl -s -m 5 -o "$TMPDIR/body" -w '%{http_code}' \
            "http://${worker_http[$id]}/api/v1/sessions/$1/observations")
        [[ $code != 200 ]] || echo "$id"
    done
}

# True when exactly one has it, which is in $owner: a session that moves has two for a moment.
has_owner() { # cid
    owner=$(owners_of "$1")
    [[ $owner =~ ^[0-9]+$ ]]
}

await_owner() { # cid
    await 'one worker has the session' 10 has_owner "$1"
}

any_http() {
    local id
    for id in "${!worker_http[@]}"; do
        echo "${worker_http[$id]}"
        return
    done
}

has_observations() { # count: in all workers
    [[ $(workers_metric 'holdfast_observations{role="client"}') == "$1" ]]
}

has_heir() { # cid
    has_owner "$1" && has_observations "$devices"
}

devices=2

killed_between_two() { # store
    local owner killed name
    begin "$1: kill -9 of the owner between two notifications"
    device_start routed "127.0.0.1:${lb_port[1]}"
    routed_cid=$cid
    observe "$(any_http)" "$routed_cid" /temp
    device_start addressed "127.0.0.1:${lb_port[2]}" --cid 3
    addressed_cid=$cid
    observe "$(any_http)" "$addressed_cid" /temp
    must routed change routed-1.
    must addressed change addressed-1.
    await_log routed-1.
    await_log addressed-1.
    handshakes_note
    await_owner "$routed_cid"
    killed=$owner
    worker_kill "$killed"
    must routed change routed-2.
    expect_eq 'notification' "$(field outcome)" acked
    await_log routed-2.
    must addressed change addressed-2.
    await_log addressed-2.
    expect_no_handshakes

    begin "$1: the heir has the relation, and nobody registered anew"
    for name in routed addressed; do
        expect_eq "$name: registrations" "$(counted "$name" registrations)" 1
        expect_eq "$name: requests" "$(counted "$name" requests)" 1
        expect_eq "$name-1 in the log" "$(times_in_log "$name-1.")" 1
        expect_eq "$name-2 in the log" "$(times_in_log "$name-2.")" 1
    done
    await 'all relations are held' 10 has_observations "$devices"

    begin "$1: an heir asks a device that it has never heard from"
    worker_start "$killed"
    lbs_see 3
    await_owner "$addressed_cid"
    killed=$owner
    worker_kill "$killed"
    await 'an heir without a word from the device' 15 has_heir "$addressed_cid"
    expect_api 200 GET "$(any_http)" "$addressed_cid/resources/temp"
    expect_eq 'value' "$(body)" addressed-2.
    expect_api 200 GET "$(any_http)" "$addressed_cid/observations"
    expect_eq 'observations' "$(jq -c '[.[].path]' "$TMPDIR/body")" '["/temp"]'
    expect_eq 'registrations' "$(counted addressed registrations)" 1
    expect_at_least 'claimed by heirs' "$(workers_metric holdfast_heirs_claimed_total)" 1
    expect_no_handshakes
    worker_start "$killed"
    lbs_see 3

    begin "$1: an observation is cancelled"
    expect_api 204 DELETE "$(any_http)" "$addressed_cid/observations/$observation"
    expect_api 200 GET "$(any_http)" "$addressed_cid/observations"
    expect_eq 'observations' "$(body)" '[]'
    expect_eq 'deregistrations' "$(counted addressed deregistrations)" 1
    probe_stop routed
    probe_stop addressed
}

# ---- notifications in blocks --------------------------------------------------------------------

large=3000

large_state() { # word
    local text
    printf -v text '%*s' "$large" ''
    text=${text// /"$1"}
    printf '%s' "${text:0:$large}"
}

has_sent_blocks() { # name count
    (($(counted "$1" blocks) >= $2))
}

large_log_holds() { # word
    log_holds "$(large_state "$1")"
}

await_large() { # word
    await "all of '$1' is in the event log" 20 large_log_holds "$1"
}

# Whole, and nothing of it beside: no event is made of two states.
expect_whole() { # word times
    expect_eq "$1: times in the log" "$(times_in_log "$(large_state "$1")")" "$2"
    expect_eq "$1: words in the log" "$(times_in_log "$1")" $(($2 * (large / ${#1})))
}

in_blocks() { # store
    local killed at
    begin "$1: a resource that is longer than a message is observed"
    device_start wide "127.0.0.1:${lb_port[1]}"
    at=$(any_http)
    observe "$at" "$cid" /state
    expect_whole at-first. 1
    must wide grow "$large" wide-1.
    expect_eq 'notification' "$(field outcome)" acked
    await_large wide-1.
    expect_eq 'registrations' "$(counted wide registrations)" 1
    expect_api 200 GET "$at" "$cid/resources/state"
    expect_eq 'the state' "$(body)" "$(large_state wide-1.)"

    begin "$1: a newer state comes before the last one is whole"
    must wide patience 4
    must wide grow "$large" wide-2.
    await 'some blocks have gone' 10 has_sent_blocks wide 4
    must wide grow "$large" wide-3.
    expect_eq 'notification' "$(field outcome)" acked
    must wide patience all
    await_large wide-3.
    expect_whole wide-2. 0
    expect_whole wide-3. 1
    expect_eq 'registrations' "$(counted wide registrations)" 1

    begin "$1: kill -9 of the owner between two notifications in blocks"
    handshakes_note
    await_owner "$cid"
    killed=$owner
    worker_kill "$killed"
    must wide grow "$large" wide-4.
    expect_eq 'notification' "$(field outcome)" acked
    await_large wide-4.
    expect_whole wide-1. 1
    expect_whole wide-3. 1
    expect_whole wide-4. 1
    worker_start "$killed"
    lbs_see 3

    begin "$1: kill -9 of the owner in the middle of one that it has acknowledged"
    await_owner "$cid"
    killed=$owner
    must wide patience 5
    must wide grow "$large" wide-5.
    expect_eq 'notification' "$(field outcome)" acked
    await 'some blocks have gone' 10 has_sent_blocks wide 5
    expect_whole wide-5. 0
    before=$(counted wide registrations)
    worker_kill "$killed"
    must wide patience all
    await_large wide-5.
    expect_whole wide-5. 1
    expect_eq 'the heir has asked at once' "$(counted wide registrations)" $((before + 1))
    expect_no_handshakes
    worker_start "$killed"
    lbs_see 3

    begin "$1: a state that is too large for an event ends its observation"
    await_owner "$cid"
    must wide grow 20000 wide-6.
    await 'the device is told' 10 is_deregistered wide
    # The session may be about to move to the worker that has come back.
    await 'nothing is observed, whichever worker is asked' 10 observes_nothing "$cid"
    at=$(any_http)
    expect_at_least 'too large' \
        "$(workers_metric 'holdfast_notifications_received_total{result="too_large"}')" 1
    expect_api 422 POST "$at" "$cid/observations" --data '{"path":"/state"}'
    expect_eq 'in the log' "$(times_in_log wide-6.)" 0
    probe_stop wide
}

observes_nothing() { # cid
    local id
    for id in "${!worker_http[@]}"; do
        api GET "${worker_http[$id]}" "$1/observations"
        [[ $status == 200 && $(body) == '[]' ]] || return 1
    done
}

is_deregistered() { # name
    (($(counted "$1" deregistrations) > 0))
}

# ---- requests and what is wrong -----------------------------------------------------------------

requests() { # store
    local at
    begin "$1: requests through the API"
    at=$(any_http)
    device_start asked "127.0.0.1:${lb_port[1]}"
    expect_api 204 PUT "$at" "$cid/resources/temp" -H 'Content-Type: text/plain' --data-binary 21.5
    expect_eq 'value' "$(counted asked value)" 21.5
    expect_api 200 GET "$at" "$cid/resources/temp"
    expect_eq 'value' "$(body)" 21.5
    expect_api 200 GET "$at" "$cid/resources/slow"
    expect_eq 'a separate response' "$(body)" slow
    expect_api 404 GET "$at" "$cid/resources/none"
    expect_eq 'the reason' "$(jq -r .coap_code "$TMPDIR/body")" 4.04
    expect_api 405 DELETE "$at" "$cid/resources/temp"

    begin "$1: bodies in blocks, both ways"
    expect_api 200 GET "$at" "$cid/resources/large"
    expect_eq 'octets' "$(wc -c <"$TMPDIR/body")" 3000
    head -c 5000 /dev/zero >"$TMPDIR/large"
    expect_api 200 PUT "$at" "$cid/resources/large" --data-binary "@$TMPDIR/large" \
        -H 'Content-Type: application/octet-stream'
    expect_eq 'octets that arrived' "$(body)" 5000

    begin "$1: what cannot be"
    expect_api 404 GET "$at" 00112233/resources/temp
    expect_api 404 GET "$at" nonsense
    expect_api 400 POST "$at" "$cid/observations" --data '{"path":"no slash"}'
    expect_api 400 POST "$at" "$cid/observations" --data 'no json'
    expect_api 404 POST "$at" "$cid/observations" --data '{"path":"/none"}'
    expect_api 422 POST "$at" "$cid/observations" --data '{"path":"/slow"}'
    expect_api 404 DELETE "$at" "$cid/observations/16"
    expect_api 405 PUT "$at" "$cid/observations"
    head -c 20000 /dev/zero >"$TMPDIR/large"
    expect_api 413 PUT "$at" "$cid/resources/large" --data-binary "@$TMPDIR/large"
}

misbehaviour() { # store
    local at taken
    begin "$1: notifications for a token that nobody gave"
    at=$(any_http)
    must asked stray
    expect_eq 'what became of it' "$(field outcome)" reset
    expect_eq 'unknown' \
        "$(workers_metric 'holdfast_notifications_received_total{result="unknown"}')" 1

    begin "$1: notifications out of order"
    observe "$at" "$cid" /temp
    must asked tell newer.
    await_log newer.
    must asked old older.
    must asked change newest.
    await_log newest.
    expect_eq 'the old one in the log' "$(times_in_log older.)" 0
    expect_eq 'reordered' \
        "$(workers_metric 'holdfast_notifications_received_total{result="reordered"}')" 1
    expect_api 409 POST "$at" "$cid/observations" --data '{"path":"/temp"}'

    begin "$1: a storm of notifications harms nobody else"
    device_start calm "127.0.0.1:${lb_port[2]}"
    observe "$at" "$cid" /temp
    must asked storm 2000
    must calm change calm-1.
    expect_eq 'repeated' "$(field repeats)" 0
    await_log calm-1.
    taken=$(times_in_log storm)
    expect_at_most 'notifications of the storm in the log' "$taken" 400
    expect_at_least 'dropped' \
        "$(workers_metric 'holdfast_notifications_received_total{result="storm"}')" 1000
    must asked change after-the-storm.
    await_log after-the-storm.
    probe_stop asked
    probe_stop calm
}

nat_between_two
for store in lmdb redis; do
    store_start "$store"
    cluster_start 3
    killed_between_two "$store"
    in_blocks "$store"
    requests "$store"
    misbehaviour "$store"
    cluster_stop
done
