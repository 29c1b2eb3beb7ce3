#!/usr/bin/env bash
# Everything that must hold: format, lints, a headless run and its replay, all tests (layers included).
# Needs a Rust toolchain only; works from any folder; leaves nothing behind but target/.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo "tests/all.sh: line $LINENO failed: $BASH_COMMAND" >&2' ERR
# Property tests draw the same inputs every time here: a failure is the change's. A plain `cargo test` draws anew.
export PROPTEST_RNG_SEED=20261

cargo fmt --check
cargo clippy --release --all-targets --quiet -- -D warnings
cargo build --release --tests --quiet

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sdlab() { cargo run --release --quiet -- "$@"; }

sdlab --batch --steps 3 --root "$scratch" --set run.name=ci >"$scratch/live.jsonl"
tail -n 1 "$scratch/live.jsonl" | grep -q '"event":"done"'
sdlab replay ci --root "$scratch" --batch >"$scratch/replay.jsonl"
cmp "$scratch/live.jsonl" "$scratch/replay.jsonl"
echo "headless run and replay agree: $(wc -l <"$scratch/live.jsonl") lines"

cargo test --release
