#!/usr/bin/env bash
# Redis dies, hangs, or is cut off from one worker: established sessions are served all the time,
# nothing is acknowledged that is not stored, and everything resumes by itself.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl ip jq nft openssl redis-server redis-cli

both=(routed addressed) # with Connection ID and without; one at each lb

worker_is_unready() { # id
    [[ $(curl -s -m 2 -o "$TMPDIR/unready-$1" -w '%{http_code}' \
        "http://${worker_http[$1]}/readyz") == 503 ]]
}

worker_is_ready() { # id
    answers_yes "http://${worker_http[$1]}/readyz"
}

each() { # command
    local name
    for name in "${both[@]}"; do
        "$@" "$name"
    done
}

mark() { # name
    must "$1" mark
}

# Since the mark: served, and not one event acknowledged.
expect_reading_only() { # name
    fleet_await "$1"
    must "$1" tell
    fleet_print "$1" 'without the store'
    expect_eq "$1: sessions lost" "$(field dead)" 0
    expect_eq "$1: acknowledged" "$(field acknowledged)" 0
    expect_eq "$1: refused ($(field last_refusal))" "$(field refused)" 0
}

expect_refused() { # name: a change
    must "$1" post /events 20
    expect_eq "$1: answer to a change" "$(field code)" 5.03
}

expect_code() { # name code command...
    local name=$1 code=$2
    shift 2
    must "$name" "$@"
    expect_eq "$name: $*" "$(field code)" "$code"
}

# True when a device of the fleet has had a change acknowledged since the mark: each asks for one and
# reads one in turn, so being served again may mean that it has read.
fleet_has_changed() { # name
    must "$1" tell
    (($(field acknowledged) > 0))
}

fleet_await_change() { # name
    await "$1: a change is acknowledged again" 10 fleet_has_changed "$1"
}

changes_are_taken() { # name
    must "$1" post /events 20
    [[ $(field code) == 2.04 ]]
}

# All that holds while there is no store.
without_store() {
    local id
    for id in 1 2; do
        await "worker $id says that it is not ready" 10 worker_is_unready "$id"
        expect_match "why worker $id is not ready" "$(<"$TMPDIR/unready-$id")" '[Rr]edis'
    done
    each mark
    expect_refused witness
    expect_code witness 2.05 get /whoami
    ask newcomer connect 2500
    expect_eq 'a new session without the store' "$(field ok)" ''
    each expect_reading_only
}

resumed() { # what
    local id name
    for id in 1 2; do
        await "worker $id is ready again" 20 worker_is_ready "$id"
    done
    lbs_see 2
    await 'changes are taken' 10 changes_are_taken witness
    each mark
    each fleet_await
    each fleet_await_change
    for name in "${both[@]}"; do
        fleet_rest "$name" "$1"
        expect_at_least "$name: acknowledged since" "$(field acknowledged)" 1
        expect_in_log "$name"
    done
    expect_no_handshakes
    must newcomer connect 10000
    expect_code newcomer 2.04 post /events 20
    handshakes_note
    for name in "${both[@]}"; do
        must "$name" go
    done
}

killed() {
    begin 'Redis is killed'
    handshakes_note
    redis_kill
    without_store
    begin 'Redis is there again, without the scripts'
    redis_start
    resumed 'after the death of Redis'
}

# Connections stay, answers do not come.
hung() {
    begin 'Redis hangs'
    kill -STOP "$redis_pid"
    without_store
    begin 'Redis goes on'
    kill -CONT "$redis_pid"
    resumed 'after Redis hung'
}

# Worker 3 is on a host of its own.
network_make() {
    space=failover-$$
    ip netns add "$space"
    own_namespaces+=("$space")
    ip link add "fo-$$" type veth peer name eth0 netns "$space"
    ip address add 198.18.0.1/30 dev "fo-$$"
    ip link set "fo-$$" up
    ip -n "$space" address add 198.18.0.2/30 dev eth0
    ip -n "$space" link set lo up
    ip -n "$space" link set eth0 up
    ip netns exec "$space" nft add table ip cut
    ip netns exec "$space" nft add chain ip cut out '{ type filter hook output priority 0; }'
}

cut_off() {
    ip netns exec "$space" nft add rule ip cut out tcp dport "$redis_port" drop
}

heal() {
    ip netns exec "$space" nft flush chain ip cut out
}

no_more_unavailable() { # name: among what comes in a while
    must "$1" mark
    fleet_await "$1"
    must "$1" tell
    [[ $(field acknowledged) -gt 0 && $(field unavailable) == 0 ]]
}

partitioned() {
    local name cut_us
    begin 'one worker is cut off from Redis: its sessions go elsewhere'
    local store_url=redis://198.18.0.1:$redis_port worker_exec=(ip netns exec "$space")
    local worker_address=198.18.0.2
    worker_start 3
    lbs_see 3
    worker_exec=()
    fleet_start distant 0 1 --devices 60
    both+=(distant)
    handshakes_note
    must distant mark 3
    expect_at_least 'sessions of worker 3' "$(field concerned)" 1
    cut_off
    cut_us=${EPOCHREALTIME/./}
    for name in "${both[@]}"; do
        await "$name: changes are taken" 20 no_more_unavailable "$name"
    done
    echo "  changes of all are taken again after $(((${EPOCHREALTIME/./} - cut_us) / 1000)) ms"
    await 'worker 3 says that it is not ready' 10 worker_is_unready 3
    expect_no_handshakes
    begin 'and is back'
    heal
    await 'worker 3 is ready again' 20 worker_is_ready 3
    lbs_see 3
    each mark
    each fleet_await
    for name in "${both[@]}"; do
        fleet_rest "$name" 'after the partition'
        expect_in_log "$name"
    done
    expect_no_handshakes
    process_stop 'worker 3' "${worker_pid[3]}"
    worker_forget 3
}

network_make
redis_binds=(127.0.0.1 198.18.0.1)
store_start redis
cluster_start 2
fleet_start routed 0 1 --devices 60
fleet_start addressed none 2 --devices 60
probe_start witness --server "127.0.0.1:${lb_port[1]}" --psk "$identity_b:$key_b"
must witness connect
expect_code witness 2.04 post /events 20
probe_start newcomer --server "127.0.0.1:${lb_port[1]}" --psk "$identity_b:$key_b"
killed
hung
partitioned
for name in "${both[@]}" witness newcomer; do
    probe_stop "$name"
done
cluster_stop
