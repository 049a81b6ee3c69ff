#!/usr/bin/env bash
# A device behind a real NAT that forgets it, and one that gets a new IPv6 address: network
# namespaces for the device, the NAT and the server. On both I/O backends.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need curl jq ip nft conntrack

device=holdfast-$$-device
nat=holdfast-$$-nat
server=holdfast-$$-server

new_namespace() { # name
    ip netns add "$1"
    own_namespaces+=("$1")
    # Addresses are usable at once: nobody else is there to have them too.
    ip netns exec "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
    ip -n "$1" link set lo up
}

network() {
    begin 'the network'
    local name
    for name in "$device" "$nat" "$server"; do
        new_namespace "$name"
    done
    ip -n "$device" link add wan type veth peer name lan netns "$nat"
    ip -n "$nat" link add wan type veth peer name lan netns "$server"
    ip -n "$device" addr add 10.77.1.2/24 dev wan
    ip -n "$nat" addr add 10.77.1.1/24 dev lan
    ip -n "$nat" addr add 10.77.2.1/24 dev wan
    ip -n "$server" addr add 10.77.2.2/24 dev lan
    ip -n "$device" addr add fd77:1::2/64 dev wan nodad
    ip -n "$nat" addr add fd77:1::1/64 dev lan nodad
    ip -n "$nat" addr add fd77:2::1/64 dev wan nodad
    ip -n "$server" addr add fd77:2::2/64 dev lan nodad
    ip -n "$device" link set wan up
    ip -n "$nat" link set lan up
    ip -n "$nat" link set wan up
    ip -n "$server" link set lan up
    ip -n "$device" route add default via 10.77.1.1
    ip -n "$device" route add default via fd77:1::1
    # Of IPv4, no route back: what is not translated gets no answer.
    ip -n "$server" route add fd77:1::/64 via fd77:2::1
    ip netns exec "$nat" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
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

# The session went along: the request at hand got its answer at once, and it tells of one change.
expect_moved() { # name old-address changes
    must "$1" get /whoami
    expect_eq 'requests sent again' "$(field timeouts)" 0
    expect_eq 'previous address' "$(whoami_line previous_address)" "$2"
    expect_eq 'address changes' "$(whoami_line address_changes)" "$3"
    [[ $(whoami_line address) != "$2" ]] || fail "the address did not change: $2"
}

# What does not fit into three times the octets received waits until the new address has answered.
expect_path_check() { # name
    local held before
    held=$(metric holdfast_path_replies_held_total)
    must "$1" post '/echo?rlen=1024' 5
    expect_eq 'octets of the reply' "$(field payload_length)" 1024
    expect_eq 'pings to the new address' "$(field pings)" 1
    expect_eq 'requests sent again' "$(field timeouts)" 0
    expect_eq 'replies held' "$(metric holdfast_path_replies_held_total)" $((held + 1))
    must "$1" post '/echo?rlen=1024' 5
    expect_eq 'pings to an address that has answered' "$(field pings)" 0
}

ipv4_nat() {
    local before=$1 address
    probe_start nomad --server "10.77.2.2:$coaps_port" --psk "$identity:$key"
    must nomad connect
    must nomad get /whoami
    address=$(whoami_line address)
    expect_match 'address' "$address" '^10\.77\.2\.1:[0-9]+$'

    begin "$io: the NAT forgets the device between two requests"
    nat_forgets
    expect_moved nomad "$address" 1
    address=$(whoami_line address)
    expect_eq 'address changes' "$(address_changes)" $((before + 1))

    begin "$io: the server's own traffic goes to the new address"
    nat_forgets
    expect_path_check nomad
    expect_eq 'address changes' "$(address_changes)" $((before + 2))

    begin "$io: an address that does not answer gets no more than three times what came from it"
    nat_forgets
    must nomad mute
    ask nomad post '/echo?rlen=1024' 5
    expect_eq 'what came' "$(field reason)" ping
    expect_at_most 'octets to the new address' "$(field received_octets)" \
        $((3 * $(field sent_octets)))
    must nomad pong
    expect_eq 'octets of the reply' "$(field payload_length)" 1024
    expect_eq 'address changes' "$(address_changes)" $((before + 3))
    must nomad close
    probe_stop nomad
}

replies() { # count
    (($(wc -l <"$TMPDIR/replies") >= $1)) || has_ended "$client"
}

# libcoap's client, whose socket stays the same all the time.
real_client() {
    begin "$io: the NAT forgets coap-client"
    local before status=0
    before=$(address_changes)
    ip netns exec "$device" "$PEERS/mbedtls/coap-client" -v 3 -w -B 20 -d 0 -G 4 -A json \
        -u "$identity" -k "0x$key" "coaps://10.77.2.2:$coaps_port/whoami" >"$TMPDIR/replies" \
        2>"$TMPDIR/coap-client.log" &
    client=$!
    own_pids+=("$client")
    await 'two replies' 10 replies 2
    nat_forgets
    wait "$client" || status=$?
    forget_pid "$client"
    expect_eq 'exit status of coap-client' "$status" 0
    sed -i '/^$/d' "$TMPDIR/replies" # its end of the line at the end
    expect_eq 'replies' "$(wc -l <"$TMPDIR/replies")" 4
    expect_eq 'address changes, by reply' \
        "$(jq -r .address_changes <"$TMPDIR/replies" | paste -sd ' ')" '0 0 1 1'
    expect_eq 'previous address' "$(jq -rs '.[3].previous_address' <"$TMPDIR/replies")" \
        "$(jq -rs '.[0].address' <"$TMPDIR/replies")"
    expect_eq 'address changes' "$(address_changes)" $((before + 1))
}

ipv6_renumbering() {
    begin "$io: a new IPv6 address between two requests"
    local before=$1 address
    probe_start nomad --server "[fd77:2::2]:$coaps_port" --psk "$identity:$key" --cid 3
    must nomad connect
    must nomad get /whoami
    address=$(whoami_line address)
    expect_match 'address' "$address" '^\[fd77:1::2\]:[0-9]+$'
    ip -n "$device" addr add fd77:1::3/64 dev wan nodad
    ip -n "$device" addr del fd77:1::2/64 dev wan
    expect_moved nomad "$address" 1
    expect_eq 'address' "$(whoami_line address)" "[fd77:1::3]:$(field port)"
    expect_eq 'address changes' "$(address_changes)" $((before + 1))

    begin "$io: the server's own traffic goes to the new IPv6 address"
    ip -n "$device" addr add fd77:1::2/64 dev wan nodad
    ip -n "$device" addr del fd77:1::3/64 dev wan
    expect_path_check nomad
    expect_eq 'address changes' "$(address_changes)" $((before + 2))
    must nomad close
    probe_stop nomad
}

network
node_exec=(ip netns exec "$server")
probe_exec=(ip netns exec "$device")
for io in uring mmsg; do
    node_start "nat-$io" --io "$io"
    ipv4_nat 0
    real_client
    ipv6_renumbering "$(address_changes)"
    expect_eq handshakes "$(handshakes)" 3
    node_stop
done
