# shellcheck shell=bash
# The servers that scripts/bench.sh compares: how each is built, and how it is started. To be sourced, in the project's folder.

on_server() { if $PIN; then echo "taskset -c 0 "; fi; }
on_load() { if $PIN; then echo "taskset -c 1 "; fi; }

# prepare_servers NAMES: builds what is wanted, prints those that are there, and says why others are not.
prepare_servers() {
  local server
  cargo build --release -q -p sio-load >&2
  for server in $1; do
    if prepare "$server" > "$OUT/log" 2>&1; then
      echo "$server"
    else
      say "$server is left out: $(grep -v '^\s*$' "$OUT/log" | tail -n 1)"
    fi
  done
}

prepare() {
  case $1 in
    ours) if [[ $OURS == "$TARGET"/* ]]; then cargo build --release -q --example echo; fi ;;
    floor*) ;;
    socketioxide) cargo build --release -q --manifest-path benches/peers/socketioxide/Cargo.toml --target-dir "$TARGET" ;;
    node) need node && need npm && from_npm node ;;
    bun) need npm && from_npm bun && benches/peers/bun/node_modules/.bin/bun --version ;;
    netty)
      need java && need mvn || return
      local jars=benches/peers/netty/target/lib
      if [[ ! -d $jars || benches/peers/netty/src/main/java/Peer.java -nt $jars || benches/peers/netty/pom.xml -nt $jars ]]; then
        # Maven's last lines say nothing; its first error does.
        mvn -q -B -f benches/peers/netty/pom.xml package > "$OUT/mvn" 2>&1 || { grep -m 1 ERROR "$OUT/mvn"; return 1; }
        touch "$jars"
      fi ;;
    *) echo "no such server"; return 1 ;;
  esac
}

need() { command -v "$1" > /dev/null || { echo "$1 is not installed"; return 1; }; }

from_npm() {
  local folder=benches/peers/$1
  if [[ ! -d $folder/node_modules || $folder/package-lock.json -nt $folder/node_modules ]]; then
    (cd "$folder" && npm ci --no-audit --no-fund && touch node_modules)
  fi
}

port_of() {
  case $1 in
    ours) echo 13181 ;; floor) echo 13182 ;; floor-epoll) echo 13183 ;; floor-each) echo 13184 ;; node) echo 13185 ;;
    bun) echo 13186 ;; netty) echo 13187 ;; *) echo 13188 ;;
  esac
}

engine_of() { case $1 in floor) echo tokio ;; floor-epoll) echo epoll ;; floor-each) echo epoll-each ;; esac; }

# command_of NAME: the line that starts it; it may begin with assignments.
command_of() {
  local port; port=$(port_of "$1")
  case $1 in
    ours) echo "PORT=$port $(on_server)$OURS $port" ;;
    floor*) echo "$(on_server)$LOAD floor --listen 127.0.0.1:$port --engine $(engine_of "$1")" ;;
    node) echo "PORT=$port NODE_ENV=production $(on_server)node benches/peers/node/server.js" ;;
    bun) echo "PORT=$port NODE_ENV=production $(on_server)benches/peers/bun/node_modules/.bin/bun benches/peers/bun/server.js" ;;
    netty) echo "PORT=$port $(on_server)java -cp benches/peers/netty/target/classes:benches/peers/netty/target/lib/* Peer" ;;
    socketioxide) echo "PORT=$port $(on_server)$TARGET/release/sio-peer-socketioxide" ;;
  esac
}

version_of() { sed -n 's/^  "version": "\(.*\)".*/\1/p' "benches/peers/$1/node_modules/$2/package.json" 2> /dev/null; }

# What the runs were made on, and with.
machine() {
  echo "$(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)," \
    "Linux $(uname -r); $(rustc --version | cut -d' ' -f1,2)$(
    for server in $present; do
      case $server in
        node) echo -n ", node $(node --version) with socket.io $(version_of node socket.io) and ws $(version_of node ws)" ;;
        bun) echo -n ", Bun $(benches/peers/bun/node_modules/.bin/bun --version) with @socket.io/bun-engine $(version_of bun @socket.io/bun-engine)" ;;
        netty) echo -n ", netty-socketio $(basename benches/peers/netty/target/lib/netty-socketio-*.jar .jar | cut -d- -f3) on Java $(java -version 2>&1 | sed -n '1s/.*"\(.*\)".*/\1/p')" ;;
        socketioxide) echo -n ", socketioxide $(sed -n '/^name = "socketioxide"$/{n;s/.*"\(.*\)"/\1/p}' benches/peers/socketioxide/Cargo.lock)" ;;
      esac
    done)."
}
