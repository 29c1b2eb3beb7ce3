"""Compares this engine with PyTorch, transformers and TRL on the same machine, model and data.

    PYTHON=/path/to/python python3 benches/peer/compare.py [--rounds 7] [--warmup 1] [--threads N] [CASE ...]
    PYTHON=/path/to/python python3 benches/peer/compare.py --device cuda:0 --peer PEER [CASE ...]

The second form compares on a GPU; `benches/gpu/build.sh --bench peer` builds PEER.

`PYTHON` names an interpreter with torch, transformers and, for `grpo`, trl and datasets. Cases: train-3m train-30m
decode-3m decode-30m grpo-3m; all by default. Both sides of a case run as long-lived processes that take turns, a
round each (who goes first alternates), so that a change of the machine's load meets both. Printed: a Markdown
table with the medians, the ratio of medians ours / theirs of wall and of CPU seconds (below 1 we are faster),
the lowest and highest ratio of a single round, and the peak memory (VmHWM) of both processes.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = ["train-3m", "train-30m", "decode-3m", "decode-30m", "grpo-3m"]
# the shape of Qwen3-0.6B in bf16; with `--device cuda:0` only
GPU_CASES = ["train-600m", "decode-600m"]
WANTED = dict(torch="2.", transformers="5.", trl="1.")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("cases", nargs="*", metavar="CASE")
    args.add_argument("--rounds", type=int, default=7)
    args.add_argument("--warmup", type=int, default=1)
    args.add_argument("--threads", type=int, default=os.cpu_count())
    args.add_argument("--device", help="compute there in bf16 instead of on the CPU: cuda:0")
    args.add_argument("--peer", help="the built bench binary; without it cargo builds one")
    args = args.parse_args()
    if args.device:
        os.environ["DEVICE"] = args.device
    cases = GPU_CASES if args.device else CASES
    for case in args.cases:
        if case not in cases:
            sys.exit(f"no case `{case}`; there are {', '.join(cases)}")
    python = os.environ.get("PYTHON", sys.executable)
    print(f"{platform.machine()}, {processor()}, {args.threads} threads; {versions(python)}; {args.rounds} rounds\n")
    binary = args.peer or build()
    print("| case | ours | theirs | wall ratio | CPU ratio | peak MiB |")
    print("|---|---|---|---|---|---|", flush=True)
    for case in args.cases or cases:
        print(compare(case, binary, python, args), flush=True)


def processor():
    with open("/proc/cpuinfo") as info:
        return next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")


def versions(python):
    code = "import importlib.metadata as m,json,sys;print(json.dumps({p:m.version(p) for p in sys.argv[1:]}))"
    run = subprocess.run([python, "-c", code, *WANTED], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"`{python}` lacks one of {', '.join(WANTED)}; set PYTHON to an interpreter that has them")
    found = json.loads(run.stdout)
    for package, version in found.items():
        if not version.startswith(WANTED[package]):
            print(f"note: {package} {version}; this script was written for {WANTED[package]}x", file=sys.stderr)
    return ", ".join(f"{package} {version}" for package, version in found.items())


def build():
    command = ["cargo", "bench", "--bench", "peer", "--no-run", "--message-format=json"]
    out = subprocess.run(command, cwd=os.path.join(HERE, "..", ".."), stdout=subprocess.PIPE, text=True, check=True)
    built = [json.loads(line) for line in out.stdout.splitlines()]
    return next(m["executable"] for m in built if m.get("target", {}).get("name") == "peer" and m.get("executable"))


class Side:
    def __init__(self, command, threads):
        env = dict(os.environ, THREADS=str(threads), RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
        env.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
        quiet = dict(stderr=subprocess.DEVNULL) if not os.environ.get("VERBOSE") else {}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env, **quiet)
        self.parameters = self.answer()["ready"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.process.args)} ended with {self.process.wait()}; VERBOSE=1 shows why")
        return json.loads(line)

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def compare(case, binary, python, args):
    mode, size = case.split("-")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([binary, "init", size, folder], check=True)
        commands = [binary, mode, size, folder], [python, os.path.join(HERE, "peer.py"), mode, size, folder]
        sides = [Side(command, args.threads) for command in commands]
        if sides[0].parameters != sides[1].parameters:
            sys.exit(f"{case}: {sides[0].parameters} and {sides[1].parameters} parameters")
        rounds = [[], []]
        for i in range(args.warmup + args.rounds):
            for which in (0, 1) if i % 2 else (1, 0):
                rounds[which].append(sides[which].round())
        for side in sides:
            side.end()
    if mode == "train":
        worst = max(abs(a["value"] - b["value"]) for a, b in zip(*rounds))
        if worst > (5e-2 if os.environ.get("DEVICE") else 2e-3):
            sys.exit(f"{case}: the losses of the two sides differ by {worst}")
    ours, theirs = (side[args.warmup :] for side in rounds)
    cell = lambda side: f"{rate(side):.0f} tok/s, {median(side, 'cpu'):.2f} CPU s"
    ratios = [ratio(ours, theirs, key) for key in ("wall", "cpu")]
    peaks = " / ".join(f"{side[-1]['peak_kib'] / 1024:.0f}" for side in (ours, theirs))
    return f"| {case} | {cell(ours)} | {cell(theirs)} | {ratios[0]} | {ratios[1]} | {peaks} |"


def median(side, key):
    return statistics.median(r[key] for r in side)


def rate(side):
    return statistics.median(r["tokens"] / r["wall"] for r in side)


def ratio(ours, theirs, key):
    single = sorted(a[key] / b[key] for a, b in zip(ours, theirs))
    return f"{median(ours, key) / median(theirs, key):.2f} ({single[0]:.2f}-{single[-1]:.2f})"


if __name__ == "__main__":
    main()
