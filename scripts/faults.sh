#!/usr/bin/env bash
# The fault tests in their long form: each fault again and again under load for so many seconds (default 300), every message
# counted. The short form is part of scripts/test.sh.   scripts/faults.sh [SECONDS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
scripts/setup.sh npm redis mysql nginx
cargo build --release --bin tokio-socketio
FAULT_SECONDS=${1:-300} npm --prefix proto-tests run test:faults
