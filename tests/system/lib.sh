# What the system tests share; sourced by each test_*.sh, which run.sh starts from the repository's
# root with BUILD, PEERS and a TMPDIR of its own. Nothing is skipped: what is missing is a failure.
# shellcheck shell=bash
set -euo pipefail

: "${BUILD:?is the build folder}" "${PEERS:?is the folder of the foreign clients}"
: "${TMPDIR:?is a folder of this test}"
bin=$BUILD/bin

identity=device-1
key=00112233445566778899aabbccddeeff
identity_b=device-2
key_b=ffeeddccbbaa99887766554433221100

# ---- outcome ------------------------------------------------------------------------------------

subtests=0
current='(start)'
failed=

begin() { # what the next assertions are about
    current=$1
    subtests=$((subtests + 1))
    echo "- $current"
}

fail() { # text
    failed=1
    printf 'FAILED: %s: %s\n' "$current" "$*" >&2
    exit 1
}

expect_eq() { # what got want
    [[ $2 == "$3" ]] || fail "$1: got '$2', want '$3'"
}

expect_match() { # what got regular-expression
    [[ $2 =~ $3 ]] || fail "$1: got '$2', want a match of '$3'"
}

expect_at_most() { # what got limit
    (($2 <= $3)) || fail "$1: got $2, want at most $3"
}

expect_at_least() { # what got limit
    (($2 >= $3)) || fail "$1: got $2, want at least $3"
}

need() { # programs
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || fail "$program is missing; deploy/deps.sh --tests"
    done
}

# Waits for a condition, which is asked for again and again and must hold in time.
await() { # what seconds command...
    local what=$1 deadline=$((${EPOCHREALTIME/./} + $2 * 1000000))
    shift 2
    until "$@"; do
        ((${EPOCHREALTIME/./} < deadline)) || fail "$what: not in time"
        sleep 0.02
    done
}

# ---- the end: our own processes and namespaces, no others ---------------------------------------

own_pids=()
own_namespaces=()

is_running() { # pid: a child that has ended is a zombie until it is waited for
    local stat
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    [[ $stat != *') Z '* ]]
}

has_ended() { # pid
    ! is_running "$1"
}

