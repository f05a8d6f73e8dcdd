#!/usr/bin/env bash
# Installs what the tests need and is missing, with the ordinary clients, inside the project; does nothing, and asks the
# network nothing, where all is there. Usage: scripts/setup.sh [npm] [python]  (default: everything)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

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
  python3 -m venv "$venv" || fail "python3 -m venv does not work (on Debian: apt-get install python3-venv)"
  "$venv/bin/python" -m pip install --quiet --requirement proto-tests/requirements.txt
  stamp "$venv" "${from[@]}"
}

all=(npm python)

need_toolchain
(($#)) || set -- "${all[@]}"
for part; do
  declare -F "need_$part" >/dev/null || fail "no part '$part'; there are: ${all[*]}"
  "need_$part"
done
say "ready: $*"
