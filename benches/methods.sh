#!/usr/bin/env bash
# Every method for 20 steps from the starter, small: is its run whole (`sdlab verify`), are its numbers finite, does the
# reward hold? Prints a table in Markdown. Not a comparison of methods: four rollouts of one task say nothing about those.
# usage: benches/methods.sh [STEPS] [METHOD...]        SDLAB=path/to/sdlab (default: target/debug/sdlab, built here)
#        needs python3
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-20}
shift || true
sdlab=${SDLAB:-target/debug/sdlab}
[ -n "${SDLAB:-}" ] || cargo build --quiet
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <("$sdlab" methods list | awk 'NR > 1 { print $1 }')
echo "| method | seconds | reward, first 5 | reward, last 5 | success, last 5 | entropy | grad norm, worst | verify |"
echo "|---|---|---|---|---|---|---|---|"
for name in "${names[@]}"; do
    more=()
    case $name in # what a method cannot know by itself: another model, a judge
        sod | atod | tip) more=(--set "method.$name.teacher={ checkpoint = \"$PWD/runs/starter/model\" }") ;;
        triage | hint-sd) more=(--set judge.by=oracle) ;;
    esac
    start=$(date +%s)
    status=0
    "$sdlab" --batch --steps "$steps" --root "$root" --set "method.$name={}" "${more[@]}" \
        --set run.name="$name" --set rollout.groups=1 --set rollout.members=4 --set rollout.max_new_tokens=24 \
        --set env.household.max_turns=16 --set eval.games=0 --set optim.minibatches=1 --set optim.lr=1e-4 \
        --set checkpoint.every=0 >"$root/$name.jsonl" 2>"$root/$name.log" || status=$?
    seconds=$(($(date +%s) - start))
    verified=no
    "$sdlab" verify --quick "$root/$name" >"$root/$name.verify" 2>&1 && verified=yes
    python3 - "$root/$name.jsonl" "$name" "$seconds" "$status" "$verified" "$steps" <<'PY'
import json, math, sys
path, name, seconds, status, verified, steps = sys.argv[1:]
rows, broken = [], set()
for line in open(path):
    record = json.loads(line)
    if record["event"] == "step":
        rows.append({key: value for key, value in record.items() if key not in ("event", "step")})
for row in rows:
    # a number that is not finite is written as null
    broken |= {key for key, value in row.items() if value is None or not math.isfinite(value)}
mean = lambda key, part: (lambda v: sum(v) / len(v) if v else None)([r[key] for r in part if r.get(key) is not None])
show = lambda x: "-" if x is None else f"{x:.2f}"
grad = [r["grad/norm"] for r in rows if r.get("grad/norm") is not None]
cells = [name, seconds, show(mean("reward/mean", rows[:5])), show(mean("reward/mean", rows[-5:])),
         show(mean("success/mean", rows[-5:])), show(mean("entropy/mean", rows[-5:])), show(max(grad, default=None))]
faults = [] if status == "0" else [f"exit {status}"]
faults += [f"{len(rows)} of {steps} steps"] if len(rows) != int(steps) else []
faults += [f"not finite: {', '.join(sorted(broken))}"] if broken else []
first, last = mean("reward/mean", rows[:5]), mean("reward/mean", rows[-5:])
faults += ["reward collapsed"] if first and last is not None and last < 0.25 * first else []
print("| " + " | ".join(map(str, cells)) + f" | {verified}{'; ' + '; '.join(faults) if faults else ''} |", flush=True)
PY
done