finish() {
    local status=$? pid log namespace
    trap - EXIT
    [[ -z $failed ]] || status=1
    if ((status != 0)); then
        echo "ended in: $current (status $status)"
        for log in "$TMPDIR"/*.log; do
            [[ ! -f $log ]] || { echo "--- $log" && tail -n 25 "$log"; }
        done
    fi
    for pid in "${own_pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
        kill -CONT "$pid" 2>/dev/null || true # one that was stopped could not end
    done
    for pid in "${own_pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    for namespace in "${own_namespaces[@]}"; do
        ip netns del "$namespace" 2>/dev/null || true
    done
    ((status != 0)) || echo "subtests: $subtests"
    exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# ---- a node -------------------------------------------------------------------------------------

node_exec=() # a prefix such as: ip netns exec NAME

ready_line() {
    grep -m 1 ' up ready ' "$node_log"
}

node_is_up() {
    has_ended "$node_pid" || ready_line >/dev/null
}

word_of() { # line name
    local word=${1#* "$2"=}
    printf '%s' "${word%% *}"
}

is_ready() {
    "${node_exec[@]}" curl -sf -m 2 -o "$TMPDIR/ready" "http://$http/readyz"
}

# Runs `holdfast up` on ports that the kernel chooses; sets node_pid, node_log, state, coaps_port,
# coap_port and http.
node_start() { # name options...
    local name=$1 line
    shift
    state=$TMPDIR/state-$name
    node_log=$TMPDIR/$name.log
    : >"$node_log"
    "${node_exec[@]}" "$bin/holdfast" up --coaps '[::]:0' --coap '[::]:0' --http 127.0.0.1:0 \
        --psk "$identity:$key" --psk "$identity_b:$key_b" --state-dir "$state" "$@" \
        >"$TMPDIR/$name.out" 2>"$node_log" </dev/null &
    node_pid=$!
    own_pids+=("$node_pid")
    await 'the node comes up' 10 node_is_up
    is_running "$node_pid" || fail 'the node ended at start'
    line=$(ready_line)
    coaps_port=$(word_of "$line" coaps)
    coaps_port=${coaps_port##*:}
    coap_port=$(word_of "$line" coap)
    coap_port=${coap_port##*:}
    http=$(word_of "$line" http)
    await '/readyz says yes' 10 is_ready
}

forget_pid() { # pid
    local pid kept=()
    for pid in "${own_pids[@]}"; do
        [[ $pid == "$1" ]] || kept+=("$pid")
    done
    own_pids=("${kept[@]}")
}

node_stop() {
    local status=0 pid=$node_pid
    kill -TERM "$pid"
    await 'the node ends' 5 has_ended "$pid"
    wait "$pid" || status=$?
    forget_pid "$pid"
    expect_eq 'exit status of the node' "$status" 0
}

# The pids of the node's children with this name.
children() { # holdfast-lb | holdfast-worker
    pgrep -P "$node_pid" -x "$1"
}

# ---- what it counts -----------------------------------------------------------------------------

scrape() {
    "${node_exec[@]}" curl -sf -m 5 "http://$http/metrics"
}

metric() { # name-with-labels
    scrape | awk -v name="$1" '$1 == name { value = $2; found = 1 }
        END { if (found) printf "%.0f\n", value; else exit 1 }' || fail "no metric $1"
}

# A metric must come to a value: a datagram that gets no answer is counted at some time.
await_metric() { # name value
    local deadline=$((${EPOCHREALTIME/./} + 5000000)) got
    while true; do
        got=$(metric "$1")
        [[ $got != "$2" ]] || return 0
        ((${EPOCHREALTIME/./} < deadline)) || fail "$1: got $got, want $2"
        sleep 0.02
    done
}

handshakes() {
    metric 'holdfast_handshakes_total{result="ok"}'
}

address_changes() {
    metric holdfast_address_changes_total
}

# ---- clients ------------------------------------------------------------------------------------

probe_exec=() # as node_exec

# Starts a program that takes commands under a name, with which ask talks to it.
declare -A probe_in probe_out probe_pid
program_start() { # name command...
    local name=$1 in out
    shift
    mkfifo "$TMPDIR/$name.in" "$TMPDIR/$name.out"
    "${probe_exec[@]}" "$@" <"$TMPDIR/$name.in" >"$TMPDIR/$name.out" 2>"$TMPDIR/$name.log" &
    probe_pid[$name]=$!
    own_pids+=("$!")
    exec {in}>"$TMPDIR/$name.in" {out}<"$TMPDIR/$name.out"
    rm "$TMPDIR/$name.in" "$TMPDIR/$name.out"
    probe_in[$name]=$in
    probe_out[$name]=$out
}

probe_start() { # name options...
    local name=$1
    shift
    program_start "$name" "$bin/tests/dtls_probe" "$@"
}

# The next line that it says is in $answer.
hear() { # name seconds
    IFS= read -r -t "$2" answer <&"${probe_out[$1]}"
}

# Gives the program a command; its answer, a line of JSON, is in $answer.
ask() { # name command...
    local name=$1
    shift
    printf '%s\n' "$*" >&"${probe_in[$name]}"
    hear "$name" 30 || fail "$name does not answer '$*'"
}

field() { # name
    jq -r --arg name "$1" '.[$name] // empty' <<<"$answer"
}

# As ask, for what must succeed.
must() { # name command...
    ask "$@"
    [[ $answer == *'"ok":true'* ]] || fail "$*: $answer"
}

# Ends it as a device that loses power: nothing is said to the server.
probe_stop() { # name
    local pid=${probe_pid[$1]} in=${probe_in[$1]} out=${probe_out[$1]}
    echo quit >&"$in"
    exec {in}>&- {out}<&-
    wait "$pid" || fail "$1 ended with $?"
    forget_pid "$pid"
}

# A line of whoami's text.
whoami_line() { # name, of the payload in $answer
    field payload | sed -n "s/^$1=//p"
}

# ---- records, as hex ----------------------------------------------------------------------------

# The record with its sequence number (octets 5 to 10) raised and its last octet changed: it looks
# newer, and its tag is wrong.
newer_looking() { # hex
    local record=$1 sequence last
    sequence=$(printf '%012x' $((16#${record:10:12} + 1000)))
    last=$(printf '%02x' $((16#${record: -2} ^ 1)))
    printf '%s' "${record:0:10}$sequence${record:22:${#record}-24}$last"
}
