#!/usr/bin/env bash
# 100,000 ClientHellos of 10,000 addresses that never return their cookies: no memory is spent on
# them, and a session that lives beside them is served. What is too much for one network is that
# network's loss. On both I/O backends.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need curl jq

slack_kb=256 # what an allocator may take for itself once in a while

resident_kb() { # pid
    awk '$1 == "VmRSS:" { print $2 }' "/proc/$1/status"
}

# Has the flood go on, and asks for something all the while.
flood() { # count
    local served=0
    echo "$1" >&"$flood_in"
    until read -r -t 0 <&"$flood_out"; do
        must live get /tstun
        expect_eq 'requests of the live session sent again' "$(field timeouts)" 0
        served=$((served + 1))
    done
    IFS= read -r answer <&"$flood_out"
    expect_at_least 'requests served meanwhile' "$served" 1
    echo "  $served requests of the live session served meanwhile"
    expect_eq 'ClientHellos answered' "$(field answered)" "$(field sent)"
}

memory() {
    local lb worker cookies_before handshakes_before
    local -A before full
    lb=$(children holdfast-lb)
    worker=$(children holdfast-worker)
    cookies_before=$(metric holdfast_cookies_sent_total)
    handshakes_before=$(handshakes)

    begin "$io: the first 10,000 ClientHellos, from one address each"
    before=([lb]=$(resident_kb "$lb") [worker]=$(resident_kb "$worker"))
    flood 10000
    full=([lb]=$(resident_kb "$lb") [worker]=$(resident_kb "$worker"))
    echo "  lb ${before[lb]} kB, then ${full[lb]} kB;" \
        "worker ${before[worker]} kB, then ${full[worker]} kB"
    expect_at_most 'kB more of the worker' $((full[worker] - before[worker])) 2048
    # The lb remembers the flow of each address, bounded and with an end.
    expect_at_most 'kB more of the lb' $((full[lb] - before[lb])) 4096

    begin "$io: 90,000 more from the same addresses"
    flood 90000
    echo "  lb $(resident_kb "$lb") kB, worker $(resident_kb "$worker") kB"
    expect_at_most 'kB more of the worker' $(($(resident_kb "$worker") - full[worker])) $slack_kb
    expect_at_most 'kB more of the lb' $(($(resident_kb "$lb") - full[lb])) $slack_kb

    begin "$io: what they left behind"
    expect_eq 'cookies sent' "$(metric holdfast_cookies_sent_total)" $((cookies_before + 100000))
    expect_eq 'handshakes open' "$(metric holdfast_handshakes_open)" 0
    expect_eq handshakes "$(handshakes)" "$handshakes_before"
    expect_eq sessions "$(metric holdfast_sessions)" 1
}

flood_start() { # options...
    mkfifo "$TMPDIR/flood.in" "$TMPDIR/flood.out"
    "$bin/tests/flood" --to "127.0.0.1:$coaps_port" "$@" <"$TMPDIR/flood.in" >"$TMPDIR/flood.out" \
        2>"$TMPDIR/flood.log" &
    own_pids+=("$!")
    exec {flood_in}>"$TMPDIR/flood.in" {flood_out}<"$TMPDIR/flood.out"
    rm "$TMPDIR/flood.in" "$TMPDIR/flood.out"
}

flood_stop() {
    exec {flood_in}>&- {flood_out}<&-
}

# More than the burst that a network may have, as fast as it goes. What is refused gets no answer.
admission() {
    begin "$io: too many ClientHellos from one network"
    local refused='holdfast_lb_datagrams_dropped_total{reason="admission"}' unanswered
    expect_eq 'refused before' "$(metric "$refused")" 0
    flood_start --networks 1
    echo 100000 >&"$flood_in"
    IFS= read -r -t 30 answer <&"$flood_out" || fail 'the flood does not end'
    flood_stop
    unanswered=$(($(field sent) - $(field answered)))
    echo "  $(field sent) sent, $unanswered of them without an answer"
    expect_at_least 'ClientHellos answered' "$(field answered)" 1000 # the burst
    expect_at_least 'ClientHellos without an answer' "$unanswered" 1
    expect_eq 'refused' "$(metric "$refused")" "$unanswered"

    begin "$io: another network meanwhile"
    probe_start neighbour --server "127.0.0.1:$coaps_port" --psk "$identity_b:$key_b"
    must neighbour connect
    expect_eq 'flights sent again' "$(field timeouts)" 0
    must neighbour close
    probe_stop neighbour
}

for io in uring mmsg; do
    node_start "flood-$io" --io "$io"
    probe_start live --server "127.0.0.1:$coaps_port" --psk "$identity:$key"
    must live connect
    must live get /tstun
    flood_start
    memory
    flood_stop
    must live close
    probe_stop live
    admission
    node_stop
done
