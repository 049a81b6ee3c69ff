#!/usr/bin/env bash
# The test descriptions of the ETSI CoAP plugtests (CoAP#4: TD_COAP_CORE, TD_COAP_LINK, TD_COAP_BLOCK,
# TD_COAP_OBS) against
# a worker with --plugtest, over DTLS. One case after another, as a table:
#
#   $ OPTIONS... PATH      libcoap's coap-client asks; what it shows of sent and received messages
#   = REGEX                which must match
#   % WHAT                 the body that it got is the one of that name, octet by octet
#   > TYPE CODE ID TOKEN [NUMBER=VALUE...] [=TEXT]   sends a message through coap_probe
#   << REGEX               a message like this comes, after others
#   & NAME N, + NAME N     group N is an Observe value, and one that follows the last of that name
#   ~ METRIC VALUE         the metric comes to this value
#   < REGEX                what comes next, spelled alike, must match all of it
#
# What must not come any more would come before the answer of /separate, which takes two seconds.
#
# m1, m2... are message ids and t1, t2... tokens of the case, {1}, {2}... what the groups of the last
# REGEX with groups have matched. Options: 4 ETag, 8 Location-Path, 11 Uri-Path, 12 Content-Format,
# 15 Uri-Query, 17 Accept, 20 Location-Query.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl openssl

client=$PEERS/mbedtls/coap-client
passed=()
base=0
captured=()
shown=

# The line with its names filled in.
fill() { # line
    local word filled=() words
    read -ra words <<<"$1"
    for word in "${words[@]}"; do
        case $word in
            m[0-9]) word=$((base + ${word#m})) ;;
            t[0-9]) printf -v word '%04x' $((base + ${word#t})) ;;
            GET) word=0.01 ;;
            POST) word=0.02 ;;
            PUT) word=0.03 ;;
            DELETE) word=0.04 ;;
        esac
        word=${word//'{sent}'/$TMPDIR/sent}
        while [[ $word =~ \{([1-9])\} ]]; do
            word=${word//"${BASH_REMATCH[0]}"/${captured[BASH_REMATCH[1]]}}
        done
        filled+=("$word")
    done
    printf '%s' "${filled[*]}"
}

matches() { # what got line [whole]
    local regex
    regex=$(fill "$3")
    [[ -z ${4-} ]] || regex="^$regex\$"
    expect_match "$1" "$2" "$regex"
    ((${#BASH_REMATCH[@]} == 1)) || captured=("${BASH_REMATCH[@]}")
}

run_client() { # options... path
    local words
    read -ra words <<<"$(fill "$1")"
    shown=$("$client" -v 7 -B 10 -d 0 -o "$TMPDIR/body" -u "$identity" -k "0x$key" "${words[@]:0:${#words[@]}-1}" \
        "coaps://127.0.0.1:$coaps_port${words[-1]}" 2>&1) || true
    shown=$(grep '^v:1 ' <<<"$shown") || fail "coap-client: $1"
}

# Bodies by name: what /large gives, and what is sent to others.
body() { # name
    case $1 in
        large) printf 'line %02d of what takes more than one block to tell             |\n' {1..28} | tr '|' ' ' ;;
        sent) printf 'and %04d of what is sent in blocks\n' {1..60} ;;
    esac
}

# Observe values: "sequence number arithmetic modulo 2**24".
declare -A numbers
follows() { # name number
    (((($2 - numbers[$1]) & 0xffffff) - 1 < 0x7fffff && $2 != numbers[$1])) ||
        fail "Observe $2 after ${numbers[$1]}"
    numbers[$1]=$2
}

# What comes before it is of no account.
until_it_comes() { # line
    local regex
    regex=^$(fill "$1")\$
    answer=
    until [[ $answer =~ $regex ]]; do
        ask probe 'receive 10000'
        [[ $answer != silence ]] || fail "never came: $1"
    done
    matches "<< $1" "$answer" "$1" whole
}

etsi() { # name title, the table on stdin
    local mark line
    begin "$1: $2"
    base=$((base + 10))
    captured=()
    while read -r mark line; do
        case $mark in
            '$') run_client "$line" ;;
            '=') matches "$1" "$shown" "$line" ;;
            '%') expect_eq "the body $line" "$(<"$TMPDIR/body")" "$(body "$line")" ;;
            '>')
                ask probe "send $(fill "$line")"
                expect_eq "> $line" "$answer" sent
                ;;
            '&') numbers[${line% *}]=${captured[${line#* }]} ;;
            '+') follows "${line% *}" "${captured[${line#* }]}" ;;
            '~')
                http=${worker_http[1]} await_metric "${line% *}" "${line##* }"
                ;;
            '<<')
                until_it_comes "$line"
                ;;
            '<')
                ask probe 'receive 10000'
                matches "< $line" "$answer" "$line" whole
                ;;
            *) fail "what is '$mark $line'?" ;;
        esac
    done
    passed+=("$1")
}

