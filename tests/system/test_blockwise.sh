#!/usr/bin/env bash
# Bodies in blocks (RFC 7959) with libcoap's client: whole in both directions, from a new port with
# each packet, over the limits, while the worker dies, and beside other sessions.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need curl jq cmp

mbedtls=$PEERS/mbedtls/coap-client-ccm8
wolfssl=$PEERS/wolfssl/coap-client
limit=16384 # COAP_BODY_MAX

# What it prints but the payload, which goes to a file, is in $said.
coap() { # client file options... uri-path
    local client=$1 file=$2
    shift 2
    rm -f "$file"
    said=$("$client" -v 3 -B 20 -u "$identity" -k "0x$key" -o "$file" "${@:1:$#-1}" \
        "coaps://127.0.0.1:$coaps_port${!#}" 2>&1 </dev/null | tr -d '\0') || true
}

expect_same() { # what file want
    cmp "$2" "$3" || fail "$1: another body came back ($said)"
}

body() { # octets file
    head -c "$1" /dev/urandom | base64 -w 0 >"$2"
    truncate -s "$1" "$2"
}

whole() { # client name options...
    local client=$1 name=$2 size
    shift 2
    begin "$name: bodies of each size, there and back"
    for size in 1 1024 1025 5000 "$limit"; do
        body "$size" "$TMPDIR/there"
        coap "$client" "$TMPDIR/back" "$@" -m post -f "$TMPDIR/there" /echo
        expect_same "$size octets" "$TMPDIR/back" "$TMPDIR/there"
    done
}

# An address of its own for each, since the ports that coap-client takes are the next ones, free or
# not.
new_ports=()
take_ports() {
    new_ports=(-d 1 -a "127.$((RANDOM % 100 + 128)).$((RANDOM % 256)).$((RANDOM % 254 + 1))"
        -p $((RANDOM % 10000 + 10000)))
}

# Californium, which keeps its blocks by address, answers 4.08 here.
new_port_each() { # block-size
    begin "a new port with each packet: a request in blocks of $1"
    local before got
    body "$limit" "$TMPDIR/there"
    before=$(metric 'holdfast_coap_bodies_total{direction="in"}')
    take_ports
    coap "$mbedtls" "$TMPDIR/back" "${new_ports[@]}" -b "$1" -m post -f "$TMPDIR/there" '/echo?rlen=32'
    head -c 32 "$TMPDIR/there" >"$TMPDIR/start"
    expect_same 'the reply' "$TMPDIR/back" "$TMPDIR/start"
    got=$(metric 'holdfast_coap_bodies_total{direction="in"}')
    expect_eq 'bodies' "$got" $((before + 1))
    expect_eq 'blocks refused' \
        "$(metric 'holdfast_coap_blocks_refused_total{reason="incomplete"}')" 0
}

new_port_each_reply() {
    begin 'a new port with each packet: a reply in blocks of 64'
    coap "$mbedtls" "$TMPDIR/there" -d 0 /large
    expect_at_least 'octets of /large' "$(stat -c %s "$TMPDIR/there")" 1025
    take_ports
    coap "$mbedtls" "$TMPDIR/back" "${new_ports[@]}" -b 64 /large
    expect_same /large "$TMPDIR/back" "$TMPDIR/there"

    begin 'a new port with each packet: a reply in blocks that fit'
    take_ports
    coap "$mbedtls" "$TMPDIR/back" "${new_ports[@]}" /large
    expect_same /large "$TMPDIR/back" "$TMPDIR/there"
}

too_large() {
    begin 'one octet over the limit'
    body $((limit + 1)) "$TMPDIR/there"
    coap "$mbedtls" "$TMPDIR/back" -d 0 -m post -f "$TMPDIR/there" /echo
    expect_match 'the reply' "$said" '4\.13'
    body 1025 "$TMPDIR/there"
    coap "$mbedtls" "$TMPDIR/back" -d 0 -b 64 -m post -f "$TMPDIR/there" /events
    expect_match 'an event' "$said" '4\.13'
    body 1024 "$TMPDIR/there"
    coap "$mbedtls" "$TMPDIR/back" -d 0 -b 64 -m post -f "$TMPDIR/there" /events
    expect_eq 'an event of 1024 octets' "$said" ''
}

