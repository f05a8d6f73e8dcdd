#!/usr/bin/env bash
# Every check and every test, on a machine with a Rust toolchain and Node.js. What else is needed, scripts/setup.sh installs.
# FUZZ_SECONDS: how long each fuzz target runs (default 60; 0 for not at all).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() { printf '\n== %s\n' "$*"; }

# So many files as the tests' thousand clients need, where the system lets us.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

step "what the tests need"
scripts/setup.sh

step "form"
cargo fmt --check
cargo fmt --check --manifest-path fuzz/Cargo.toml

step "unit, property and integration tests"
cargo test --workspace

step "lints"
cargo clippy --workspace --all-targets -- -D warnings
cargo clippy --no-default-features -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

step "real clients against the real binary"
cargo build --release --bins --examples
npm --prefix proto-tests test

seconds=${FUZZ_SECONDS:-60}
if [ "$seconds" -eq 0 ]; then
  echo "fuzz: left out (FUZZ_SECONDS=0)"
elif cargo +nightly --version >/dev/null 2>&1; then
  step "fuzzing, $seconds s for each target"
  scripts/fuzz.sh "$seconds"
else
  echo "fuzz: left out, it needs a nightly toolchain (rustup toolchain install nightly)"
fi

step "all passed"
