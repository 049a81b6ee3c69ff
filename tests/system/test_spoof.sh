#!/usr/bin/env bash
# An address changes on an authentic record that is newer than all others, and on nothing else. On
# both I/O backends.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need curl jq

dropped() { # reason
    metric "holdfast_records_dropped_total{reason=\"$1\"}"
}

# The device is where it was, has its session, and nobody else was told anything.
expect_unmoved() { # name
    must "$1" get /whoami
    expect_eq 'requests sent again' "$(field timeouts)" 0
    expect_match 'address' "$(whoami_line address)" ":$(field port)\$"
    expect_eq 'address changes' "$(whoami_line address_changes)" "${changes_of[$1]}"
    must "$1" loot
    expect_eq 'datagrams to the attacker' "$(field datagrams)" 0
}

# What the attacker sends is dropped for a reason, and moves nothing.
expect_dropped() { # reason name command hex
    local before
    before=$(dropped "$1")
    must "$2" "$3" "$4"
    expect_unmoved "$2"
    expect_eq "dropped as $1" "$(dropped "$1")" $((before + 1))
}

with_connection_ids() {
    local old withheld i
    declare -A changes_of=([alice]=0 [bob]=0)
    probe_start alice --server "127.0.0.1:$coaps_port" --psk "$identity:$key"
    probe_start bob --server "127.0.0.1:$coaps_port" --psk "$identity_b:$key_b" --cid 5
    must alice connect
    must bob connect
    must alice get /tstun
    old=$(field record)

    begin "$io: a record that looks newer, from another address"
    expect_dropped bad_tag alice attack "$(newer_looking "$old")"

    begin "$io: a record again, from another address"
    expect_dropped replayed alice attack "$old"

    begin "$io: a record again, from its own address"
    expect_dropped replayed alice send "$old"

    begin "$io: an authentic record that was overtaken, from another address"
    must alice seal /tstun
    withheld=$(field record)
    must alice get /tstun
    must alice attack "$withheld"
    expect_unmoved alice

    begin "$io: alice's records from bob's address"
    expect_dropped replayed bob send "$old"
    expect_dropped bad_tag bob send "$(newer_looking "$old")"
    expect_unmoved alice

    begin "$io: a record from before the window"
    for ((i = 0; i < 70; i++)); do
        must alice get /tstun
    done
    expect_dropped ancient alice attack "$old"

    begin "$io: and one that is authentic and newest does move the session"
    must alice rebind
    changes_of[alice]=1
    expect_unmoved alice
    expect_unmoved bob
    must alice close
    must bob close
    probe_stop alice
    probe_stop bob
}

without_connection_ids() {
    begin "$io: without Connection IDs, alice's record from bob's address"
    local record
    declare -A changes_of=([alice]=0 [bob]=0)
    probe_start alice --server "127.0.0.1:$coaps_port" --psk "$identity:$key" --cid none
    probe_start bob --server "127.0.0.1:$coaps_port" --psk "$identity_b:$key_b" --cid none
    must alice connect
    must bob connect
    must bob get /tstun
    must alice get /tstun
    must alice get /tstun
    record=$(field record)
    expect_dropped bad_tag bob send "$record"
    expect_unmoved alice

    begin "$io: without Connection IDs, a record from nowhere"
    expect_dropped no_session alice attack "$record"
    expect_unmoved bob
    must alice close
    must bob close
    probe_stop alice
    probe_stop bob
}

for io in uring mmsg; do
    node_start "spoof-$io" --io "$io"
    with_connection_ids
    without_connection_ids
    expect_eq handshakes "$(handshakes)" 4
    expect_eq 'address changes' "$(address_changes)" 1
    node_stop
done
