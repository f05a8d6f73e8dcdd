#!/usr/bin/env bash
# Measures this server beside its peers and beside what no server can be faster than: the same client and the same work for
# all, one server at a time, taking turns, each run with a fresh process that is ended by its pid. Prints tables and which goals
# hold. Loopback only.
#
#   scripts/bench.sh [--quick] [--write] [--pin] [--rounds N] [--servers "ours floor …"] [--works "echo flood …"]
#
#   --quick    small and short, one round: about three minutes, to see that all works; not for quoting
#   --write    take the runs into benches/results, and write benches/RESULTS.md and its plots anew: works and servers that were
#              not run keep their earlier runs
#   --pin      server on CPU 0, generator on CPU 1: what one core of each does, with less noise
#   --rounds   repetitions (default 3; works that take long have fewer); tables show medians and spread
#   --servers  of: ours floor floor-epoll floor-each socketioxide bun node netty (default: all; what is missing is said and left out)
#   --works    of: idle idle-polling connect connect-polling connect-upgrade echo echo-polling flood broadcast broadcast-10k rooms
#              growth-connections growth-rooms, and with a cluster of nodes, Redis and MariaDB: cross-node cross-node-busy
#              redis-connects stored jitter crowd avalanche (default: all but connect-polling and redis-connects)
#   OURS="command"  what to start as ours; told its port by PORT and by a last argument
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source benches/lib/servers.sh
source benches/lib/works.sh
source benches/lib/clusters.sh

QUICK=false WRITE=false PIN=false ROUNDS=3
SERVERS="ours floor floor-epoll floor-each socketioxide bun node netty"
WORKS="idle idle-polling connect connect-upgrade echo echo-polling flood broadcast broadcast-10k rooms growth-connections
  growth-rooms cross-node cross-node-busy stored jitter crowd avalanche"
while (($#)); do
  case $1 in
    --quick) QUICK=true ROUNDS=1 ;;
    --write) WRITE=true ;;
    --pin) PIN=true ;;
    --rounds) ROUNDS=$2; shift ;;
    --servers) SERVERS=$2; shift ;;
    --works) WORKS=$2; shift ;;
    *) sed -n '2,/^set -e/{/^#/p}' "$0" >&2; exit 2 ;;
  esac
  shift
done
for work in $WORKS; do known_work "$work" || { echo "unknown work: $work" >&2; exit 2; }; done

TARGET=${CARGO_TARGET_DIR:-target}
LOAD=$TARGET/release/sio-load
OURS=${OURS:-$TARGET/release/examples/echo}
OUT=$(mktemp -d)
trap 'stop_floors; stop_cluster; rm -rf "$OUT"' EXIT
RUN="$(date -I), $(git describe --always --dirty)$($QUICK && echo ', quick' || true)$($PIN && echo ', pinned' || true)"
touch "$OUT/runs.jsonl"
say() { printf '%s\n' "$*" >&2; }
failed=0

# attempt SERVER WORK COMMAND...: runs it; what it prints are report lines.
attempt() {
  local server=$1 work=$2; shift 2
  if "$@" > "$OUT/lines" 2> "$OUT/log"; then
    cat "$OUT/lines" >> "$OUT/runs.jsonl"
    say "  $server: $(grep -o '"ops_per_sec":[0-9.]*\|"idle_cpu_percent":[0-9.]*\|"server_cpu_us_per_op":[0-9.]*' "$OUT/lines" | tr '\n' ' ')"
  else
    failed=$((failed + 1))
    say "  $server FAILED at $work:"; sed 's/^/    /' "$OUT/log" >&2
  fi
}

ulimit -n "$(ulimit -Hn)" # a connection is a file
say "load average $(cut -d' ' -f1-3 /proc/loadavg) before the first run"
present=$(prepare_servers "$SERVERS")
start=$SECONDS
for round in $(seq "$ROUNDS"); do
  for work in $WORKS; do
    if is_cluster_work "$work" || ((round > $(rounds_of any "$work"))); then continue; fi
    say "round $round: $work ($((SECONDS - start)) s)"
    for server in $present; do
      if serves "$server" "$work" && ((round <= $(rounds_of "$server" "$work"))); then run_work "$server" "$work"; fi
    done
  done
done
run_cluster_works "$WORKS"
say "done after $((SECONDS - start)) s; load average $(cut -d' ' -f1-3 /proc/loadavg)"

"$LOAD" table "$OUT/runs.jsonl"
if $WRITE; then
  "$LOAD" results --folder benches/results --machine "$(machine)" "$OUT/runs.jsonl"
  say "benches/RESULTS.md is written"
fi
if ((failed > 0)); then say "$failed runs failed"; exit 1; fi
