#!/usr/bin/env bash
# `holdfast up` and its relatives as operators meet them: options, mistakes, HTTP, several workers,
# deaths and ends. On both I/O backends where datagrams are involved.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need curl jq pgrep

holdfast=$bin/holdfast

# Exit status 2 and exactly one line on stderr, which says what was wrong.
expect_refusal() { # regular-expression command...
    local wanted=$1 status=0 errors
    shift
    timeout 10 "$@" >"$TMPDIR/out" 2>"$TMPDIR/errors" </dev/null || status=$?
    errors=$(<"$TMPDIR/errors")
    expect_eq "exit status of $*" "$status" 2
    expect_eq "lines on stderr of $*" "$(wc -l <"$TMPDIR/errors")" 1
    expect_match "stderr of $*" "$errors" "$wanted"
    expect_eq "stdout of $*" "$(<"$TMPDIR/out")" ''
}

help_and_version() {
    local program
    begin '--help and --version'
    for program in holdfast holdfast-lb holdfast-worker 'holdfast up' 'holdfast psk gen' \
        'holdfast cid decode'; do
        # shellcheck disable=SC2086  # a program and its commands
        expect_match "$program --version" "$($bin/$program --version 2>&1)" \
            "^$program [0-9]+\.[0-9]+\.[0-9]+\$"
        # shellcheck disable=SC2086
        expect_match "$program --help" "$($bin/$program --help 2>"$TMPDIR/errors")" \
            "^Usage: $program "
        expect_eq "stderr of $program --help" "$(<"$TMPDIR/errors")" ''
    done
}

mistakes() {
    local taken
    begin 'options that cannot be used'
    local up=("$holdfast" up --state-dir "$TMPDIR/state" --coaps '[::1]:0' --coap '[::1]:0'
        --http '127.0.0.1:0')
    expect_refusal 'command' "$holdfast"
    expect_refusal 'frobnicate' "$holdfast" frobnicate
    expect_refusal '--frobnicate' "${up[@]}" --frobnicate
    expect_refusal '--coaps.*ADDR:PORT|--coaps.*want' "${up[@]}" --coaps nowhere
    expect_refusal '--http' "${up[@]}" --http 127.0.0.1
    expect_refusal '--coap' "${up[@]}" --coap 127.0.0.1:65536
    expect_refusal '--psk.*(hex|HEX)' "${up[@]}" --psk device:xyz
    expect_refusal '--psk' "${up[@]}" --psk device
    expect_refusal '--psk' "${up[@]}" --psk a:00 --psk a:01
    expect_refusal '--psk-file.*/does/not/exist' "${up[@]}" --psk-file /does/not/exist
    printf 'device-1:00\nnot a line\n' >"$TMPDIR/psks"
    expect_refusal '--psk-file.*2' "${up[@]}" --psk-file "$TMPDIR/psks"
    expect_refusal '--store.*memory:' "${up[@]}" --store frobnicate://
    expect_refusal '--workers' "${up[@]}" --workers many
    expect_refusal '--workers' "${up[@]}" --workers 0
    expect_refusal '--workers' "${up[@]}" --workers 33
    expect_refusal '--io.*(auto|uring|mmsg)' "${up[@]}" --io magic
    expect_refusal '--log' "${up[@]}" --log loud
    expect_refusal '--cluster-key-file.*/does/not/exist' "${up[@]}" \
        --cluster-key-file /does/not/exist
    expect_refusal '--cluster-key-file' "${up[@]}" --cluster-key-file "$TMPDIR/psks"
    expect_refusal '--workers' "${up[@]}" --workers
    expect_refusal '--config' "${up[@]}" --config /does/not/exist
    expect_refusal '--workers|HOLDFAST_WORKERS' env HOLDFAST_WORKERS=many "${up[@]}"
    expect_refusal 'cluster-key-file' "$bin/holdfast-lb" --worker 1=127.0.0.1:1
    expect_refusal 'cluster-key-file' "$bin/holdfast-worker" --id 1
    expect_refusal '--id' "$bin/holdfast-worker" --id none
    openssl rand -hex 32 >"$TMPDIR/cluster.key"
    local worker=("$bin/holdfast-worker" --cluster-key-file "$TMPDIR/cluster.key"
        --http 127.0.0.1:0)
    expect_refusal 'link: 0.0.0.0:0.*--advertise' "${worker[@]}" --link 0.0.0.0:0
    expect_refusal 'advertise: 0.0.0.0:1.*wildcard' "${worker[@]}" --link 0.0.0.0:0 \
        --advertise 0.0.0.0:1
    expect_refusal '--worker' "$bin/holdfast-lb" --worker none
    expect_refusal '--bytes' "$holdfast" psk gen --bytes 4
    expect_refusal 'HEX' "$holdfast" cid decode
    expect_refusal 'HEX' "$holdfast" cid decode xyz

    begin 'HTTP at a port that is taken'
    node_start first
    taken=$http
    expect_refusal "--http.*$taken" "${up[@]}" --http "$taken"

    begin 'DTLS at a port that is taken'
    taken=127.0.0.1:$coaps_port
    expect_dead_child "$taken" "${up[@]}" --coaps "$taken"
    node_stop
}

