# shellcheck shell=bash
# The works that scripts/bench.sh does with a cluster: three nodes of scripts/start-cluster.sh, with Redis and MariaDB. To be
# sourced. Where the server must be compared with a floor, three floors take the place of the nodes.

is_cluster_work() { case $1 in cross-node | cross-node-busy | redis-connects | stored | jitter | crowd | avalanche) ;; *) false ;; esac; }

floors=()
cluster_runs=false

# run_cluster_works WORKS: those of them that are works of a cluster, in the order that needs the fewest starts.
run_cluster_works() {
  local wanted=" $(echo $1) " work
  for work in cross-node-busy cross-node redis-connects stored jitter crowd avalanche; do
    if [[ $wanted != *" $work "* ]]; then continue; fi
    if [[ $work == avalanche && " $(echo $present) " == *" floor"* ]]; then
      say "avalanche of floors ($((SECONDS - start)) s)"
      for server in $present; do
        case $server in floor | floor-epoll) avalanche_of_floors "$server" ;; esac
      done
    fi
    if [[ " $(echo $present) " != *" ours "* ]]; then continue; fi
    if ! start_cluster "$(busy_poll_of "$work")"; then
      say "$work is left out: no cluster can be started: $(tail -n 1 "$OUT/log")"
      failed=$((failed + 1))
      return
    fi
    say "cluster: $work ($((SECONDS - start)) s)"
    case $work in
      cross-node-busy) between_nodes "$work"; stop_cluster ;;
      cross-node | redis-connects | stored) between_nodes "$work" ;;
      jitter) jitter ;;
      crowd) crowd ;;
      avalanche) avalanche_of_nodes ;;
    esac
  done
  stop_cluster
}

# What sio-cluster-bench calls it, too.
busy_poll_of() { if [[ $1 == cross-node-busy ]]; then echo 200us; else echo 0; fi; }

# start_cluster BUSY_POLL: starts what of the cluster does not run. Rates are the service's own limit otherwise.
start_cluster() {
  cargo build --release -q --bin tokio-socketio 2> "$OUT/log" && cargo build --release -q -p sio-cluster-bench 2> "$OUT/log" || return
  cluster_runs=true
  BIN=$TARGET/release/tokio-socketio scripts/start-cluster.sh -- --set im.messages_per_second=0 --set im.typing_per_second=0 \
    --set im.max_group_members=2000 --set "node.busy_poll=$1" > "$OUT/log" 2>&1
}

stop_cluster() {
  if $cluster_runs; then scripts/stop-cluster.sh > "$OUT/log" 2>&1 || say "$(cat "$OUT/log")"; fi
  cluster_runs=false
}

pid_of_node() { head -n 1 "run/node$1.pid"; }
urls_of() { local urls= port; for port; do urls+=${urls:+,}http://127.0.0.1:$port/socket.io/; done; echo "$urls"; }

# shellcheck disable=SC1091  # written by start-cluster.sh
between_nodes() {
  local amount=(--messages 2000 --secs 5 --rounds "$ROUNDS")
  if $QUICK; then amount=(--messages 100 --secs 1 --rounds 1); fi
  source run/cluster.env
  attempt ours "$1" "$TARGET/release/sio-cluster-bench" --redis "$REDIS_URL" --store "$STORE_URL" \
    --pids "$(pid_of_node 1),$(pid_of_node 2)" --run "$RUN" "${amount[@]}" "$1"
}

jitter() {
  local amount=(--clients 1000 --secs 60)
  if $QUICK; then amount=(--clients 100 --secs 8); fi
  attempt ours jitter "$LOAD" jitter --label ours --key jitter --run "$RUN" --query 'userId={n}' --url "$(urls_of 8081 8083 8085)" \
    --pid "$(pid_of_node 1),$(pid_of_node 2),$(pid_of_node 3)" --rate 10 "${amount[@]}"
}

# Over two nodes: the third is stopped.
crowd() {
  local amount=(--users 30000 --group-size 500 --rate 281 --warmup-secs 5 --secs 60)
  if $QUICK; then amount=(--users 1000 --group-size 100 --rate 50 --warmup-secs 1 --secs 3); fi
  scripts/stop-cluster.sh 3 > "$OUT/log" 2>&1
  attempt ours crowd "$LOAD" crowd --label ours --key crowd --run "$RUN" --url "$(urls_of 8081 8083)" \
    --pid "$(pid_of_node 1),$(pid_of_node 2)" "${amount[@]}"
}

avalanche_amount() { if $QUICK; then echo "--connections 1000 --bystanders 100 --hold-secs $1"; else echo "--connections 16000 --bystanders 1000 --hold-secs $1"; fi; }

# shellcheck disable=SC2046  # arguments are words
avalanche_of_nodes() {
  attempt ours avalanche "$LOAD" avalanche --label ours --key avalanche --run "$RUN" --query 'userId={n}' \
    --url "$(urls_of 8081 8083 8085)" --victim "$(pid_of_node 1)" --pid "$(pid_of_node 2),$(pid_of_node 3)" \
    $(avalanche_amount "$($QUICK && echo 2 || echo 28)")
}

# shellcheck disable=SC2046  # arguments are words
avalanche_of_floors() {
  local port
  floors=()
  for port in 13191 13192 13193; do
    "$LOAD" floor --listen "127.0.0.1:$port" --engine "$(engine_of "$1")" 2> /dev/null &
    floors+=("$!")
    disown "$!" # or the shell tells that one of them was killed
  done
  sleep 0.5
  attempt "$1" avalanche "$LOAD" avalanche --label "$1" --key avalanche --run "$RUN" --url "$(urls_of 13191 13192 13193)" \
    --victim "${floors[0]}" --pid "${floors[1]},${floors[2]}" $(avalanche_amount 0)
  stop_floors
}

stop_floors() {
  local pid
  for pid in "${floors[@]}"; do kill "$pid" 2> /dev/null || true; done
  for pid in "${floors[@]}"; do while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done; done
  floors=()
}
