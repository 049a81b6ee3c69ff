#!/usr/bin/env bash
# Redis as operators run it, under the load of devices: Sentinel replaces a primary that was killed;
# a cluster loses a master and moves slots, all of it over TLS with client certificates. With wait=1
# nothing that a device saw acknowledged is missing afterwards, and no device does a handshake. The
# workers' links are behind a wildcard.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl redis-server redis-cli

devices=50
both=(routed addressed)
worker_link=0.0.0.0

declare -A node_of # port -> pid
cli=(redis-cli -h 127.0.0.1)

node_answers_or_ended() { # port
    has_ended "${node_of[$1]}" || [[ $("${cli[@]}" -p "$1" ping 2>/dev/null) == PONG ]]
}

# A server on a port that is free, with its cluster bus 10000 above it; the port is in $port.
redis_node() { # arguments... with PORT where its port belongs
    local tries
    for tries in 1 2 3 4 5 6 7 8; do
        port=$((12000 + RANDOM % 9000))
        mkdir -p "$TMPDIR/redis-$port"
        redis-server "${@//PORT/$port}" --bind 127.0.0.1 --save '' --dir "$TMPDIR/redis-$port" \
            >>"$TMPDIR/redis-$port.log" 2>&1 &
        node_of[$port]=$!
        own_pids+=("$!")
        await 'a server answers or ends' 10 node_answers_or_ended "$port"
        is_running "${node_of[$port]}" && return
        forget_pid "${node_of[$port]}"
        unset "node_of[$port]"
    done
    fail "no port for redis-server (after $tries)"
}

nodes_stop() {
    local each
    for each in "${!node_of[@]}"; do
        process_kill "${node_of[$each]}"
        unset "node_of[$each]"
    done
}

says() { # words port command...
    local words=$1 port=$2
    shift 2
    [[ $("${cli[@]}" -p "$port" "$@" 2>/dev/null) == *"$words"* ]]
}

workers_are() { # ready | unready
    local id
    for id in "${!worker_pid[@]}"; do
        if answers_yes "http://${worker_http[$id]}/readyz"; then
            [[ $1 == ready ]] || return 1
        else
            [[ $1 == unready ]] || return 1
        fi
    done
}

serve_devices() {
    cluster_start 2
    fleet_start routed 0 1 --devices "$devices"
    fleet_start addressed none 2 --devices "$devices"
    handshakes_note
}

mark_both() {
    local name
    for name in "${both[@]}"; do
        must "$name" mark
    done
}

# All are served again, nothing that was acknowledged is missing, and the load goes on.
settle() { # what
    local name
    for name in "${both[@]}"; do
        fleet_await "$name"
        fleet_rest "$name" "$1"
        expect_in_log "$name"
        must "$name" go
    done
    expect_no_handshakes
}

leave_devices() {
    local name
    for name in "${both[@]}"; do
        probe_stop "$name"
    done
    cluster_stop
    nodes_stop
}

# ---- Sentinel -----------------------------------------------------------------------------------

event_log() {
    local port
    for port in $(log_ports); do
        "${cli[@]}" -p "$port" --scan --pattern '*:log' | sed 's/.*/XRANGE & - +/' |
            "${cli[@]}" -p "$port" --raw
    done
}

primary_port() {
    "${cli[@]}" -p "${sentinels[0]}" sentinel get-master-addr-by-name holdfast | sed -n 2p
}