# A child that dies at start: said, and no reason to stay.
expect_dead_child() { # regular-expression command...
    local wanted=$1 status=0
    shift
    timeout 10 "$@" >"$TMPDIR/out" 2>"$TMPDIR/errors" </dev/null || status=$?
    ((status != 0 && status != 124)) || fail "exit status of $*: $status"
    expect_match "stderr of $*" "$(<"$TMPDIR/errors")" "$wanted"
}

# With a program that is none in the place of the worker.
broken_worker() {
    begin 'a child that dies at start'
    local folder=$TMPDIR/bin
    mkdir "$folder"
    cp "$holdfast" "$bin/holdfast-lb" "$folder"
    printf '#!/bin/sh\nexit 3\n' >"$folder/holdfast-worker"
    chmod +x "$folder/holdfast-worker"
    expect_dead_child 'child=worker-1.*exit=3' "$folder/holdfast" up --state-dir "$TMPDIR/state" \
        --coaps '[::1]:0' --coap '[::1]:0' --http 127.0.0.1:0

    begin 'a child that is not there'
    rm "$folder/holdfast-worker"
    expect_dead_child 'child=worker-1' "$folder/holdfast" up --state-dir "$TMPDIR/state" \
        --coaps '[::1]:0' --coap '[::1]:0' --http 127.0.0.1:0
}

http_side() {
    begin "$io: HTTP"
    local path
    for path in /healthz /readyz /metrics; do
        expect_eq "$path" "$(curl -s -m 5 -o "$TMPDIR/body" -w '%{http_code}' "http://$http$path")" \
            200
    done
    expect_eq /nowhere "$(curl -s -m 5 -o "$TMPDIR/body" -w '%{http_code}' \
        "http://$http/nowhere")" 404
    expect_match 'content type' "$(curl -s -m 5 -o "$TMPDIR/body" -w '%{content_type}' \
        "http://$http/metrics")" '^text/plain; version=0\.0\.4'
    expect_eq 'metrics without TYPE' "$(scrape | awk '/^# TYPE/ { typed[$3] = 1 }
        !/^#/ { sub(/[{ ].*/, ""); if (!($0 in typed)) print }')" ''
    expect_eq 'children' "$(metric holdfast_node_children)" "$1"
    expect_eq 'children that serve' "$(metric holdfast_node_children_serving)" "$1"
    await_metric holdfast_lb_workers_alive $(($1 - 1))
}

keys() {
    begin "$io: keys from psk gen, in a --psk-file"
    local line
    "$holdfast" psk gen --identity 'urn:dev:mac:0024befffe804ff1' >"$TMPDIR/gen"
    "$holdfast" psk gen >>"$TMPDIR/gen"
    "$holdfast" psk gen --bytes 32 >>"$TMPDIR/gen"
    expect_eq 'lines' "$(wc -l <"$TMPDIR/gen")" 3
    node_start "keys-$io" --io "$io" --psk-file "$TMPDIR/gen"
    while IFS= read -r line; do
        probe_start generated --server "127.0.0.1:$coaps_port" --psk "$line"
        must generated connect
        must generated get /whoami
        expect_eq identity "$(whoami_line identity)" "${line%:*}"
        must generated close
        probe_stop generated
    done <"$TMPDIR/gen"
    while IFS= read -r line; do
        ! grep -q "${line##*:}" "$node_log" || fail "the key of ${line%:*} is in the log"
    done <"$TMPDIR/gen"
    node_stop
}

