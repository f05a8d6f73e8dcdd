#!/usr/bin/env bash
# Starts one node of the cluster that scripts/start-cluster.sh has started, a fourth (HTTP 8086, Socket.IO 8087) or one that
# has ended, and waits until it is ready.   scripts/start-node.sh N [FLAG...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/cluster.sh

[[ ${1:-} =~ ^[1-9][0-9]{0,3}$ ]] || fail "usage: scripts/start-node.sh N [FLAG...]"
mkdir -p run logs
need_program
known_servers
start_node "$@"
await_node "$1"