core() {
    etsi TD_COAP_CORE_01 'GET, confirmable' <<'END'
$ -T aa /test
= c:GET i:([0-9a-f]+) \{6161\}
= ACK c:2.05 i:{1} \{6161\} .*Content-Format:text/plain.*'.+'
END
    etsi TD_COAP_CORE_02 'DELETE, confirmable' <<'END'
$ -m delete -T aa /test
= c:DELETE i:([0-9a-f]+) \{6161\}
= ACK c:2.02 i:{1} \{6161\}
END
    etsi TD_COAP_CORE_03 'PUT, confirmable' <<'END'
$ -m put -t 0 -e put -T aa /test
= c:PUT i:([0-9a-f]+) \{6161\}
= ACK c:2.0[14] i:{1} \{6161\}
END
    etsi TD_COAP_CORE_04 'POST, confirmable' <<'END'
$ -m post -t 0 -e posted -T aa /test
= c:POST i:([0-9a-f]+) \{6161\}
= ACK c:2.0[14] i:{1} \{6161\}
END
    etsi TD_COAP_CORE_05 'GET, non-confirmable' <<'END'
$ -N -T aa /test
= NON c:2.05 i:[0-9a-f]+ \{6161\} .*Content-Format:text/plain
END
    etsi TD_COAP_CORE_06 'DELETE, non-confirmable' <<'END'
$ -N -m delete -T aa /test
= NON c:2.02 i:[0-9a-f]+ \{6161\}
END
    etsi TD_COAP_CORE_07 'PUT, non-confirmable' <<'END'
$ -N -m put -t 0 -e put -T aa /test
= NON c:2.0[14] i:[0-9a-f]+ \{6161\}
END
    etsi TD_COAP_CORE_08 'POST, non-confirmable' <<'END'
$ -N -m post -t 0 -e posted -T aa /test
= NON c:2.0[14] i:[0-9a-f]+ \{6161\}
END
    etsi TD_COAP_CORE_09 'GET, separate response' <<'END'
> CON GET m1 t1 11=separate
< ACK 0.00 m1 -
< CON 2.05 ([0-9]+) t1 12=#0 =.+
> ACK 0.00 {1} -
> CON GET m2 t2 11=separate
< ACK 0.00 m2 -
< CON 2.05 ([0-9]+) t2 12=#0 =.+
> ACK 0.00 {1} -
END
    etsi TD_COAP_CORE_10 'GET with a token' <<'END'
$ -T 01234567 /test
= ACK c:2.05 i:[0-9a-f]+ \{3031323334353637\} .*Content-Format:text/plain.*'.+'
> CON GET m1 a1 11=test
< ACK 2.05 m1 a1 4=0x[0-9a-f]+ 12=#0 =.+
> CON GET m2 a1a2a3a4a5a6a7a8 11=test
< ACK 2.05 m2 a1a2a3a4a5a6a7a8 4=0x[0-9a-f]+ 12=#0 =.+
END
    etsi TD_COAP_CORE_11 'GET with a token, separate response' <<'END'
$ -T 01234567 /separate
= ACK c:0.00 i:[0-9a-f]+ \{\}
= CON c:2.05 i:([0-9a-f]+) \{3031323334353637\}
= ACK c:0.00 i:{1} \{\}
END
    etsi TD_COAP_CORE_12 'GET with an empty token' <<'END'
> CON GET m1 - 11=test
< ACK 2.05 m1 - 4=0x[0-9a-f]+ 12=#0 =.+
END
    etsi TD_COAP_CORE_13 'several Uri-Path options' <<'END'
$ /seg1/seg2/seg3
= Uri-Path:seg1, Uri-Path:seg2, Uri-Path:seg3
= ACK c:2.05 .*Content-Format:text/plain.*'.+'
END
    etsi TD_COAP_CORE_14 'several Uri-Query options' <<'END'
$ /query?first=1&second=2&third=3
= Uri-Query:first=1, Uri-Query:second=2, Uri-Query:third=3
= ACK c:2.05 .*Content-Format:text/plain
> CON GET m1 t1 11=query 15=first=1 15=second=2
< ACK 2.05 m1 t1 12=#0 =query\|first=1\|second=2\|
END
    # The one that was lost is not seen; its repetition gets the same.
    etsi TD_COAP_CORE_15 'GET, request or piggybacked response lost' <<'END'
> CON GET m1 t1 11=test
< (ACK 2.05 m1 t1 .*)
> CON GET m1 t1 11=test
< {1}
> CON PUT m2 t2 11=test 12=#0 =again
< ACK 2.04 m2 t2
> CON PUT m2 t2 11=test 12=#0 =again
< ACK 2.04 m2 t2
END
    etsi TD_COAP_CORE_16 'GET, part of a separate exchange lost' <<'END'
> CON GET m1 t1 11=separate
> CON GET m1 t1 11=separate
< ACK 0.00 m1 -
> CON GET m1 t1 11=separate
< ACK 0.00 m1 -
< CON 2.05 ([0-9]+) t1 12=#0 =.+
< CON 2.05 {1} t1 12=#0 =.+
< CON 2.05 {1} t1 12=#0 =.+
> ACK 0.00 {1} -
> CON GET m2 t2 11=separate
< ACK 0.00 m2 -
< CON 2.05 ([0-9]+) t2 12=#0 =.+
> ACK 0.00 {1} -
END
    etsi TD_COAP_CORE_17 'GET, non-confirmable, separate response' <<'END'
> NON GET m1 t1 11=separate
< NON 2.05 [0-9]+ t1 12=#0 =.+
END
    etsi TD_COAP_CORE_18 'POST, several Location-Path options' <<'END'
$ -m post -t 0 -e new /test
= ACK c:2.01 .*Location-Path:location1, Location-Path:location2, Location-Path:location3
$ /location1/location2/location3
= ACK c:2.05 .*'new'
END
    etsi TD_COAP_CORE_19 'POST, several Location-Query options' <<'END'
$ -m post -t 0 -e new /location-query
= ACK c:2.01 .*Location-Query:first=1, Location-Query:second=2
END
    etsi TD_COAP_CORE_20 'Accept' <<'END'
$ -A text/plain /multi-format
= Accept:text/plain
= ACK c:2.05 .*Content-Format:text/plain.*'.+'
$ -A application/xml /multi-format
= Accept:application/xml
= ACK c:2.05 .*Content-Format:application/xml.*<
> CON GET m1 t1 11=multi-format 17=#50
< ACK 4.06 m1 t1
END
    etsi TD_COAP_CORE_21 'GET with ETag' <<'END'
$ /validate
= ACK c:2.05 .*ETag:(0x[0-9a-f]+).*'.+'
$ -O 4,{1} /validate
= ACK c:2.03 i:[0-9a-f]+ \{\} \[ ETag:{1} \]$
$ -m put -t 0 -e changed /validate
= ACK c:2.04
$ -O 4,{1} /validate
= ACK c:2.05 .*'changed'
> CON GET m1 t1 4={1} 11=validate
< ACK 2.05 m1 t1 4=(0x[0-9a-f]+) 12=#0 =changed
> CON GET m2 t2 4=0x00 4={1} 11=validate
< ACK 2.03 m2 t2 4={1}
END
    etsi TD_COAP_CORE_22 'ETag and If-Match' <<'END'
$ /validate
= ACK c:2.05 .*ETag:(0x[0-9a-f]+).*'.+'
$ -m put -t 0 -e first -O 1,{1} /validate
= ACK c:2.04
$ /validate
= ACK c:2.05 .*ETag:(0x[0-9a-f]+).*'first'
$ -m put -t 0 -e second /validate
= ACK c:2.04
$ -m put -t 0 -e third -O 1,{1} /validate
= ACK c:4.12
$ /validate
= ACK c:2.05 .*'second'
END
    etsi TD_COAP_CORE_23 'If-None-Match' <<'END'
$ -m put -t 0 -e new -O 5, /create1
= If-None-Match
= ACK c:2.01
$ -m put -t 0 -e newer -O 5, /create1
= ACK c:4.12
$ /create1
= ACK c:2.05 .*'new'
END
    etsi TD_COAP_CORE_31 'ping' <<'END'
> CON 0.00 m1 -
< RST 0.00 m1 -
END
}

