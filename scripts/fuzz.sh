#!/bin/sh
# Runs every fuzz target for so many seconds each (default 60), two at a time, from its checked-in seeds and what earlier
# runs found (fuzz/corpus, not checked in). Fails on the first finding; the input is then in fuzz/artifacts.
# Needs a nightly toolchain; installs cargo-fuzz when it is missing.
# Usage: scripts/fuzz.sh [seconds [target...]]
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)

# Built one after the other, for a build uses all cores; run two at a time, for a run uses one.
for target in "$@"; do
    # The node is not needed for any, and would take ten minutes to build for this.
    case $target in token) features=auth ;; *) features= ;; esac
    cargo +nightly fuzz build --features "$features" "$target"
    cp "fuzz/target/$(rustc +nightly -vV | sed -n 's/^host: //p')/release/$target" "fuzz/target/fuzz-$target"
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
done
run() {
    log="fuzz/target/fuzz-$1.log"
    if "fuzz/target/fuzz-$1" -artifact_prefix="fuzz/artifacts/$1/" -max_total_time="$2" -max_len=4096 \
        -rss_limit_mb=1024 -malloc_limit_mb=64 -print_final_stats=1 "fuzz/corpus/$1" "fuzz/seeds/$1" > "$log" 2>&1; then
        echo "fuzz: $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $2 s, no finding"
    else
        tail -n 60 "$log"
        echo "fuzz: $1: a finding, the input is in fuzz/artifacts/$1"
        return 1
    fi
}
failed=0
while [ $# -gt 0 ]; do
    run "$1" "$seconds" & first=$!
    if [ $# -gt 1 ]; then run "$2" "$seconds" || failed=1; shift; fi
    wait "$first" || failed=1
    shift
done
[ "$failed" -eq 0 ] || exit 1
echo "fuzz: no findings"
