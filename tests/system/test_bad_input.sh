#!/usr/bin/env bash
# Bad input: each kind is counted by its reason, and a session that lives beside it does not notice.
# On both I/O backends.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need curl jq

key_file=$TMPDIR/cluster-key
openssl rand -hex 32 >"$key_file"

garbage() { # to kind options...
    local to=$1 kind=$2
    shift 2
    "$bin/tests/garbage" --to "$to" --kind "$kind" --cluster-key-file "$key_file" "$@"
}

lb_drops() { # reason
    echo "holdfast_lb_datagrams_dropped_total{reason=\"$1\"}"
}

drops() { # reason
    echo "holdfast_records_dropped_total{reason=\"$1\"}"
}

# The sum of all reasons of some families.
sum_of() { # regular expression of families
    scrape | awk -v families="^($1)[{]" '$1 ~ families { sum += $2 } END { printf "%.0f\n", sum }'
}

expect_unharmed() {
    must live get /tstun
    expect_eq 'requests of the live session sent again' "$(field timeouts)" 0
}

# All of a kind come to be counted under one name.
expect_counted() { # metric to kind
    local before sent
    before=$(metric "$1")
    sent=$(garbage "$2" "$3")
    await_metric "$1" $((before + sent))
    expect_unharmed
}

# Each of a kind comes to be counted, under whichever reason is its own.
expect_all_counted() { # families to kind
    local before sent
    local deadline=$((${EPOCHREALTIME/./} + 5000000)) now
    before=$(sum_of "$1")
    sent=$(garbage "$2" "$3")
    while now=$(sum_of "$1") && ((now != before + sent)); do
        ((${EPOCHREALTIME/./} < deadline)) || fail "counted $((now - before)) of $sent"
        sleep 0.02
    done
    expect_unharmed
}

datagrams() {
    local to=127.0.0.1:$coaps_port
    local families='holdfast_lb_datagrams_dropped_total|holdfast_records_dropped_total'
    begin "$io: truncated records"
    expect_counted "$(lb_drops malformed)" "$to" truncated
    begin "$io: oversized datagrams"
    expect_counted "$(lb_drops oversized)" "$to" oversized
    begin "$io: wrong versions"
    expect_counted "$(lb_drops version)" "$to" versions
    begin "$io: all content types"
    expect_all_counted "$families" "$to" types
    begin "$io: noise"
    expect_all_counted "$families" "$to" noise
    begin "$io: Connection IDs of unknown configs"
    expect_counted "$(lb_drops cid_config)" "$to" cid-config
    begin "$io: unroutable Connection IDs"
    expect_counted "$(lb_drops cid_unroutable)" "$to" cid-unroutable
    begin "$io: Connection IDs of the wrong length"
    expect_counted "$(lb_drops cid_length)" "$to" cid-length
    begin "$io: Connection IDs of a worker that does not exist"
    expect_counted "$(drops no_session)" "$to" cid-worker
    begin "$io: Connection IDs of a session that does not exist"
    expect_counted "$(drops no_session)" "$to" cid-session
}

