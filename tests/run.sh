#!/usr/bin/env bash
# All tests: installs what they need, builds, runs them; ends with one line, "N passed, N failed".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'END'
usage: tests/run.sh [--only units|fuzz|system] [--soak] [FILTER]
  units   each unit test and each fuzz target over its corpus, with sanitizers and as released
  fuzz    each fuzz target on libFuzzer, for FUZZ_SECONDS (20) each
  system  each script tests/system/test_*.sh on the released programs, SYSTEM_SECONDS (300) at most
  --soak  only tests/system/soak.sh: thousands of devices, each process killed in turn, all restarted
FILTER is a regular expression on names such as shared/cid, fuzz/frame, system/nat.

A system test is run with BUILD set to the build folder, PEERS to the foreign clients and TMPDIR
to a folder of its own. It may print "subtests: N" if it checks N things worth a count each.
END
}

only=
soak=
filter=.
while (($#)); do
    case $1 in
        --only)
            only=${2:-}
            [[ $only =~ ^(units|fuzz|system)$ ]] || {
                echo 'run.sh: --only takes units, fuzz or system' >&2
                exit 2
            }
            shift
            ;;
        --soak)
            soak=1
            only=system
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        -*)
            printf 'run.sh: unknown option %s; see --help\n' "$1" >&2
            exit 2
            ;;
        *) filter=$1 ;;
    esac
    shift
done

passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-tests.XXXXXX")
trap 'jobs -rp | xargs -r kill; rm -rf "$work"' EXIT

wanted() { # stage
    [[ -z $only || $only == "$1" ]]
}

# One line for a test that ended, and below it what it printed if it failed.
report() { # name status seconds [output-file [count]]
    if (($2 == 0)); then
        passed=$((passed + ${5:-1}))
        printf 'ok %s (%s)\n' "$1" "$3"
    else
        failed=$((failed + 1))
        printf 'FAIL %s (%s)\n' "$1" "$3"
        [[ -z ${4:-} ]] || sed 's/^/    /' "$4"
    fi
}

# A preset that does not build is a failed test: what depends on it is left out, the rest runs.
build() { # preset
    local start=$SECONDS log=$work/build-$1.log
    if cmake --preset "$1" >"$log" 2>&1 && cmake --build --preset "$1" >"$log" 2>&1; then
        printf 'built %s (%s)\n' "$1" $((SECONDS - start))
    else
        report "build/$1" 1 $((SECONDS - start)) "$log"
        return 1
    fi
}

# Units: ctest runs them, and its line for each test becomes ours; what else it prints belongs to a
# failure.
units() { # preset
    local line outcome status=0 before=$failed log=$work/units-$1.log
    local result='^ *[0-9]+/[0-9]+ Test +#[0-9]+: ([^ ]+) \.*(.*) ([0-9.]+) sec'
    ctest --preset "$1" -j "$(nproc)" --no-tests=ignore -R "$filter" >"$log" 2>&1 || status=$?
    while IFS= read -r line; do
        if [[ $line =~ $result ]]; then
            outcome=1
            [[ ${BASH_REMATCH[2]} != *' Passed '* ]] || outcome=0
            report "$1:${BASH_REMATCH[1]}" "$outcome" "${BASH_REMATCH[3]}"
        elif [[ $line == *'tests passed, '* ]]; then
            break
        elif [[ ! $line =~ ^(Test project|No tests| *Start |$) ]]; then
            printf '    %s\n' "$line"
        fi
    done <"$log"
    # A ctest that failed without naming a test has not run them.
    ((status == 0 || failed > before)) || report "$1:ctest" "$status" 0
}

# Fuzz: as many targets at a time as there are processors, each on a copy of its corpus.
fuzz_one() { # noun
    local start=$SECONDS status=0 corpus=$work/corpus-$1
    mkdir -p "$corpus" build/fuzz/found
    cp -r "tests/fuzz/corpus/$1/." "$corpus" 2>/dev/null || true
    "build/fuzz/bin/tests/fuzz_$1" -max_total_time="${FUZZ_SECONDS:-20}" -max_len=4096 -timeout=10 \
        -artifact_prefix="build/fuzz/found/$1-" "$corpus" >"$work/fuzz-$1.log" 2>&1 || status=$?
    echo "$status $((SECONDS - start))" >"$work/fuzz-$1.status"
}

fuzz() {
    local target noun nouns=() status seconds
    for target in tests/fuzz/fuzz_*.c; do
        noun=${target##*/fuzz_}
        noun=${noun%.c}
        [[ -f $target && fuzz/$noun =~ $filter ]] || continue
        nouns+=("$noun")
        while (($(jobs -rp | wc -l) >= $(nproc))); do
            wait -n
        done
        fuzz_one "$noun" &
    done
    wait
    for noun in "${nouns[@]}"; do
        read -r status seconds <"$work/fuzz-$noun.status"
        tail -n 60 "$work/fuzz-$noun.log" >"$work/fuzz-$noun.tail"
        report "fuzz/$noun" "$status" "$seconds" "$work/fuzz-$noun.tail"
    done
}

# System: one script at a time, since they measure time and make network namespaces.
system_one() { # script name
    local start=$SECONDS status=0 log=$work/system.log tmp=$work/system count
    rm -rf "$tmp"
    mkdir "$tmp"
    TMPDIR=$tmp timeout --kill-after=10 "${SYSTEM_SECONDS:-300}" "$1" >"$log" 2>&1 </dev/null ||
        status=$?
    ((status != 124)) || echo "ended by run.sh: more than ${SYSTEM_SECONDS:-300} s" >>"$log"
    count=$(sed -n 's/^subtests: \([0-9][0-9]*\)$/\1/p' "$log" | tail -n 1)
    report "$2" "$status" $((SECONDS - start)) "$log" "${count:-1}"
}

system() {
    local script name
    BUILD=$PWD/build/release
    PEERS=$(deploy/deps.sh --prefix)/peers
    export BUILD PEERS
    if [[ $soak ]]; then
        SYSTEM_SECONDS=1200 system_one tests/system/soak.sh system/soak
        cat "$work/system.log"
        return
    fi
    for script in tests/system/test_*.sh; do
        name=system/${script##*/test_}
        name=${name%.sh}
        [[ $name =~ $filter ]] || continue
        system_one "$script" "$name"
    done
}

deploy/deps.sh --tests

released=
if wanted units || wanted system; then
    build release && released=1
fi
if wanted units; then
    if build asan; then units asan; fi
    if [[ $released ]]; then units release; fi
fi
if wanted fuzz && build fuzz; then fuzz; fi
if wanted system && [[ $released ]]; then system; fi

echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
