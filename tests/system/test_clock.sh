#!/usr/bin/env bash
# A worker whose clock jumps an hour ahead, and back: the wall clock alone, as an operator or NTP
# may move it, and with it the monotonic one, which no kernel moves back. No device does another
# handshake, and nothing that was acknowledged is missing from the log or there twice. The clocks of
# Redis, the other worker and the load balancers stay as they are.
# shellcheck source-path=SCRIPTDIR source=cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
need curl jq openssl redis-server redis-cli

served_again_ms=3000 # for each session; loose, since the machine may be busy with other things
watched_s=3 # after each jump
devices=60
both=(routed addressed) # with Connection ID and without; one at each lb
clock=$TMPDIR/clock

# One octet, in place: the worker has the file mapped.
clock_set() { # t (true) | w (the wall clock is an hour ahead) | b (both clocks are)
    printf '%s' "$1" 1<>"$clock"
}

# Seconds by which the worker's wall clock is ahead of ours, by the Date of what it answers.
worker_is_ahead() { # at-least at-most
    local date ahead
    date=$(curl -s -m 2 -o "$TMPDIR/ready" -w '%header{date}' "http://${worker_http[1]}/readyz")
    ahead=$(($(date -d "$date" +%s) - EPOCHSECONDS))
    ((ahead >= $1 && ahead <= $2))
}

# Each session is served again and again, since a jump may show only with what is due later.
jumped() { # mode seconds-ahead what
    local name end concerned=0
    begin "$3"
    for name in "${both[@]}"; do
        fleet_place "$name"
        must "$name" mark 1
        concerned=$((concerned + $(field concerned)))
    done
    expect_at_least 'sessions of worker 1' "$concerned" 1
    clock_set "$1"
    end=$((EPOCHSECONDS + watched_s))
    await 'the worker sees it' 5 worker_is_ahead $(($2 - 5)) $(($2 + 5))
    while ((EPOCHSECONDS <= end)); do
        for name in "${both[@]}"; do
            must "$name" mark
        done
        for name in "${both[@]}"; do
            fleet_await "$name"
            expect_at_most "$name: ms until all are served" "$(jq .recovery_ms.max <<<"$answer")" \
                "$served_again_ms"
        done
    done
    lbs_see 2
    await 'worker 1 is ready' 10 answers_yes "http://${worker_http[1]}/readyz"
    for name in "${both[@]}"; do
        fleet_rest "$name" "$3"
        expect_eq "$name: replies of 5.03" "$(field unavailable)" 0
        expect_log "$name"
    done
    expect_no_handshakes
    for name in "${both[@]}"; do
        must "$name" go
    done
}

store_start redis
printf t >"$clock"
worker_exec=(env LD_PRELOAD="$bin/tests/clock.so" CLOCK_FILE="$clock")
openssl rand -hex 32 >"$TMPDIR/cluster.key"
worker_start 1
worker_exec=()
worker_start 2
lb_start 1
lb_start 2
lbs_see 2
fleet_start routed 0 1 --devices "$devices"
fleet_start addressed none 2 --devices "$devices"
handshakes_note
jumped w 3600 'the wall clock jumps ahead'
jumped t 0 'the wall clock jumps back'
jumped b 3600 'both clocks jump ahead'
jumped t 0 'both clocks jump back'
for name in "${both[@]}"; do
    probe_stop "$name"
done
cluster_stop
