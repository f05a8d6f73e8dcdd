#!/usr/bin/env bash
# Starts a private cluster of two nodes with real Redis and MariaDB, measures it against them, and ends it.
#
#   benches/cluster.sh [--quick] [--write]
#
#   --quick   small numbers, to see that all works; not for quoting
#   --write   put the result into benches/RESULTS.md between its markers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

write=no amount=()
while (($#)); do
  case $1 in
    --quick) amount=(--messages 300 --secs 2 --rounds 1) ;;
    --write) write=yes ;;
    *) sed -n '2,/^set -e/{/^#/p}' "$0" >&2; exit 2 ;;
  esac
  shift
done

built=${CARGO_TARGET_DIR:-target}/release
cargo build --release -q --bin tokio-socketio
cargo build --release -q -p sio-cluster-bench
out=$(mktemp)
trap 'scripts/stop-cluster.sh >&2; rm -f "$out"' EXIT
# Rates are the service's own limit otherwise.
BIN=$built/tokio-socketio scripts/start-cluster.sh -- --set im.messages_per_second=0 --set im.typing_per_second=0 >&2
source run/cluster.env
pid() { head -n 1 "run/node$1.pid"; }
{
  echo "$(date -I), $(git describe --always --dirty). $(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) cores for two nodes, Redis," \
    "MariaDB and the clients together; Linux $(uname -r), $(redis-server --version | cut -d' ' -f3), $(mariadbd --version | sed 's/.*Ver \([^ ]*\).*/MariaDB \1/')."
  echo
  "$built/sio-cluster-bench" --redis "$REDIS_URL" --store "$STORE_URL" --pids "$(pid 1),$(pid 2)" "${amount[@]}"
} > "$out"
cat "$out"
if [[ $write == yes ]]; then
  awk -v file="$out" '
    /<!-- cluster:end -->/ { while ((getline line < file) > 0) print line; skip = 0 }
    !skip { print }
    /<!-- cluster:begin -->/ { skip = 1 }' benches/RESULTS.md > "$out.md"
  mv "$out.md" benches/RESULTS.md
fi
