#!/usr/bin/env bash
# GRPO against SDAR from the starter: three seeds each, the same panel, the same budget. About half an hour on two cores.
# usage: benches/study.sh [ROOT] [STEPS]
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1:-runs/study} steps=${2:-40}
cargo build --release --quiet
for seed in 0 1 2; do
    for method in grpo sdar; do
        recipe=runs/grpo.toml
        [ "$method" = sdar ] && recipe=runs/default.toml
        target/release/sdlab --batch "$recipe" --steps "$steps" --seed "$seed" --root "$root" \
            --set run.name="$method-$seed" --set record.tokens=none --set checkpoint.every=0 >/dev/null
    done
done
cargo run --release --quiet --example study -- "$root" grpo sdar