log_ports() {
    if ((${#sentinels[@]} > 0)); then primary_port; else master_ports; fi
}

primary_is_not() { # port
    [[ $(primary_port) != "$1" ]] && says role:master "$(primary_port)" info replication
}

sentinels=()
sentinel_start() { # primary
    local number port config
    for number in 1 2 3; do
        port=$((21000 + RANDOM % 1000))
        config=$TMPDIR/sentinel-$number.conf
        printf '%s\n' "sentinel monitor holdfast 127.0.0.1 $1 2" \
            'sentinel down-after-milliseconds holdfast 700' \
            'sentinel failover-timeout holdfast 4000' >"$config"
        redis-server "$config" --sentinel --port "$port" --bind 127.0.0.1 --dir "$TMPDIR" \
            >>"$TMPDIR/sentinel-$number.log" 2>&1 &
        node_of[$port]=$!
        own_pids+=("$!")
        await 'a sentinel answers or ends' 10 node_answers_or_ended "$port"
        is_running "${node_of[$port]}" || fail 'a sentinel ended at start'
        sentinels+=("$port")
    done
    for port in "${sentinels[@]}"; do
        await 'sentinels know each other' 15 says $'num-other-sentinels\n2' "$port" \
            sentinel master holdfast
        await 'and the replicas' 15 says $'num-slaves\n2' "$port" sentinel master holdfast
    done
}

sentinel() {
    local primary number
    redis_node --port PORT --appendonly yes --appendfsync everysec --repl-diskless-sync-delay 0
    primary=$port
    for number in 1 2; do
        redis_node --port PORT --replicaof 127.0.0.1 "$primary" --repl-diskless-sync-delay 0
    done
    await 'two replicas follow' 15 says connected_slaves:2 "$primary" info replication
    await 'both are in step' 15 says 'slave1:ip=127.0.0.1' "$primary" info replication
    sentinel_start "$primary"
    store_url=redis+sentinel://127.0.0.1:${sentinels[0]},127.0.0.1:${sentinels[1]},127.0.0.1:${sentinels[2]}
    store_url+='/holdfast?wait=1'

    begin 'Sentinel: the primary is killed under load'
    serve_devices
    mark_both
    process_kill "${node_of[$primary]}"
    unset "node_of[$primary]"
    await 'another primary' 20 primary_is_not "$primary"
    await 'workers are ready again' 20 workers_are ready
    mark_both
    settle 'primary killed'

    begin 'Sentinel: a worker is killed after that'
    mark_both
    worker_kill 1
    settle 'and a worker'
    leave_devices
    sentinels=()
}

# ---- Cluster over TLS ---------------------------------------------------------------------------

certificate() { # name subject-alternative-name
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
        -keyout "$TMPDIR/$1.key" -out "$TMPDIR/$1.csr" 2>>"$TMPDIR/openssl.log"
    openssl x509 -req -in "$TMPDIR/$1.csr" -CA "$TMPDIR/ca.pem" -CAkey "$TMPDIR/ca.key" \
        -CAcreateserial -days 2 -out "$TMPDIR/$1.pem" -extfile <(echo "subjectAltName=$2") \
        2>>"$TMPDIR/openssl.log"
}

certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=ca -keyout "$TMPDIR/ca.key" -out "$TMPDIR/ca.pem" 2>>"$TMPDIR/openssl.log"
    certificate server IP:127.0.0.1
    certificate client DNS:holdfast
}

cluster_nodes=()
node_id() { # port
    "${cli[@]}" -p "$1" cluster myid
}

# The masters' own view: a dead one is named by the others and not asked.
master_ports() {
    "${cli[@]}" -p "${cluster_nodes[1]}" cluster nodes |
        awk '$3 ~ /master/ && $3 !~ /fail/ { split($2, host, /[:@]/); print host[2] }'
}

redis_cluster_start() {
    local index tls
    tls=(--port 0 --tls-port PORT --tls-cluster yes --tls-replication yes --tls-auth-clients yes
        --tls-ca-cert-file "$TMPDIR/ca.pem" --tls-cert-file "$TMPDIR/server.pem"
        --tls-key-file "$TMPDIR/server.key")
    for index in 0 1 2 3 4 5 6; do
        redis_node "${tls[@]}" --cluster-enabled yes --cluster-node-timeout 1500 \
            --cluster-replica-validity-factor 0 --repl-diskless-sync-delay 0
        cluster_nodes+=("$port")
    done
    for index in 1 2 3 4 5 6; do
        "${cli[@]}" -p "${cluster_nodes[0]}" cluster meet 127.0.0.1 "${cluster_nodes[index]}" \
            >"$TMPDIR/meet"
    done
    for index in 0 1 2; do
        "${cli[@]}" -p "${cluster_nodes[index]}" cluster addslotsrange \
            $((index * 5462)) $((index < 2 ? index * 5462 + 5461 : 16383)) >"$TMPDIR/slots"
    done
    for port in "${cluster_nodes[@]}"; do
        await 'nodes know each other' 20 says cluster_known_nodes:7 "$port" cluster info
        await 'all slots are served' 20 says cluster_state:ok "$port" cluster info
    done
    # Two for the one that is killed: its successor needs one too.
    for index in 3 4 5 6; do
        "${cli[@]}" -p "${cluster_nodes[index]}" cluster replicate \
            "$(node_id "${cluster_nodes[index == 6 ? 0 : index - 3]}")" >"$TMPDIR/replicate"
    done
    for index in 3 4 5 6; do
        await 'replicas follow' 20 says master_link_status:up "${cluster_nodes[index]}" \
            info replication
    done
}

slots_moved() {
    "${cli[@]}" --cluster reshard "127.0.0.1:${cluster_nodes[1]}" --cluster-yes \
        --cluster-from "$(node_id "${cluster_nodes[1]}")" \
        --cluster-to "$(node_id "${cluster_nodes[2]}")" --cluster-slots 800 \
        >"$TMPDIR/reshard.log" 2>&1 || fail "slots do not move: $(tail -n 3 "$TMPDIR/reshard.log")"
}

is_replaced() { # port: of a master
    (($(master_ports | wc -l) == 3)) && ! master_ports | grep -qx "$1"
}

cluster_over_tls() {
    local killed
    certificates
    cli=(redis-cli -h 127.0.0.1 --tls --cacert "$TMPDIR/ca.pem" --cert "$TMPDIR/client.pem"
        --key "$TMPDIR/client.key")
    redis_cluster_start
    killed=${cluster_nodes[0]}
    store_url=rediss+cluster://127.0.0.1:${cluster_nodes[0]},127.0.0.1:${cluster_nodes[1]}
    store_url+="?wait=1&ca=$TMPDIR/ca.pem&cert=$TMPDIR/client.pem&key=$TMPDIR/client.key"

    begin 'Cluster over TLS: slots move under load'
    serve_devices
    mark_both
    slots_moved
    settle 'slots moved'

    begin 'Cluster over TLS: a master is killed under load'
    mark_both
    process_kill "${node_of[$killed]}"
    unset "node_of[$killed]"
    await 'its replica takes over' 20 is_replaced "$killed"
    await 'workers are ready again' 20 workers_are ready
    mark_both
    settle 'master killed'

    begin 'Cluster over TLS: a worker is killed after that'
    mark_both
    worker_kill 1
    settle 'and a worker'
    leave_devices
}

sentinel
cluster_over_tls
