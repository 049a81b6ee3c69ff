#!/usr/bin/env bash
# Clients that nobody here wrote: libcoap's on mbedTLS and on wolfSSL, mbedTLS's ssl_client2; and the
# probe for what they cannot do. On both I/O backends.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need curl jq

mbedtls=$PEERS/mbedtls/coap-client
mbedtls_ccm8=$PEERS/mbedtls/coap-client-ccm8
wolfssl=$PEERS/wolfssl/coap-client
hex='[0-9a-f]'

coap() { # client options... uri-path
    local client=$1
    shift
    "$client" -v 3 -w -B 10 -u "$identity" -k "0x$key" "${@:1:$#-1}" "$base${!#}"
}

# Everything that there is to ask for, each by a client of its own.
ask_all() { # client suite cid|none options...
    local client=$1 suite=$2 cid=$3 before got
    shift 3
    before=$(handshakes)
    expect_match /tstun "$(coap "$client" "$@" /tstun)" "^$own:[0-9]+\$"
    got=$(coap "$client" "$@" /whoami)
    expect_match /whoami "$got" "identity=$identity"
    expect_match /whoami "$got" "cipher_suite=$suite"$'\n'
    expect_match /whoami "$got" 'worker=1'
    expect_match /whoami "$got" 'address_changes=0'
    if [[ $cid == none ]]; then
        [[ $got != *server_cid=* ]] || fail "/whoami shows a Connection ID: $got"
    else
        expect_match /whoami "$got" "server_cid=07$hex{14}"
    fi
    expect_eq /echo "$(coap "$client" "$@" -m post -e 'say it again' /echo)" 'say it again'
    got=$(coap "$client" "$@" /.well-known/core)
    expect_match /.well-known/core "$got" '</tstun>;rt="?tstun"?'
    expect_eq 'discovery by rt' "$(coap "$client" "$@" '/.well-known/core?rt=tstun')" \
        "$(grep -o '</tstun>[^,]*' <<<"$got")"
    expect_eq 'handshakes of five clients' "$(handshakes)" $((before + 5))
}

real_clients() {
    local base=$1 own=$2
    begin "$io, $own: coap-client on mbedTLS, its suites, with Connection ID"
    ask_all "$mbedtls" 'TLS_[A-Z0-9_]*PSK_WITH_[A-Z0-9_]+' cid -d 0
    begin "$io, $own: coap-client on mbedTLS, CCM-8 alone, with Connection ID"
    ask_all "$mbedtls_ccm8" TLS_PSK_WITH_AES_128_CCM_8 cid -d 0
    begin "$io, $own: coap-client on mbedTLS, its suites, without Connection ID"
    ask_all "$mbedtls" 'TLS_[A-Z0-9_]*PSK_WITH_[A-Z0-9_]+' none
    begin "$io, $own: coap-client on mbedTLS, CCM-8 alone, without Connection ID"
    ask_all "$mbedtls_ccm8" TLS_PSK_WITH_AES_128_CCM_8 none
    begin "$io, $own: coap-client on wolfSSL, without Connection ID"
    ask_all "$wolfssl" 'TLS_[A-Z0-9_]*PSK_WITH_[A-Z0-9_]+' none
}

# Plain CoAP, by the same clients.
plain() {
    begin "$io: coap-client, plain CoAP"
    local base=coap://127.0.0.1:$coap_port
    expect_match /tstun "$("$mbedtls" -v 3 -w -B 10 "$base/tstun")" '^127\.0\.0\.1:[0-9]+$'
    expect_eq /echo "$("$mbedtls" -v 3 -w -B 10 -m post -e plain "$base/echo")" plain
    expect_match /whoami "$("$mbedtls" -v 3 -w -B 10 "$base/whoami" 2>&1)" '^4\.'
}

# 100 clients with 10 requests each, and a port of their own for each packet. Each has an address of
# its own too, since the ports that coap-client takes are the next ones, free or not.
new_port_each() {
    begin "$io: coap-client, 1,000 requests with a new port each"
    local clients=100 requests=10 i j pids=() addresses_before handshakes_before
    local net=127.$((RANDOM % 100 + 128)).$((RANDOM % 256)) first_port=$((RANDOM % 10000 + 10000))
    addresses_before=$(address_changes)
    handshakes_before=$(handshakes)
    for ((i = 1; i <= clients; i++)); do
        for ((j = 1; j <= requests; j++)); do
            echo "$net.$i:$((first_port + j))"
        done >"$TMPDIR/wanted-$i"
        coap "$mbedtls_ccm8" -d 1 -G "$requests" -a "$net.$i" -p "$first_port" /tstun \
            >"$TMPDIR/got-$i" 2>&1 &
        pids+=("$!")
    done
    for i in "${pids[@]}"; do
        wait "$i" || fail "a client ended with $?"
    done
    for ((i = 1; i <= clients; i++)); do
        sed -i '/^$/d' "$TMPDIR/got-$i" # its end of the line at the end
        cmp -s "$TMPDIR/wanted-$i" "$TMPDIR/got-$i" ||
            fail "client $i: $(diff "$TMPDIR/wanted-$i" "$TMPDIR/got-$i")"
    done
    expect_eq 'handshakes' "$(handshakes)" $((handshakes_before + clients))
    # The close_notify at the end has a new port as well.
    await_metric holdfast_address_changes_total \
        $((addresses_before + clients * (requests + 1)))

    # What says where the client is changes with each packet, and is longer than one may be there.
    timeout 20 "$mbedtls_ccm8" -v 3 -w -B 10 -d 1 -G 3 -u "$identity" -k "0x$key" -a "$net.200" \
        -p "$first_port" "coaps://127.0.0.1:$coaps_port/whoami" >"$TMPDIR/whoami" 2>&1 ||
        fail "the client that asks who it is ended with $?: $(head -n 20 "$TMPDIR/whoami")"
    expect_eq 'times it was told so' "$(grep -c '^address_changes=' "$TMPDIR/whoami")" 3
    expect_eq 'and each of them whole' "$(grep -c '^server_cid=[0-9a-f]*$' "$TMPDIR/whoami")" 3
}

