#!/usr/bin/env bash
# Ends what scripts/start-cluster.sh and scripts/start-node.sh have started, and nothing else: the nodes drain and stop, then
# nginx and the private Redis and MariaDB. With numbers, only those nodes.   scripts/stop-cluster.sh [N...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/cluster.sh

if (($#)); then
  stop "${@/#/node}"
  exit
fi
shopt -s nullglob
nodes=(run/node*.pid)
nodes=("${nodes[@]#run/}")
well=yes
stop "${nodes[@]%.pid}" || well=no
stop nginx redis mariadb || well=no
[[ $well == yes ]] || fail "the cluster has ended, not everything in order"
say "the cluster has stopped"