# Sessions are spread over the workers; a Connection ID names its own.
# Sources spread over the threads by their ports, and each thread finds each worker: had one of the
# threads no part in it, some of the 48 ports would get no answer.
several_workers() {
    begin "$io: three workers, three threads"
    local i decoded cid worker
    local -A seen=()
    node_start "three-$io" --io "$io" --workers 3 --threads 3
    http_side 4
    for ((i = 1; i <= 24; i++)); do
        probe_start "many$i" --server "127.0.0.1:$coaps_port" --psk "$identity:$key"
        must "many$i" connect
        cid=$(field server_cid)
        must "many$i" get /whoami
        worker=$(whoami_line worker)
        seen[$worker]=1
        expect_eq 'the Connection ID' "$(whoami_line server_cid)" "$cid"
        decoded=$("$holdfast" cid decode "$cid" --state-dir "$state")
        expect_match "cid decode $cid" "$decoded"$'\n' $'\n'"worker $worker"$'\n'
        expect_match "cid decode $cid" "$decoded" '^config 0'
        # Behind another address it is still that worker's.
        must "many$i" rebind
        must "many$i" get /whoami
        expect_eq 'the worker after a change of address' "$(whoami_line worker)" "$worker"
    done
    expect_eq 'workers that hold sessions' "${#seen[@]}" 3
    expect_eq 'threads that the workers have heard' \
        "$(grep -o 'load balancer heard address=.*' "$node_log" | sort -u | wc -l)" 3
    expect_eq sessions "$(metric holdfast_sessions)" 24
    expect_eq handshakes "$(handshakes)" 24
    for ((i = 1; i <= 24; i++)); do
        probe_stop "many$i"
    done
    node_stop
}

deaths() {
    local pid old
    begin "$io: the load balancer is killed"
    node_start "deaths-$io" --io "$io"
    probe_start device --server "127.0.0.1:$coaps_port" --psk "$identity:$key"
    must device connect
    must device get /tstun
    old=$(children holdfast-lb)
    kill -KILL "$old"
    await 'another lb' 10 is_replaced holdfast-lb "$old"
    await '/readyz says yes again' 10 is_ready
    must device get /whoami # over the session it had
    expect_eq handshakes "$(handshakes)" 1
    expect_eq restarts "$(metric holdfast_node_restarts_total)" 1

    begin "$io: the worker is killed"
    old=$(children holdfast-worker)
    kill -KILL "$old"
    await 'another worker' 10 is_replaced holdfast-worker "$old"
    await '/readyz says yes again' 10 is_ready
    expect_eq restarts "$(metric holdfast_node_restarts_total)" 2
    expect_eq 'sessions in its memory' "$(metric holdfast_sessions)" 0
    must device get /whoami # over the session it had, from the store
    expect_eq handshakes "$(handshakes)" 0
    expect_eq 'sessions adopted' "$(metric holdfast_sessions_adopted_total)" 1
    probe_stop device

    begin "$io: SIGTERM"
    pids=$(pgrep -P "$node_pid")
    expect_eq 'children' "$(wc -w <<<"$pids")" 2
    local started=${EPOCHREALTIME/./}
    node_stop
    expect_at_most 'microseconds until the end' $((${EPOCHREALTIME/./} - started)) 2000000
    for pid in $pids; do
        has_ended "$pid" || fail "child $pid is still there"
    done
}

is_replaced() { # name old-pid
    local pid
    pid=$(children "$1") && [[ $pid != "$2" ]]
}

# The node itself killed: its children do not stay behind.
orphans() {
    begin "$io: the launcher is killed"
    local pids pid
    node_start "orphans-$io" --io "$io" --workers 2
    pids=$(pgrep -P "$node_pid")
    expect_eq 'children' "$(wc -w <<<"$pids")" 3
    for pid in $pids; do
        own_pids+=("$pid") # now ours to end, should it stay
    done
    kill -KILL "$node_pid"
    wait "$node_pid" 2>"$TMPDIR/errors" || true
    forget_pid "$node_pid"
    for pid in $pids; do
        await "child $pid ends" 5 has_ended "$pid"
        forget_pid "$pid"
    done
}

help_and_version
mistakes
broken_worker
for io in uring mmsg; do
    keys
    several_workers
    deaths
    orphans
done
