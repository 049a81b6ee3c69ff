#!/usr/bin/env bash
# Observers and publishers: libcoap's clients over DTLS, through lbs and workers, with Redis and with
# LMDB; a worker that is killed between two notifications, an observer that is slow, one that
# acknowledges nothing, one that answers with a Reset, one that misses a state, and one whose NAT
# forgets it.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl ip nft conntrack redis-server redis-cli openssl

client=$PEERS/mbedtls/coap-client
declare -A observer_pid
observer_exec=()

# Observes a topic for a time, with a Connection ID, and says all that it hears. It takes a new port
# after so many packets; 0: never.
observer_s=90
observer_port_each=0
observer_start() { # name uri options...
    local name=$1 uri=$2
    shift 2
    : >"$TMPDIR/$name.log"
    "${observer_exec[@]}" "$client" -v 6 -w -d "$observer_port_each" -B 100 -s "$observer_s" "$@" -u "$identity" -k "0x$key" \
        "$uri" >"$TMPDIR/$name.log" 2>&1 </dev/null &
    observer_pid[$name]=$!
    own_pids+=("$!")
}

# It may have ended by itself: one whose topic is gone does.
observer_kill() { # name
    has_ended "${observer_pid[$1]}" || kill -KILL "${observer_pid[$1]}"
    wait "${observer_pid[$1]}" 2>/dev/null || true
    forget_pid "${observer_pid[$1]}"
}

publisher_exec=()
publish() { # uri text
    local log=$TMPDIR/publisher.log
    timeout 20 "${publisher_exec[@]}" "$client" -v 6 -B 15 -m put -t 0 -e "$2" -u "$identity_b" \
        -k "0x$key_b" "$1" >"$log" 2>&1 </dev/null || fail "the publisher of $2 ended with $?"
    grep -q 'c:2\.0[14] ' "$log" || fail "no 2.01 or 2.04 for $2"
}

# The states that an observer has been told, the numbers that came with them, what it has asked.
told() { # name
    grep -aE 'c:2\.05 .*Observe:' "$TMPDIR/$1.log" | sed -E "s/.*:: '(.*)'.*/\1/"
}
was_told() { # name text
    told "$1" | grep -qxF -- "$2"
}
await_told() { # name text
    await "$1 is told $2" 20 was_told "$1" "$2"
}
expect_increasing() { # name; equal is a notification that was sent again
    local numbers
    numbers=$(grep -aE 'c:2\.05 .*Observe:' "$TMPDIR/$1.log" | sed -E 's/.*Observe:([0-9]+).*/\1/')
    expect_eq "$1: order of its numbers" "$(sort -n <<<"$numbers")" "$numbers"
}
expect_one_request() { # name
    expect_eq "$1: requests" "$(grep -acE '(CON|NON) c:GET' "$TMPDIR/$1.log" || true)" 1
}

observers() { # how many, over all workers
    [[ $(workers_metric 'holdfast_observations{role="server"}') == "$1" ]]
}

# The worker that holds the one observer.
holder() {
    local id
    for id in "${!worker_pid[@]}"; do
        [[ $(worker_metric "$id" 'holdfast_observations{role="server"}') != 1 ]] || echo "$id"
    done
}

uri() { # lb
    echo "coaps://127.0.0.1:${lb_port[$1]}/ps/room"
}

# Each publisher is a new client, whose address decides which worker serves it.
two_workers() {
    local each
    begin "$store: what either worker's clients publish is told"
    publish "$(uri 1)" first
    observer_start reader "$(uri 1)"
    await_told reader first
    await 'one observer' 10 observers 1
    for each in a b c d e f; do
        publish "$(uri 2)" "$each"
    done
    await_told reader f
    expect_increasing reader
    expect_one_request reader
}

killed_worker() {
    local dead
    begin "$store: kill -9 of the observer's worker between two notifications"
    dead=$(holder)
    worker_kill "$dead"
    publish "$(uri 2)" 'from an heir'
    await_told reader 'from an heir'
    expect_increasing reader
    expect_one_request reader
    expect_eq 'sessions adopted' "$(workers_metric holdfast_sessions_adopted_total)" 1

    begin "$store: and another notification, and again when the worker is back"
    publish "$(uri 1)" 'from the heir again'
    await_told reader 'from the heir again'
    worker_start "$dead"
    lbs_see 2
    publish "$(uri 2)" 'from home'
    await_told reader 'from home'
    expect_increasing reader
    expect_one_request reader
}

deregistered() {
    begin "$store: whoever deregisters is told no more"
    observer_s=1 observer_start brief "$(uri 1)"
    await_told brief "$1"
    wait "${observer_pid[brief]}" || fail "coap-client ended with $?"
    forget_pid "${observer_pid[brief]}"
    await 'deregistered' 10 ended_by deregistered 1
}

ended_by() { # reason count
    [[ $(workers_metric "holdfast_observers_ended_total{reason=\"$1\"}") == "$2" ]]
}

