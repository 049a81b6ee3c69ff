#!/usr/bin/env bash
# Counts the instructions of the hot functions by callgrind and compares them with cost.baseline.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

baseline=bench/cost.baseline
slack=3 # per cent
turns=256

usage() {
    cat <<'END'
usage: bench/cost.sh [--update | --prove]
  (none)    prints what each hot function costs; exit status 1 if one is more than 3 % above
            bench/cost.baseline, or is not in it
  --update  writes bench/cost.baseline
  --prove   shows that the comparison sees what it is for: with 4 % more instructions in each
            function all of them are found, with 2 % none

BUILD  folder of a release build with holdfast-cost (build/release)
END
}

mode=${1:---compare}
case $mode in
    --compare | --update | --prove) (($# <= 1)) || mode= ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) mode= ;;
esac
[[ -n $mode ]] || {
    echo 'cost.sh: want --update, --prove or nothing; see --help' >&2
    exit 2
}

build=${BUILD:-build/release}
program=$build/bin/holdfast-cost
[[ -x $program ]] || {
    echo "cost.sh: $program is missing; run cmake --build --preset release" >&2
    exit 2
}
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-cost.XXXXXX")
trap 'rm -rf "$work"' EXIT

compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
built_by="$(basename "$(readlink -f "$(command -v "$compiler")")") $("$compiler" -dumpfullversion)"
readonly work compiler built_by
readarray -t names < <("$program" --list)

# One line of callgrind's output for each part: NAME OWN CALLS ALL, for one turn.
#   OWN    instructions in functions of which the debug information says that the source is ours.
#          wolfCrypt, libcoap and libc are built without, and choose their code by the processor
#   CALLS  from ours to theirs: what is asked of a library, whatever it takes on this processor
#   ALL    instructions of everything, on this processor
count_part() { # file
    awk -v root="$PWD/" -v turns="$turns" '
        function file_of(text, id, at) {
            at = index(text, ")")
            id = substr(text, 1, at)
            if (length(text) > at) file[id] = substr(text, at + 2)
            return file[id]
        }
        function is_ours(name) { return index(name, root) == 1 }
        /^desc: Trigger: --dump-after=cost_/ { sub(/.*cost_/, ""); name = $0; next }
        /^fl=/ { here = is_ours(file_of(substr($0, 4))); there = here; next }
        /^f[ie]=/ { inlined = is_ours(file_of(substr($0, 4))); here = inlined; there = here; next }
        /^cf[il]=/ { there = is_ours(file_of(substr($0, 5))); next }
        /^calls=/ {
            split(substr($0, 7), call, " ")
            if (here && !there) calls += call[1]
            there = here
            skip = 1
            next
        }
        /^totals:/ { all = $2; next }
        /^[0-9+*-]/ { if (skip) skip = 0; else if (here) own += $2 }
        END { printf "%s %.1f %.1f %.1f\n", name, own / turns, calls / turns, all / turns }
    ' "$1"
}

# What each function costs. Of its two parts the first is the warming up.
count() { # arguments of the program... -> stdout
    local part
    rm -f "$work"/part*
    valgrind --tool=callgrind --callgrind-out-file="$work/part" --collect-atstart=no \
        '--toggle-collect=cost_*' "${names[@]/#/--dump-after=cost_}" "$program" "$@" \
        >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
    for ((part = 2; part <= 2 * ${#names[@]}; part += 2)); do
        count_part "$work/part.$part"
    done
}

# The table; status 1 if a function has become slower.
compare() { # counts
    awk -v slack="$slack" '
        BEGIN { printf "%-16s %10s %10s %8s %7s %7s %10s\n", "function", "own", "baseline", "",
                       "calls", "base", "all" }
        FNR == NR { if ($1 != "#") { own[$1] = $2; calls[$1] = $3 } next }
        {
            verdict = ""
            if (!($1 in own)) verdict = "not in the baseline"
            else if ($2 > own[$1] * (1 + slack / 100)) verdict = "SLOWER"
            else if ($3 > calls[$1] * (1 + slack / 100)) verdict = "MORE CALLS"
            else if ($2 < own[$1] * (1 - slack / 100)) verdict = "faster: update the baseline"
            if (verdict != "" && verdict !~ /^faster/) bad++
            change = own[$1] > 0 ? sprintf("%+.1f%%", ($2 / own[$1] - 1) * 100) : ""
            printf "%-16s %10.1f %10.1f %8s %7.1f %7.1f %10.1f %s\n", $1, $2, own[$1], change, $3,
                   calls[$1], $4, verdict
        }
        END { exit bad > 0 }
    ' "$baseline" "$1"
}

same_compiler() {
    local recorded
    recorded=$(sed -n 's/^# compiler: //p' "$baseline")
    [[ $recorded == "$built_by" ]] || {
        echo "cost.sh: the baseline is of $recorded and this build of $built_by: nothing compared"
        return 1
    }
}

# Each function with so many per cent more than the baseline says; how many were found slower.
found_with() { # per cent
    local arguments=()
    readarray -t arguments < <(awk -v more="$1" -v turns="$turns" '$1 != "#" {
        printf "--waste\n%s:%d\n", $1, $2 * turns * more / 100 }' "$baseline")
    count "${arguments[@]}" >"$work/wasted"
    compare "$work/wasted" >&2 || true
    compare "$work/wasted" | grep -c SLOWER || true
}

case $mode in
    --update)
        {
            echo "# What the hot functions may cost, for one turn: NAME INSTRUCTIONS CALLS."
            echo "# Written by bench/cost.sh --update."
            echo "# compiler: $built_by"
            count | awk '{ print $1, $2, $3 }'
        } >"$work/baseline"
        cp "$work/baseline" "$baseline"
        echo "cost.sh: $baseline written"
        ;;
    --compare)
        same_compiler || exit 0
        count >"$work/counts"
        compare "$work/counts" || {
            echo "cost.sh: more than $slack % above $baseline; if it is worth it, say why in the" \
                "commit and run bench/cost.sh --update"
            exit 1
        }
        ;;
    --prove)
        same_compiler || exit 0
        # From what it costs now, whatever the committed baseline says.
        { echo "# compiler: $built_by"; count; } >"$work/baseline"
        baseline=$work/baseline
        two=$(found_with 2)
        four=$(found_with 4)
        echo "cost.sh: of ${#names[@]} functions, $two found with 2 % more, $four with 4 % more"
        ((two == 0 && four == ${#names[@]}))
        ;;
esac
