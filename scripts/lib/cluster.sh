# shellcheck shell=bash
# What start-cluster.sh, start-node.sh and stop-cluster.sh share: processes by pid file, nodes, and the servers that they
# need. To be sourced, in the project's folder. A process is only ever found by its pid file, never by its name.

PATH=$PATH:/usr/sbin:/sbin # where Debian keeps servers, and does not look for ordinary users
umask 077                  # the URLs of the servers, and the data of the private ones
ulimit -n "$(ulimit -Hn)"  # a connection is a file

readonly redis_port=6390 mysql_port=3390
readonly node_ready_s=60 server_ready_s=60 stop_s=20

say() { echo "cluster: $*"; }
fail() { echo "cluster: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- Processes. run/NAME.pid has the process id and, on a second line, when that process began: so a number that was given
# ---- to another process since is never taken for it.

# When process PID began, in clock ticks since the machine did (proc_pid_stat(5), field 22). Fails for one that has ended.
began() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  local -a fields
  read -ra fields <<< "${stat##*) }" # what is before is "pid (name", and a name may have spaces
  [[ ${fields[0]} != Z ]] && echo "${fields[19]}"
}

# The process id of NAME, if it runs.
pid_of() {
  local pid start
  [[ -f run/$1.pid ]] && { read -r pid; read -r start; } < "run/$1.pid" && [[ $(began "$pid") == "$start" ]] && echo "$pid"
}

# launch NAME COMMAND...: runs on when this script ends; its output goes to logs/NAME.log.
launch() {
  local name=$1; shift
  mkdir -p run logs
  setsid "$@" >> "logs/$name.log" 2>&1 < /dev/null &
  printf '%s\n' "$!" "$(began $!)" > "run/$name.pid"
}

# await SECONDS NAME CONDITION...: until the condition holds; ends the script if NAME ends before, or it takes longer.
await() {
  local end=$((SECONDS + $1)) name=$2; shift 2
  until "$@"; do
    pid_of "$name" >/dev/null || give_up "$name ended before it was ready"
    ((SECONDS < end)) || give_up "$name does not get ready${reason:+: $reason}"
    sleep 0.1
  done
}

give_up() {
  tail -n 15 "logs/${1%% *}.log" >&2
  fail "$1; more in logs/${1%% *}.log"
}

# stop NAME...: SIGTERM to all of them, then waits for each. One that does not end is killed, and that is a failure.
stop() {
  local name pid end=$((SECONDS + stop_s)) killed=0
  local -A pids=()
  for name; do
    if pid=$(pid_of "$name") && kill -TERM "$pid" 2>/dev/null; then pids[$name]=$pid; else rm -f "run/$name.pid"; fi
  done
  for name; do
    [[ -n ${pids[$name]:-} ]] || continue
    while pid_of "$name" >/dev/null && ((SECONDS < end)); do sleep 0.1; done
    if pid_of "$name" >/dev/null; then
      kill -KILL "${pids[$name]}"
      say "$name did not end within $stop_s s of SIGTERM, and was killed" >&2
      killed=1
    else
      say "${name/#node/node-} has stopped"
    fi
    rm -f "run/$name.pid"
  done
  return "$killed"
}

# exchange PORT TEXT: what a server on this machine answers to the text, until it ends the connection; nothing, if it does not.
exchange() {
  { exec 3<> "/dev/tcp/127.0.0.1/$1" && printf %b "$2" >&3 && timeout 5 cat <&3; } 2>/dev/null || true
}

# ---- Nodes. Node N is node-N: HTTP on 8078 + 2N, Socket.IO on 8079 + 2N, its process is "nodeN".

http_port() { echo $((8078 + 2 * $1)); }
socketio_port() { echo $((8079 + 2 * $1)); }

# The program: $BIN, else the release build, which is made if it is missing.
need_program() {
  local built=${CARGO_TARGET_DIR:-target}/release/tokio-socketio
  if [[ -z ${BIN:-} && ! -x $built ]]; then
    have cargo || fail "no $built, and no cargo to build it with"
    say "cargo build --release"
    (umask 022 && cargo build --release --bin tokio-socketio)
  fi
  BIN=${BIN:-$built}
  [[ -x $BIN ]] || fail "no program $BIN"
}

# start_node N FLAG...: the node is ready when this returns. The flags are handed to the program.
start_node() {
  local n=$1 pid; shift
  if pid=$(pid_of "node$n"); then
    say "node-$n already runs (pid $pid)"
    return
  fi
  # In the environment rather than in flags: other users of the machine can read flags.
  # What nginx on this machine says of a client's address is true.
  TOKIO_SOCKETIO_LIMITS_TRUSTED_PROXIES=${TOKIO_SOCKETIO_LIMITS_TRUSTED_PROXIES:-127.0.0.1} \
    NODE_ID=node-$n TOKIO_SOCKETIO_CLUSTER_REDIS_URL=$REDIS_URL TOKIO_SOCKETIO_STORE_URL=$STORE_URL launch "node$n" "$BIN" \
    --listen "127.0.0.1:$(socketio_port "$n")" --http-listen "127.0.0.1:$(http_port "$n")" "$@"
}

# await_node N
await_node() {
  await "$node_ready_s" "node$1" is_ready "$(http_port "$1")"
  say "node-$1 is ready: Socket.IO http://127.0.0.1:$(socketio_port "$1"), HTTP http://127.0.0.1:$(http_port "$1"), log logs/node$1.log"
}