links() {
    etsi TD_COAP_LINK_01 'discovery' <<'END'
$ /.well-known/core
= ACK c:2.05 .*Content-Format:application/link-format
END
    etsi TD_COAP_LINK_02 'by type' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=rt=Type1
< ACK 2.05 m1 t1 12=#40 =</test>[^<]*,</link1>[^<]*,</link3>[^<]*
END
    etsi TD_COAP_LINK_03 'all that have a type' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=rt=*
< ACK 2.05 m1 t1 12=#40 =(<[^<]*;rt="[^<]*)+
END
    etsi TD_COAP_LINK_04 'by one of several types' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=rt=Type2
< ACK 2.05 m1 t1 12=#40 =</link1>;rt="Type1 Type2"[^<]*,</link2>;rt="Type2 Type3"[^<]*
END
    etsi TD_COAP_LINK_05 'by interface, a prefix' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=if=If*
< ACK 2.05 m1 t1 12=#40 =</link1>[^<]*;if="If1"[^<]*,</link2>[^<]*;if="If2"[^<]*
END
    etsi TD_COAP_LINK_06 'all that have a size' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=sz=*
< ACK 2.05 m1 t1 12=#40 =(<[^<]*;sz="?[0-9]+[^<]*)+
END
    etsi TD_COAP_LINK_07 'one by its target' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=href=/link1
< ACK 2.05 m1 t1 12=#40 =</link1>[^<]*
END
    etsi TD_COAP_LINK_08 'by a prefix of the target' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=href=/link*
< ACK 2.05 m1 t1 12=#40 =</link1>[^<]*,</link2>[^<]*,</link3>[^<]*
END
    etsi TD_COAP_LINK_09 'a hierarchy of links' <<'END'
> CON GET m1 t1 11=.well-known 11=core 15=href=/path
< ACK 2.05 m1 t1 12=#40 =</path>;ct="?40"?
> CON GET m2 t2 11=path
< ACK 2.05 m2 t2 12=#40 =</path/sub1>,</path/sub2>,</path/sub3>
> CON GET m3 t3 11=path 11=sub1
< ACK 2.05 m3 t3 12=#0 =/path/sub1
END
}

