#!/usr/bin/env bash
# Starts a cluster on this machine and waits until every node is ready: node-1 (HTTP 8080, Socket.IO 8081), node-2 (8082, 8083)
# and node-3 (8084, 8085), with logs in logs/node1.log … logs/node3.log. What already runs is left as it is.
#
#   scripts/start-cluster.sh [--install] [--nginx] [-- FLAG...]
#
#   --install   install Debian's packages of what is missing (Redis, MariaDB, nginx), as root or with sudo
#   --nginx     and nginx in front of the three: http://127.0.0.1:8000
#   FLAG...     handed to every node, such as --set im.multi_device=false
#
# REDIS_URL and STORE_URL name the servers. Without them the ones on this machine's usual ports are taken (MySQL or MariaDB with
# user, password and database "socketio"), and where none answers, private ones are started: Redis on 6390, MariaDB on 3390.
# BIN is the program; without it the release build, which is made if it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/cluster.sh

install=no nginx=no
while (($#)); do
  case $1 in
    --install) install=yes ;;
    --nginx) nginx=yes ;;
    --) shift; break ;;
    *) fail "usage: scripts/start-cluster.sh [--install] [--nginx] [-- FLAG...]" ;;
  esac
  shift
done

mkdir -p run logs
need_program
need_servers "$install"
for n in 1 2 3; do start_node "$n" "$@"; done
for n in 1 2 3; do await_node "$n"; done
if [[ $nginx == yes ]]; then start_nginx "$install"; fi
say "the cluster is ready; scripts/stop-cluster.sh ends it"