removed() {
    begin "$store: a topic that is removed sends its observers away"
    timeout 20 "$client" -B 15 -m delete -u "$identity_b" -k "0x$key_b" "$(uri 1)" \
        >"$TMPDIR/publisher.log" 2>&1 </dev/null || fail "the remover ended with $?"
    await 'reader is told 4.04' 10 grep -aq 'CON c:4.04' "$TMPDIR/reader.log"
    await 'no observers' 10 observers 0
    await 'sent away' 10 ended_by gone 1
    observer_kill reader
}

# Each of its ACKs comes from a port of its own, and the next notification goes there.
moving_observer() {
    local each before
    begin 'an observer whose every packet comes from a new port'
    publish "$(uri 1)" at-rest
    before=$(workers_metric holdfast_address_changes_total)
    observer_port_each=1 observer_start moving "$(uri 2)"
    await_told moving at-rest
    for each in a b c d e; do
        publish "$(uri 1)" "$each"
        await_told moving "$each"
    done
    expect_increasing moving
    expect_one_request moving
    expect_at_least 'address changes' \
        $(($(workers_metric holdfast_address_changes_total) - before)) 5
    observer_kill moving
    publish "$(uri 1)" 'to nobody'
    await 'off the list' 20 ended_by timeout 1
}

# Stopped, it acknowledges nothing; each notification is confirmable.
slow_observer() {
    local each
    begin 'a slow observer is told the newest state, not all of them'
    publish "$(uri 1)" 0
    observer_start slow "$(uri 1)"
    await_told slow 0
    publish "$(uri 1)" 1
    await_told slow 1
    kill -STOP "${observer_pid[slow]}"
    for each in 2 3 4 5 6 7 8; do
        publish "$(uri 1)" "$each"
    done
    kill -CONT "${observer_pid[slow]}"
    await_told slow 8
    expect_increasing slow
    expect_at_most 'notifications' "$(told slow | sort -u | wc -l)" 5

    begin 'an observer that acknowledges nothing is off the list'
    kill -STOP "${observer_pid[slow]}"
    publish "$(uri 1)" 9
    await 'off the list' 20 ended_by timeout 2
    await 'no observers' 10 observers 0
    observer_kill slow
}

# ---- by hand ------------------------------------------------------------------------------------

# Sessions whose messages are spelled out: what they get is answered as the test says, or not at all.
by_hand_start() { # name id:key
    program_start "$1" "$bin/tests/coap_probe" --server "127.0.0.1:${lb_port[1]}" --psk "$2"
}

say() { # name message
    ask "$1" "send $2"
    expect_eq "$1 says $2" "$answer" sent
}

# Its groups are in BASH_REMATCH.
hears() { # name regular-expression of the next message
    ask "$1" 'receive 10000'
    expect_match "what $1 hears" "$answer" "^$2\$"
}

takes() { # name token state, of a notification; acknowledges it if that is wanted
    hears "$1" "(CON|NON) 2.05 ([0-9]+) $2 .*=$3"
    [[ ${BASH_REMATCH[1]} == NON ]] || say "$1" "ACK 0.00 ${BASH_REMATCH[2]} -"
}

register() { # name id token topic, with its state
    say "$1" "CON 0.01 $2 $3 6=#0 11=ps 11=$4"
    hears "$1" "ACK 2.05 $2 $3 .*6=#[0-9]+ .*=$5"
}

# Whatever was sent before its answer has come before it.
expect_no_other() { # name id topic state
    say "$1" "CON 0.01 $2 ff 11=ps 11=$3"
    hears "$1" "ACK 2.05 $2 ff .*=$4"
}

topic() {
    echo "coaps://127.0.0.1:${lb_port[1]}/ps/$1"
}

# One of two relations of a session is rejected: what an heir does for the other shows that it has
# heard of that one only.
rejected() { # NON or CON
    local dead resets
    begin "$store: a Reset for a $1 takes the observer off the list"
    publish "$(topic room)" r1
    publish "$(topic hall)" h1
    by_hand_start rejecting "$identity:$key"
    register rejecting 1 aa room r1
    register rejecting 2 bb hall h1
    await 'two relations' 10 observers 2
    resets=$(workers_metric 'holdfast_observers_ended_total{reason="reset"}')
    publish "$(topic room)" r2
    hears rejecting "$1 2.05 ([0-9]+) aa .*=r2"
    say rejecting "RST 0.00 ${BASH_REMATCH[1]} -"
    await 'off the list' 10 observers 1
    await 'ended by it' 10 ended_by reset "$((resets + 1))"

    begin "$store: the heir of its worker, killed with -9, does not know it either"
    dead=$(holder)
    worker_kill "$dead"
    await 'an heir has the other relation' 20 observers 1
    takes rejecting bb h1 # it cannot know what has been told before
    publish "$(topic room)" r3
    publish "$(topic hall)" h2
    takes rejecting bb h2
    expect_no_other rejecting 3 room r3
    expect_eq 'relations' "$(workers_metric 'holdfast_observations{role="server"}')" 1
    probe_stop rejecting
    worker_start "$dead"
    lbs_see 2
}

