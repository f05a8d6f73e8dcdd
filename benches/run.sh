#!/usr/bin/env bash
# Runs the same work against ours, the floor and the peers, one server at a time and taking turns, and prints
# Markdown tables. Every run starts a fresh server and ends it by its pid. Loopback only.
#
#   benches/run.sh [--quick] [--write] [--pin] [--rounds N] [--servers "ours floor …"] [--works "echo flood …"]
#
#   --quick    short windows, one round: under two minutes, to see that all works; not for quoting
#   --write    put the result into benches/RESULTS.md between its markers
#   --pin      server on CPU 0, generator on CPU 1: what one core of each does, with less noise
#   --rounds   repetitions of everything but idle (default 3); tables show medians
#   --servers  of: ours floor floor-epoll node socketioxide (default: ours floor node)
#   --works    of: echo echo-polling flood broadcast broadcast-paced connect connect-polling connect-upgrade
#              idle idle-polling (default: all)
#   OURS="command"  what to start as ours; told its port by PORT and by a last argument
set -euo pipefail
cd "$(dirname "$0")/.."

QUICK=false WRITE=false PIN=false ROUNDS=3
SERVERS="ours floor node"
WORKS="echo echo-polling flood broadcast broadcast-paced connect connect-polling connect-upgrade idle idle-polling"
while [ $# -gt 0 ]; do
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

TARGET=${CARGO_TARGET_DIR:-target}
LOAD=$TARGET/release/sio-load
OURS=${OURS:-$TARGET/release/examples/echo}
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT
say() { printf '%s\n' "$*" >&2; }

on_server() { if $PIN; then echo "taskset -c 0 "; fi; }
on_load() { if $PIN; then echo "taskset -c 1 "; fi; }

# --- build, and leave out what is not there

cargo build --release -q -p sio-load
present=
for server in $SERVERS; do
  case $server in
    ours)
      if [ -e examples/echo.rs ] || [ -e examples/echo/main.rs ]; then
        cargo build --release -q --example echo
      elif [ ! -x "${OURS%% *}" ]; then
        say "ours is left out: there is no examples/echo.rs yet"; continue
      fi ;;
    node)
      command -v node >/dev/null || { say "node is left out: it is not installed"; continue; }
      [ -d benches/peers/node/node_modules ] || (cd benches/peers/node && npm ci --no-audit --no-fund >&2) ;;
    socketioxide)
      cargo build --release -q --manifest-path benches/peers/socketioxide/Cargo.toml --target-dir "$TARGET" ;;
  esac
  present+=" $server"
done

# --- one run

port_of() { case $1 in ours) echo 13181 ;; floor) echo 13182 ;; floor-epoll) echo 13183 ;; node) echo 13184 ;; *) echo 13185 ;; esac; }

command_of() {
  local port; port=$(port_of "$1")
  case $1 in
    ours) echo "PORT=$port $(on_server)$OURS $port" ;;
    floor) echo "$(on_server)$LOAD floor --listen 127.0.0.1:$port --engine tokio" ;;
    floor-epoll) echo "$(on_server)$LOAD floor --listen 127.0.0.1:$port --engine epoll" ;;
    node) echo "PORT=$port $(on_server)node benches/peers/node/server.js" ;;
    socketioxide) echo "PORT=$port $(on_server)$TARGET/release/sio-peer-socketioxide" ;;
  esac
}

arguments_of() {
  local secs=5 warmup=1 events=50000 connections=4000 steps=4000,16000 settle=3 hold=30
  if $QUICK; then secs=1.5 warmup=0.5 events=5000 connections=1000 steps=500,2000 settle=1 hold=2; fi
  local window="--secs $secs --warmup-secs $warmup"
  case $1 in
    echo) echo "echo --clients 100 --in-flight 4 --size 64 $window" ;;
    echo-polling) echo "echo --clients 100 --in-flight 4 --size 64 --transport polling $window" ;;
    flood) echo "flood --clients 10 --events $events --size 32" ;;
    broadcast) echo "broadcast --clients 1000 --outstanding 4 --size 64 $window" ;;
    broadcast-paced) echo "broadcast --clients 1000 --rate 5 --size 64 $window" ;;
    connect) echo "connect --connections $connections" ;;
    connect-polling) echo "connect --connections $connections --transport polling" ;;
    connect-upgrade) echo "connect --connections $connections --transport upgrade" ;;
    idle) echo "idle --connections $steps --settle-secs $settle --hold-secs $hold" ;;
    idle-polling) echo "idle --connections $steps --settle-secs $settle --hold-secs $hold --transport polling" ;;
    *) say "unknown work: $1"; exit 2 ;;
  esac
}

failed=0
run() {
  local server=$1 work=$2 log=$OUT/log
  case $server:$work in floor*:*polling | floor*:*upgrade) return ;; esac
  # socketioxide makes every event a task: its broadcasts may change order.
  local waive=; case $server:$work in socketioxide:broadcast*) waive=--any-order ;; esac
  # shellcheck disable=SC2046,SC2086  # arguments are words
  if $(on_load) "$LOAD" $(arguments_of "$work") $waive --label "$server" \
    --url "http://127.0.0.1:$(port_of "$server")/socket.io/" --spawn "$(command_of "$server")" \
    >>"$OUT/$3.jsonl" 2>"$log"; then
    say "  $server: $(tail -n 1 "$OUT/$3.jsonl" | grep -o '"ops_per_sec":[0-9.]*')"
  else
    failed=$((failed + 1))
    say "  $server FAILED at $work:"; sed 's/^/    /' "$log" >&2
  fi
}

for round in $(seq "$ROUNDS"); do
  for work in $WORKS; do
    case $work in idle*) [ "$round" = 1 ] || continue; kind=idle ;; *) kind=busy ;; esac
    say "round $round: $work"
    for server in $present; do run "$server" "$work" "$kind"; done
  done
done

# --- result

version_of_socketio() { sed -n 's/.*"version": "\(.*\)".*/\1/p' benches/peers/node/node_modules/socket.io/package.json; }
machine() {
  echo "$(date -I), $(git describe --always --dirty), $ROUNDS rounds$($QUICK && echo ', quick' || true)$($PIN && echo ', pinned: server on CPU 0, generator on CPU 1' || true)."
  echo "$(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), Linux $(uname -r)," \
    "load average $(cut -d' ' -f1 /proc/loadavg) at the end; $(rustc --version | cut -d' ' -f1,2)$(case $present in *node*) echo ", node $(node --version), socket.io $(version_of_socketio)" ;; esac)."
}
{
  machine
  echo
  touch "$OUT/busy.jsonl" "$OUT/idle.jsonl"
  "$LOAD" table "$OUT/busy.jsonl" "$OUT/idle.jsonl"
} >"$OUT/result.md"
cat "$OUT/result.md"
if $WRITE; then
  awk -v file="$OUT/result.md" '
    /<!-- results:end -->/ { while ((getline line < file) > 0) print line; skip = 0 }
    !skip { print }
    /<!-- results:begin -->/ { skip = 1 }' benches/RESULTS.md >"$OUT/new.md"
  cp "$OUT/new.md" benches/RESULTS.md
fi
if [ "$failed" -gt 0 ]; then say "$failed runs failed"; exit 1; fi
