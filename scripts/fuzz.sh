#!/bin/sh
# Runs every fuzz target for so many seconds each (default 60), from its checked-in seeds and what earlier
# runs found (fuzz/corpus, not checked in). Fails on the first finding; the input is then in fuzz/artifacts.
# Needs a nightly toolchain; installs cargo-fuzz when it is missing.
# Usage: scripts/fuzz.sh [seconds [target...]]
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
for target in "$@"; do
    echo "fuzz: $target for $seconds s"
    mkdir -p "fuzz/corpus/$target"
    # What is part of the node needs it built; the protocols don't.
    case $target in token) features=node ;; *) features= ;; esac
    cargo +nightly fuzz run --features "$features" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -malloc_limit_mb=64 -print_final_stats=1
done
echo "fuzz: no findings"