blocks() {
    body sent >"$TMPDIR/sent"
    etsi TD_COAP_BLOCK_01 'GET, early negotiation' <<'END'
$ -b 64 /large
= CON c:GET [^v]*Block2:0/_/64
= ACK c:2.05 [^v]*Block2:0/M/64
= ACK c:2.05 [^v]*Block2:27/_/64
% large
> CON GET m1 t1 11=large 23=3/0/64
< ACK 2.05 m1 t1 4=0x[0-9a-f]+ 12=#0 23=3/1/64 .*=line 04 .*
END
    etsi TD_COAP_BLOCK_02 'GET, late negotiation' <<'END'
$ /large
= ACK c:2.05 [^v]*Block2:0/M/1024
= ACK c:2.05 [^v]*Block2:1/_/1024
% large
> CON GET m1 t1 11=large
< ACK 2.05 m1 t1 4=0x[0-9a-f]+ 12=#0 23=0/1/1024 .*=line 01 .*
> CON GET m2 t2 11=large 23=4/0/256
< ACK 2.05 m2 t2 4=0x[0-9a-f]+ 12=#0 23=4/1/256 .*=line 17 .*
> CON GET m3 t3 11=large 23=6/0/256
< ACK 2.05 m3 t3 4=0x[0-9a-f]+ 12=#0 23=6/0/256 .*=line 25 .*
END
    etsi TD_COAP_BLOCK_03 'PUT' <<'END'
$ -m put -t 0 -b 64 -f {sent} /large-update
= ACK c:2.31 [^v]*Block1:0/M/64
= ACK c:2.04 [^v]*Block1:32/_/64
$ /large-update
= ACK c:2.05 [^v]*Block2:0/M/1024
% sent
END
    etsi TD_COAP_BLOCK_04 'POST' <<'END'
$ -m post -t 0 -b 64 -f {sent} /large-create
= ACK c:2.31 [^v]*Block1:0/M/64
= ACK c:2.01 [^v]*Location-Path:large-create, Location-Path:1, [^v]*Block1:32/_/64
$ /large-create/1
= ACK c:2.05
% sent
END
    etsi TD_COAP_BLOCK_05 'POST, blocks both ways' <<'END'
$ -m post -t 0 -b 64 -f {sent} /large-post
= ACK c:2.31 [^v]*Block1:0/M/64
= ACK c:2.04 [^v]*Block2:0/M/1024, Block1:32/_/64
= CON c:POST [^v]*Block2:1/_/1024
= ACK c:2.04 [^v]*Block2:1/_/1024
% large
END
    etsi TD_COAP_BLOCK_06 'GET, blocks of 16 octets' <<'END'
$ -b 16 /large
= ACK c:2.05 [^v]*Block2:0/M/16
= ACK c:2.05 [^v]*Block2:111/_/16
% large
END
}

