# shellcheck shell=bash
# The works that scripts/bench.sh does with one server: what is run, how often, and for whom. To be sourced.

known_work() {
  case $1 in
    idle | idle-polling | connect | connect-polling | connect-upgrade | echo | echo-polling | flood | broadcast) ;;
    broadcast-10k | rooms | growth-connections | growth-rooms) ;;
    *) is_cluster_work "$1" ;;
  esac
}

# rounds_of SERVER WORK: works that take long are done less often, so that the whole is done while one waits.
rounds_of() {
  case $1:$2 in
    *:idle | *:idle-polling | netty:broadcast-10k | netty:rooms) echo 1 ;;
    *:connect-polling | *:echo-polling | *:broadcast-10k | *:rooms | *:growth-*) echo $((ROUNDS < 2 ? ROUNDS : 2)) ;;
    *) echo "$ROUNDS" ;;
  esac
}

# serves SERVER WORK: whether they go together.
serves() {
  case $1:$2 in
    floor*:*polling | floor*:*upgrade) false ;;
    # netty-socketio 2.0.13 closes a connection that carries a POST after the handshake.
    netty:*polling | netty:*upgrade) false ;;
    floor-each:broadcast) true ;;
    floor-each:*) false ;;
    ours:growth* | floor:growth*) true ;;
    *:growth*) false ;;
  esac
}

# sizes_of WORK: what grows, for the works where something does.
sizes_of() {
  case $1 in
    growth-connections) if $QUICK; then echo 100 1000; else echo 100 1600 16000; fi ;;
    growth-rooms) if $QUICK; then echo 10 100; else echo 10 100 1000 10000; fi ;;
    *) echo - ;;
  esac
}

# arguments_of SERVER WORK SIZE
arguments_of() {
  local secs=3 warmup=1 events=50000 connections=4000 steps=4000,16000 settle=2 hold=26 crowd=10000 rooms=1000
  if $QUICK; then secs=0.5 warmup=0.2 events=3000 connections=500 steps=200,800 settle=0.5 hold=1 crowd=1000 rooms=100; fi
  # Compilers at run time want their time.
  case $QUICK:$1 in false:netty) warmup=4 ;; false:node | false:bun) warmup=2 ;; esac
  local window="--secs $secs --warmup-secs $warmup"
  case $1:$2 in
    # It has no heartbeat.
    floor*:idle) hold=1 ;;
  esac
  case $2 in
    idle) echo "idle --connections $steps --settle-secs $settle --hold-secs $hold" ;;
    # Its CPU is that of polls that come back; for memory there is no need to wait for them.
    idle-polling) echo "idle --connections $steps --settle-secs $settle --hold-secs $(( hold > 5 ? 5 : hold )) --transport polling" ;;
    connect) echo "connect --connections $connections" ;;
    connect-polling) echo "connect --connections $connections --transport polling" ;;
    connect-upgrade) echo "connect --connections $((connections / 2)) --transport upgrade" ;;
    echo) echo "echo --clients 100 --in-flight 4 --size 64 $window" ;;
    echo-polling) echo "echo --clients 100 --in-flight 4 --size 64 --transport polling $window" ;;
    flood) echo "flood --clients 10 --events $events --size 32" ;;
    broadcast) echo "broadcast --clients 1000 --outstanding 4 --size 64 $window" ;;
    broadcast-10k) echo "broadcast --clients $crowd --rate 5 --size 64 $window" ;;
    rooms) echo "rooms --clients $crowd --rooms $rooms --members 10 --outstanding $rooms --size 64 $window" ;;
    growth-connections) echo "echo --clients $3 --speaking 100 --size 64 $window" ;;
    growth-rooms) echo "rooms --clients 1000 --rooms $3 --members 10 --outstanding 10 --size 64 $window" ;;
  esac
}

# run_work SERVER WORK
run_work() {
  local server=$1 work=$2 size waive=
  # socketioxide makes every event a task, netty-socketio sends from several threads: their broadcasts may change order.
  case $server:$work in socketioxide:broadcast* | socketioxide:rooms | netty:broadcast* | netty:rooms) waive=--any-order ;; esac
  for size in $(sizes_of "$work"); do
    # shellcheck disable=SC2046,SC2086  # arguments are words
    attempt "$server" "$work" $(on_load) "$LOAD" $(arguments_of "$server" "$work" "$size") $waive --label "$server" --key "$work" \
      --run "$RUN" --url "http://127.0.0.1:$(port_of "$server")/socket.io/" --spawn "$(command_of "$server")"
  done
}