# Records that carry the live session's Connection ID, and are not its device's.
expect_record_counted() { # reason epoch sequence payload
    local before length
    before=$(metric "$(drops "$1")")
    length=$(printf '%04x' $((${#4} / 2)))
    must live attack "19fefd$2$3$server_cid$length$4"
    expect_unharmed
    expect_eq "dropped as $1" "$(metric "$(drops "$1")")" $((before + 1))
    must live loot
    expect_eq 'replies to the attacker' "$(field datagrams)" 0
}

records() {
    local octets=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    begin "$io: bad tags"
    expect_record_counted bad_tag 0001 0000ffffffff "$octets"
    begin "$io: wrong epochs"
    expect_record_counted epoch 0000 0000ffffffff "$octets"
    expect_record_counted epoch 0002 0000ffffffff "$octets"
    expect_record_counted epoch ffff 0000ffffffff "$octets"
    begin "$io: less than a tag"
    expect_record_counted malformed 0001 0000ffffffff 00010203
    begin "$io: nothing at all"
    expect_record_counted malformed 0001 0000ffffffff ''
}

frames() {
    local link name to family reason kind
    local kinds=(
        'frame-forged bad_tag' 'frame-version version' 'frame-truncated malformed'
        'frame-astray not_for_us'
    )
    for link in "worker $worker_link holdfast_frames" "lb $lb_link holdfast_lb_frames"; do
        read -r name to family <<<"$link"
        for kind in "${kinds[@]}"; do
            read -r kind reason <<<"$kind"
            begin "$io: $kind to the $name's link"
            expect_counted "${family}_dropped_total{reason=\"$reason\"}" "$to" "$kind"
        done
        begin "$io: noise to the $name's link"
        expect_all_counted "${family}_dropped_total" "$to" noise
    done

    begin "$io: a replayed frame"
    local replayed='holdfast_frames_dropped_total{reason="replayed"}' before
    before=$(metric "$replayed")
    expect_eq 'frames sent' "$(garbage "$worker_link" frame-replayed)" 2
    await_metric "$replayed" $((before + 1))
    expect_unharmed
}

# Plain CoAP: what comes back, and under which reason it is counted.
expect_coap() { # reason|- reply hex
    local got metric before
    metric="holdfast_coap_dropped_total{reason=\"$1\"}"
    [[ $1 == - ]] || before=$(metric "$metric")
    got=$(garbage "127.0.0.1:$coap_port" coap --hex "$3")
    expect_match "reply to $3" "$got" "^$2\$"
    [[ $1 == - ]] || await_metric "$metric" $((before + 1))
}

coap_messages() {
    local i reset=70001234
    begin "$io: CoAP with bad versions"
    for i in 0 8 c; do
        expect_coap version '' "${i}0011234"
    done
    begin "$io: CoAP with a TKL of 9 to 15"
    for i in 9 a b c d e f; do
        expect_coap token_length "$reset" "4${i}011234000102030405060708090a0b0c0d0e"
        expect_coap token_length '' "5${i}011234000102030405060708090a0b0c0d0e"
    done
    begin "$io: CoAP, truncated"
    expect_coap malformed '' 40
    expect_coap malformed '' 400112
    expect_coap malformed "$reset" 44011234aabb
    expect_coap malformed "$reset" 40011234b574737475 # Uri-Path of 5 octets, 4 of them there
    expect_coap malformed "$reset" 40011234bd         # a length that is not there
    expect_coap malformed "$reset" 40011234f0         # the reserved nibble
    expect_coap malformed "$reset" 40011234ff         # a marker without a payload
    begin "$io: CoAP with an unknown critical option"
    expect_coap - '60821234ff.*' 400112349161
    expect_coap critical_option '' 500112349161
    begin "$io: an empty CoAP message with a payload"
    expect_coap malformed "$reset" 40001234ff61
    begin "$io: a CoAP response that nobody asked for"
    expect_coap unexpected "$reset" 40451234ff61
    expect_coap unexpected "$reset" 50451234ff61
    expect_unharmed
}

# To a client with a wrong key it must look as if its identity did not exist. Neither is told to go,
# which anybody could forge; and the silence is one: mbedTLS and wolfSSL both answer a repeated flight
# at once with their own, so that a server that does the same never ends.
outsiders() {
    begin "$io: an unknown identity and a wrong key look the same"
    local open who outcomes=()
    open=$(metric holdfast_handshakes_open)
    for who in "$identity:$key_b" "nobody-1:$key"; do
        probe_start outsider --server "127.0.0.1:$coaps_port" --psk "$who"
        ask outsider connect 2500
        expect_match "handshake of $who" "$answer" '"ok":false'
        expect_at_most 'datagrams there' "$(field sent_datagrams)" 24
        expect_at_most 'datagrams back' "$(field received_datagrams)" 24
        outcomes+=("$(field reason)")
        probe_stop outsider
    done
    expect_eq 'the two outcomes' "${outcomes[*]}" 'no answer no answer'
    expect_eq 'handshakes that wait for their end' "$(metric holdfast_handshakes_open)" \
        $((open + 2))
    expect_unharmed

    begin "$io: coap-client with a wrong key"
    local before
    before=$(metric 'holdfast_lb_datagrams_total{direction="out"}')
    "$PEERS/mbedtls/coap-client" -v 3 -d 0 -B 3 -u "$identity" -k "0x$key_b" \
        "coaps://127.0.0.1:$coaps_port/tstun" >"$TMPDIR/refused" 2>&1 || true
    ! grep -q 127.0.0.1 "$TMPDIR/refused" || fail "an answer: $(<"$TMPDIR/refused")"
    expect_at_most 'datagrams back' \
        $(($(metric 'holdfast_lb_datagrams_total{direction="out"}') - before)) 24
    expect_unharmed
}

for io in uring mmsg; do
    node_start "bad-$io" --io "$io" --cluster-key-file "$key_file"
    worker_link=$(word_of "$(grep -m 1 ' worker serving ' "$node_log")" link)
    lb_link=$(word_of "$(grep -m 1 ' lb serving ' "$node_log")" link)
    lb_link=127.0.0.1:${lb_link##*:}
    probe_start live --server "127.0.0.1:$coaps_port" --psk "$identity:$key"
    must live connect
    server_cid=$(field server_cid)
    datagrams
    records
    frames
    coap_messages
    outsiders

    begin "$io: the session that was there all the time"
    must live get /whoami
    expect_eq 'address changes' "$(whoami_line address_changes)" 0
    expect_eq handshakes "$(handshakes)" 1
    must live close
    probe_stop live
    node_stop
done