observers='holdfast_observations{role="server"}'

# A change is made by another client, coap-client, on a session of its own.
observe() {
    etsi TD_COAP_OBS_01 'confirmable notifications' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =.+
& obs 1
<< CON 2.05 ([0-9]+) t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =tick.*
+ obs 2
> ACK 0.00 {1} -
$ -m put -t 0 -e new /obs
<< CON 2.05 ([0-9]+) t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =new
+ obs 2
> ACK 0.00 {1} -
> CON GET m2 t1 6=#1 11=obs
<< ACK 2.05 m2 t1 4=0x[0-9a-f]+ 12=#0 14=#5 =.+
$ -s 6 /obs
= ACK c:2.05 [^v]*Observe:[0-9]+
= CON c:2.05 [^v]*Observe:[0-9]+, Content-Format:text/plain
END
    etsi TD_COAP_OBS_04 'the server has forgotten its observers' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#[0-9]+ .*
$ -m post /obs-reset
= ACK c:2.04
$ -m put -t 0 -e unheard /obs
= ACK c:2.0[14]
> CON GET m2 t2 11=separate
< ACK 0.00 m2 -
< CON 2.05 ([0-9]+) t2 .*
> ACK 0.00 {1} -
> CON GET m3 t1 6=#0 11=obs
< ACK 2.05 m3 t1 .*6=#([0-9]+) .*
& obs 1
<< CON 2.05 ([0-9]+) t1 .*6=#([0-9]+) .*
+ obs 2
> ACK 0.00 {1} -
> CON GET m4 t1 6=#1 11=obs
<< ACK 2.05 m4 t1 .*
END
    etsi TD_COAP_OBS_05 'the client is off' <<END
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#[0-9]+ .*
$ -m put -t 0 -e new /obs
<< CON 2.05 [0-9]+ t1 .*6=#[0-9]+ .*
~ $observers 0
> CON 0.00 m2 -
<< RST 0.00 m2 -
END
    etsi TD_COAP_OBS_06 'the client says RST' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#[0-9]+ .*
$ -m put -t 0 -e new /obs
<< CON 2.05 ([0-9]+) t1 .*6=#[0-9]+ .*
> RST 0.00 {1} -
$ -m put -t 0 -e unheard /obs
> CON GET m2 t2 11=separate
< ACK 0.00 m2 -
< CON 2.05 ([0-9]+) t2 .*
> ACK 0.00 {1} -
END
    etsi TD_COAP_OBS_07 'DELETE' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#[0-9]+ .*
$ -m delete /obs
= ACK c:2.02
<< CON 4.04 ([0-9]+) t1
> ACK 0.00 {1} -
$ -m put -t 0 -e unheard /obs
> CON GET m2 t2 11=separate
< ACK 0.00 m2 -
< CON 2.05 ([0-9]+) t2 .*
> ACK 0.00 {1} -
END
    etsi TD_COAP_OBS_08 'another Content-Format' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#[0-9]+ .*
$ -m put -t application/xml -e <xml/> /obs
= ACK c:2.04
<< CON 4.06 ([0-9]+) t1
> ACK 0.00 {1} -
$ -m put -t 0 -e unheard /obs
> CON GET m2 t2 11=separate
< ACK 0.00 m2 -
< CON 2.05 ([0-9]+) t2 .*
> ACK 0.00 {1} -
END
    etsi TD_COAP_OBS_09 'PUT' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#([0-9]+) .*
& obs 1
$ -m put -t 0 -e put /obs
= ACK c:2.04
<< CON 2.05 ([0-9]+) t1 .*6=#([0-9]+) 12=#0 .*=put
+ obs 2
> ACK 0.00 {1} -
> CON GET m2 t1 6=#1 11=obs
<< ACK 2.05 m2 t1 .*
END
    etsi TD_COAP_OBS_10 'GET without Observe leaves the observation' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#([0-9]+) .*
& obs 1
> CON GET m2 t2 11=obs
<< ACK 2.05 m2 t2 4=0x[0-9a-f]+ 12=#0 .*
$ -m put -t 0 -e still /obs
<< CON 2.05 ([0-9]+) t1 .*6=#([0-9]+) 12=#0 .*=still
+ obs 2
> ACK 0.00 {1} -
> CON GET m3 t1 6=#1 11=obs
<< ACK 2.05 m3 t1 .*
END
    # While one is not acknowledged no other comes, but the newest in its repetition, or the tick that
    # may have come in between.
    etsi TD_COAP_OBS_11 'notifications lost' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#([0-9]+) .*
& obs 1
$ -m put -t 0 -e lost /obs
<< CON 2.05 ([0-9]+) t1 .*6=#([0-9]+) 12=#0 .*
+ obs 2
> CON PUT m2 t2 11=obs 12=#0 =newest
<< ACK 2.04 m2 t2
<< CON 2.05 ([0-9]+) t1 .*6=#([0-9]+) 12=#0 .*=(newest|tick.*)
+ obs 2
> ACK 0.00 {1} -
> CON GET m3 t1 6=#1 11=obs
<< ACK 2.05 m3 t1 .*
END
    etsi TD_COAP_OBS_12 'GET with Observe 1 ends it' <<'END'
> CON GET m1 t1 6=#0 11=obs
< ACK 2.05 m1 t1 .*6=#[0-9]+ .*
> CON GET m2 t1 6=#1 11=obs
<< ACK 2.05 m2 t1 4=0x[0-9a-f]+ 12=#0 .*
$ -m put -t 0 -e unheard /obs
> CON GET m3 t3 11=separate
< ACK 0.00 m3 -
< CON 2.05 ([0-9]+) t3 .*
> ACK 0.00 {1} -
END
    etsi TD_COAP_OBS_13 'large, in blocks' <<'END'
> CON GET m1 t1 6=#0 11=obs-large
< ACK 2.05 m1 t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 23=0/1/1024 .*
& large 1
> CON GET m2 t2 11=obs-large 23=1/0/1024
<< ACK 2.05 m2 t2 4=0x[0-9a-f]+ 12=#0 14=#5 23=1/0/1024 .*
<< CON 2.05 ([0-9]+) t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 23=0/1/1024 .*=tick.*
+ large 2
> ACK 0.00 {1} -
> CON GET m3 t1 6=#1 11=obs-large
<< ACK 2.05 m3 t1 .*
END
    # Large by itself once it is small, and the other way round; read first in either size.
    etsi TD_COAP_OBS_14 'of varying size, in blocks and not' <<'END'
> CON GET m1 t1 6=#0 11=obs-pumping
< ACK 2.05 m1 t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 .+
& pumping 1
$ -m put -t 0 -e small /obs-pumping
= ACK c:2.04
<< CON 2.05 ([0-9]+) t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =small
+ pumping 2
> ACK 0.00 {1} -
<< CON 2.05 ([0-9]+) t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 23=0/1/1024 .*=tick.*
+ pumping 2
> ACK 0.00 {1} -
> CON GET m2 t2 11=obs-pumping 23=1/0/1024
<< ACK 2.05 m2 t2 4=0x[0-9a-f]+ 12=#0 14=#5 23=1/0/1024 .*
> CON GET m3 t1 6=#0 11=obs-pumping
<< ACK 2.05 m3 t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 23=0/1/1024 .*
<< CON 2.05 ([0-9]+) t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =tick.*
+ pumping 2
> ACK 0.00 {1} -
> CON GET m4 t1 6=#0 11=obs-pumping
<< ACK 2.05 m4 t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =tick.*
> CON GET m5 t1 6=#1 11=obs-pumping
<< ACK 2.05 m5 t1 .*
END
}

observe_non() {
    etsi TD_COAP_OBS_02 'non-confirmable notifications' <<'END'
> NON GET m1 t1 6=#0 11=obs-non
< NON 2.05 [0-9]+ t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =.+
& non 1
<< NON 2.05 [0-9]+ t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =tick.*
+ non 1
<< NON 2.05 [0-9]+ t1 4=0x[0-9a-f]+ 6=#([0-9]+) 12=#0 14=#5 =tick.*
+ non 1
END
}

start() { # name
    store_url=lmdb:$TMPDIR/store-$1
    cluster_start 1
    coaps_port=${lb_port[1]}
    program_start probe "$bin/tests/coap_probe" --server "127.0.0.1:$coaps_port" \
        --psk "$identity:$key"
}

stop() {
    probe_stop probe
    cluster_stop
}

export HOLDFAST_PLUGTEST=yes HOLDFAST_ACK_TIMEOUT_MS=150 HOLDFAST_MAX_RETRANSMIT=3
HOLDFAST_OBSERVE_CONFIRM_EVERY=1 start confirmable
core
links
blocks
observe
stop
start usual
observe_non
stop
echo "cases: ${#passed[@]}"