# Publishes within milliseconds, so that it is before the repetition.
publish_by_hand() { # id text-or-*octets
    say publishing "CON 0.03 $1 - 11=ps 11=slow 12=#0 =$2"
    hears publishing "ACK 2.0[14] $1 -.*"
}

# RFC 7641 section 4.5.2: it keeps silent for the first copy, and then there is a newer state.
superseded() {
    local first second number resets
    begin 'an observer that misses one state gets the newest in the repetition'
    by_hand_start publishing "$identity_b:$key_b"
    by_hand_start silent "$identity:$key"
    publish_by_hand 1 s1
    register silent 1 aa slow s1
    publish_by_hand 2 s2
    hears silent 'CON 2.05 ([0-9]+) aa .*6=#([0-9]+) .*=s2'
    first=${BASH_REMATCH[1]}
    number=${BASH_REMATCH[2]}
    publish_by_hand 3 s3
    publish_by_hand 4 '*600'
    hears silent 'CON 2.05 ([0-9]+) aa .*6=#([0-9]+) .*=p+'
    second=${BASH_REMATCH[1]}
    [[ $second != "$first" ]] || fail 'another state with the same message id'
    number=$((BASH_REMATCH[2] - number & 0xffffff))
    ((number >= 2 && number < 0x800000)) || fail "two states later, and a number $number further"

    begin 'its ACK of the older state leaves the newer one to be repeated'
    say silent "ACK 0.00 $first -"
    hears silent "CON 2.05 $second aa .*=p+"
    say silent "ACK 0.00 $second -"
    expect_no_other silent 2 slow 'p+'
    expect_eq 'relations' "$(workers_metric 'holdfast_observations{role="server"}')" 1

    begin 'its Reset of the older state is one of the newer one too'
    publish_by_hand 5 s5
    hears silent 'CON 2.05 ([0-9]+) aa .*=s5'
    first=${BASH_REMATCH[1]}
    publish_by_hand 6 s6
    hears silent 'CON 2.05 ([0-9]+) aa .*=s6'
    [[ ${BASH_REMATCH[1]} != "$first" ]] || fail 'another state with the same message id'
    resets=$(workers_metric 'holdfast_observers_ended_total{reason="reset"}')
    say silent "RST 0.00 $first -"
    await 'off the list' 10 observers 0
    await 'ended by it' 10 ended_by reset "$((resets + 1))"
    probe_stop silent
    probe_stop publishing
}

# ---- NAT ----------------------------------------------------------------------------------------

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
    ip -n "$device" addr add 10.78.1.2/24 dev wan
    ip -n "$nat" addr add 10.78.1.1/24 dev lan
    ip -n "$nat" addr add 10.78.2.1/24 dev wan
    ip -n "$server" addr add 10.78.2.2/24 dev lan
    ip -n "$device" link set wan up
    ip -n "$nat" link set lan up
    ip -n "$nat" link set wan up
    ip -n "$server" link set lan up
    ip -n "$device" route add default via 10.78.1.1
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

moved() { # changes
    [[ $(address_changes) == "$1" ]]
}

# It says nothing but a ping a second, as whoever is behind a NAT has to, and never asks again.
nat_forgets() {
    local topic=coaps://10.78.2.2
    begin 'the NAT forgets the observer between two notifications'
    network
    node_exec=(ip netns exec "$server")
    publisher_exec=("${node_exec[@]}")
    observer_exec=(ip netns exec "$device")
    node_start nat
    topic+=:$coaps_port/ps/room
    publish "$topic" before
    observer_start nomad "$topic" -K 1
    await_told nomad before
    publish "$topic" between
    await_told nomad between
    ip netns exec "$nat" conntrack -F 2>"$TMPDIR/conntrack.log" || fail 'conntrack -F'
    await 'the server knows the new address' 10 moved 1
    publish "$topic" after
    await_told nomad after
    expect_increasing nomad
    expect_one_request nomad
    observer_kill nomad
    node_stop
}

store=redis
store_start redis
cluster_start 2
two_workers
killed_worker
deregistered 'from home'
removed
rejected NON
cluster_stop

store=lmdb
export HOLDFAST_OBSERVE_CONFIRM_EVERY=1 HOLDFAST_ACK_TIMEOUT_MS=1000 HOLDFAST_MAX_RETRANSMIT=2
store_start lmdb
cluster_start 2
two_workers
killed_worker
removed
moving_observer
slow_observer
superseded
rejected CON
cluster_stop
unset HOLDFAST_OBSERVE_CONFIRM_EVERY HOLDFAST_ACK_TIMEOUT_MS HOLDFAST_MAX_RETRANSMIT

nat_forgets