plain() {
    begin 'plain CoAP, with an Echo'
    body 5000 "$TMPDIR/there"
    "$mbedtls" -v 3 -B 20 -m post -f "$TMPDIR/there" -o "$TMPDIR/back" \
        "coap://127.0.0.1:$coap_port/echo"
    said='' expect_same 'plain' "$TMPDIR/back" "$TMPDIR/there"
}

transfer_is_under_way() {
    [[ $(metric holdfast_coap_transfers) != 0 ]] || has_ended "$1"
}

# In blocks of 16, 1,024 messages each way; the worker dies among them.
killed_worker() {
    begin 'kill -9 of the worker in the middle of it'
    local round pid victims lost=0
    body "$limit" "$TMPDIR/there"
    for round in 1 2 3; do
        rm -f "$TMPDIR/back"
        "$mbedtls" -v 3 -B 60 -u "$identity" -k "0x$key" -d 0 -b 16 -m post \
            -f "$TMPDIR/there" -o "$TMPDIR/back" "coaps://127.0.0.1:$coaps_port/echo" \
            >"$TMPDIR/said-$round" 2>&1 </dev/null &
        pid=$!
        own_pids+=("$pid")
        await 'blocks are under way' 10 transfer_is_under_way "$pid"
        mapfile -t victims < <(children holdfast-worker)
        kill -KILL "${victims[@]}"
        await 'the client ends' 90 has_ended "$pid"
        wait "$pid" || true
        forget_pid "$pid"
        if [[ -s $TMPDIR/back ]]; then
            said=$(<"$TMPDIR/said-$round") expect_same 'after the kill' "$TMPDIR/back" "$TMPDIR/there"
        else
            expect_match 'what the client was told' "$(tr -d '\0' <"$TMPDIR/said-$round")" '4\.08'
            lost=$((lost + 1))
        fi
        await 'the node is ready again' 20 is_ready
    done
    expect_at_least 'transfers that ended in 4.08' "$lost" 1
}

# Microseconds of a request, on the average of a thousand.
request_us() {
    local before=${EPOCHREALTIME/./}
    must other roam 1000
    expect_eq 'right answers' "$(field right)" 1000
    echo $(((${EPOCHREALTIME/./} - before) / 1000))
}

bulk_clients() {
    while true; do
        "$mbedtls" -v 3 -B 20 -u "$identity_b" -k "0x$key_b" -d 0 -m post \
            -f "$TMPDIR/there" -o "$TMPDIR/bulk-$1" "coaps://127.0.0.1:$coaps_port/echo" </dev/null
    done
}

beside_others() {
    begin 'other sessions beside bulk transfers'
    local alone_us beside_us bulks before moved pids=() pid
    body "$limit" "$TMPDIR/there"
    probe_start other --server "127.0.0.1:$coaps_port" --psk "$identity:$key" --cid 4
    must other connect
    alone_us=$(request_us)
    before=$(metric 'holdfast_coap_bodies_total{direction="out"}')
    for bulks in 1 2; do
        bulk_clients "$bulks" >"$TMPDIR/bulk-$bulks.log" 2>&1 &
        pids+=("$!")
        own_pids+=("$!")
    done
    beside_us=$(request_us)
    moved=$(($(metric 'holdfast_coap_bodies_total{direction="out"}') - before))
    for pid in "${pids[@]}"; do
        kill -TERM "$pid"
        wait "$pid" 2>/dev/null || true
        forget_pid "$pid"
    done
    echo "  a request: $alone_us us alone, $beside_us us beside $moved bodies of $limit octets"
    expect_at_least 'bodies moved meanwhile' "$moved" 1
    expect_at_most 'us of a request' "$beside_us" $((10 * alone_us + 5000))
    must other close
    probe_stop other
}

node_start blockwise --plugtest
whole "$mbedtls" 'mbedTLS, with Connection ID' -d 0
whole "$mbedtls" 'mbedTLS, without Connection ID'
whole "$wolfssl" 'wolfSSL'
for size in 1024 256 64; do
    new_port_each "$size"
done
new_port_each_reply
too_large
plain
beside_others
node_stop
node_start killed --workers 2
killed_worker
node_stop