# Whether the node with this HTTP port says that it is ready; if not, $reason is what it says instead.
is_ready() {
  local answer
  answer=$(exchange "$1" 'GET /readyz HTTP/1.0\r\n\r\n')
  reason=${answer##*$'\r\n'}
  [[ $answer == "HTTP/1."?" 200 "* ]]
}

# ---- Redis and MySQL or MariaDB: $REDIS_URL and $STORE_URL; else what answers on the usual port of this machine; else
# ---- private ones, with their data under run/.

# need_servers INSTALL: sets REDIS_URL and STORE_URL, and remembers them for further nodes. INSTALL is "yes" where missing
# programs may be installed.
need_servers() {
  if [[ -n ${REDIS_URL:-} ]]; then
    say "Redis: the one of REDIS_URL"
  elif ! pid_of redis >/dev/null && answers_redis 6379; then
    REDIS_URL=redis://127.0.0.1:6379
    say "Redis: the one that answers on port 6379"
  else
    REDIS_URL=redis://127.0.0.1:$redis_port
    private_redis "$1"
    say "Redis: a private one on port $redis_port"
  fi
  if [[ -n ${STORE_URL:-} ]]; then
    say "MySQL: the one of STORE_URL"
  elif ! pid_of mariadb >/dev/null && answers_mysql 3306; then
    STORE_URL=mysql://socketio:socketio@127.0.0.1:3306/socketio
    say "MySQL: the one that answers on port 3306, as user socketio"
  else
    STORE_URL=mysql://socketio:socketio@127.0.0.1:$mysql_port/socketio
    private_mariadb "$1"
    say "MySQL: a private MariaDB on port $mysql_port, data in run/mariadb"
  fi
  printf '%s=%q\n' REDIS_URL "$REDIS_URL" STORE_URL "$STORE_URL" > run/cluster.env
}

# The servers of the cluster that was started last.
known_servers() {
  local redis=${REDIS_URL:-} store=${STORE_URL:-}
  if [[ -f run/cluster.env ]]; then source ./run/cluster.env; fi
  REDIS_URL=${redis:-${REDIS_URL:-}} STORE_URL=${store:-${STORE_URL:-}}
  [[ -n $REDIS_URL && -n $STORE_URL ]] || fail "no cluster was started here: run scripts/start-cluster.sh first, or set REDIS_URL and STORE_URL"
}

# need PROGRAM PART INSTALL
need() {
  if have "$1"; then return; fi
  [[ $3 == yes ]] || fail "$1 is missing: run this with --install, or scripts/setup.sh $2, or install it yourself"
  (umask 022 && scripts/setup.sh "$2")
}

answers_redis() {
  [[ $(exchange "$1" 'PING\r\nQUIT\r\n') == +PONG* ]]
}

private_redis() {
  if pid_of redis >/dev/null; then return; fi
  need redis-server redis "$1"
  mkdir -p run/redis
  launch redis redis-server --bind 127.0.0.1 --port "$redis_port" --dir run/redis --save '' --appendonly no
  await "$server_ready_s" redis answers_redis "$redis_port"
}

answers_mysql() {
  local client
  client=$(command -v mariadb || command -v mysql) || return 1
  MYSQL_PWD=socketio "$client" --no-defaults --connect-timeout=5 -h 127.0.0.1 -P "$1" -u socketio -e 'SELECT 1' socketio >/dev/null 2>&1
}

private_mariadb() {
  if pid_of mariadb >/dev/null; then return; fi
  need mariadbd mysql "$1"
  mkdir -p run
  if [[ ! -f run/mariadb/.complete ]]; then
    say "a new database in run/mariadb"
    rm -rf run/mariadb
    mkdir -p run/tmp
    # It can't cope with spaces in a path; the name of our working directory under /proc has none. And a tmpdir of its own: a
    # MariaDB that starts removes what it takes for left over in there.
    mariadb-install-db --no-defaults --datadir="/proc/$$/cwd/run/mariadb" --tmpdir="/proc/$$/cwd/run/tmp" --user="$(id -un)" \
      --skip-test-db --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" > logs/mariadb.log 2>&1 ||
      give_up "mariadb can't make its data folder"
    touch run/mariadb/.complete
  fi
  cat > run/mariadb.sql << 'SQL'
CREATE DATABASE IF NOT EXISTS socketio CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'socketio'@'127.0.0.1' IDENTIFIED BY 'socketio';
GRANT ALL ON socketio.* TO 'socketio'@'127.0.0.1';
SQL
  # The socket's name is relative to the data folder: a socket's path may have 107 bytes only.
  launch mariadb mariadbd --no-defaults --datadir="$PWD/run/mariadb" --tmpdir="$PWD/run/tmp" --user="$(id -un)" \
    --init-file="$PWD/run/mariadb.sql" --bind-address=127.0.0.1 --port="$mysql_port" --socket=mariadb.sock --skip-name-resolve
  await "$server_ready_s" mariadb answers_mysql "$mysql_port"
}

# ---- nginx in front of nodes 1 to 3, unprivileged, from deploy/nginx.

start_nginx() {
  if pid_of nginx >/dev/null; then return; fi
  need nginx nginx "$1"
  mkdir -p run/nginx
  local directives='daemon off;'
  # Workers of a privileged nginx would be somebody who can't read this folder.
  if ((EUID == 0)); then directives+=" user $(id -un) $(id -gn);"; fi
  launch nginx nginx -e stderr -p "$PWD/run/nginx/" -c "$PWD/deploy/nginx/nginx.conf" -g "$directives"
  await "$server_ready_s" nginx is_ready 8000
  say "nginx is ready: http://127.0.0.1:8000"
}