# mbedTLS's own client: a Connection ID on either side. It sends HTTP, "GET " and the page; with a
# page of 7 octets and 0xff, a CoAP message: a confirmable 2.05 with a token of 7 octets and a
# payload. Nobody asked for that, so the right answer is its Reset, 4 octets.
ssl_client() { # options...
    "$PEERS/mbedtls/ssl_client2" dtls=1 server_addr=127.0.0.1 "server_port=$coaps_port" \
        "psk=$key" "psk_identity=$identity" read_timeout=5000 request_page=$'7octets\xff' \
        force_ciphersuite=TLS-PSK-WITH-AES-128-CCM-8 "$@" 2>&1 | tr -d '\0'
}

both_connection_ids() {
    begin "$io: ssl_client2, Connection IDs in both directions"
    local before got
    before=$(handshakes)
    got=$(ssl_client cid=1 cid_val=beef exchanges=3)
    expect_match ssl_client2 "$got" 'Use of Connection ID has been negotiated'
    expect_eq 'replies of 4 octets' "$(grep -ac '4 bytes read' <<<"$got")" 3
    expect_eq handshakes "$(handshakes)" $((before + 1))
}

renegotiation() { # 0|1
    begin "$io: ssl_client2 wants to renegotiate (Connection ID: $1)"
    local refused='holdfast_records_dropped_total{reason="renegotiation"}' before got status=0
    before=$(metric "$refused")
    got=$(ssl_client cid="$1" cid_val=beef renegotiation=1 renegotiate=1 allow_legacy=1) || status=$?
    expect_at_least 'exit status' "$status" 1
    expect_match ssl_client2 "$got" 'Unexpected message at ServerHello in renegotiation'
    await_metric "$refused" $((before + 1))
}

# A device that has lost its session and its memory of it, but not its address.
new_hello() { # none|0
    begin "$io: a new ClientHello on the address of a live session (Connection ID: $1)"
    local before
    before=$(handshakes)
    probe_start again --server "127.0.0.1:$coaps_port" --psk "$identity:$key" --cid "$1"
    must again connect
    must again get /tstun
    must again connect
    expect_eq 'datagrams of the second handshake' "$(field sent_datagrams)" 3
    expect_eq 'flights sent again' "$(field timeouts)" 0
    must again get /whoami
    expect_eq 'requests sent again' "$(field timeouts)" 0
    expect_match 'whoami' "$(field payload)" "identity=$identity"
    expect_eq handshakes "$(handshakes)" $((before + 2))
    must again close
    probe_stop again
    await_metric holdfast_sessions 0
}

# Faster than coap-client, which lets a second pass between two requests.
roaming() {
    begin "$io: one session, 1,000 ports"
    local before changes
    before=$(handshakes)
    changes=$(address_changes)
    probe_start roamer --server "$1" --psk "$identity:$key" --cid 4
    must roamer connect
    must roamer roam 1000
    expect_eq 'right answers' "$(field right)" 1000
    expect_eq 'requests sent again' "$(field timeouts)" 0
    expect_eq handshakes "$(handshakes)" $((before + 1))
    expect_eq 'address changes' "$(address_changes)" $((changes + 1000))
    must roamer close
    probe_stop roamer
}

# As measured: a change for the worse is to be noticed.
costs() {
    begin "$io: what a handshake and a request cost"
    probe_start meter --server "127.0.0.1:$coaps_port" --psk "$identity:$key"
    local what
    for what in connect 'get /tstun' 'post /echo 32'; do
        must meter "$what"
        echo "  $what: $(jq -r '"\(.sent_datagrams) datagrams, \(.sent_octets) octets there; " +
            "\(.received_datagrams) datagrams, \(.received_octets) octets back"' <<<"$answer")"
        expect_eq "$what: sent again" "$(field timeouts)" 0
        case $what in
            connect)
                expect_eq 'datagrams there' "$(field sent_datagrams)" 3
                expect_at_most 'octets there' "$(field sent_octets)" 400
                expect_at_most 'datagrams back' "$(field received_datagrams)" 3
                expect_at_most 'octets back' "$(field received_octets)" 300
                ;;
            *)
                expect_eq 'datagrams there' "$(field sent_datagrams)" 1
                expect_eq 'datagrams back' "$(field received_datagrams)" 1
                ;;
        esac
    done
    must meter close
    probe_stop meter
}

for io in uring mmsg; do
    node_start "clients-$io" --io "$io"
    real_clients "coaps://127.0.0.1:$coaps_port" '127\.0\.0\.1'
    real_clients "coaps://[::1]:$coaps_port" '\[::1\]'
    plain
    await_metric holdfast_sessions 0
    new_hello none
    new_hello 0
    both_connection_ids
    renegotiation 0
    renegotiation 1
    costs
    roaming "127.0.0.1:$coaps_port"
    roaming "[::1]:$coaps_port"
    base=coaps://127.0.0.1:$coaps_port new_port_each
    node_stop
done
