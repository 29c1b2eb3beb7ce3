#!/usr/bin/env python3
"""TextWorldExpress (https://pypi.org/project/textworld-express, needs Java) as a worker of the bridge.

    python3 -m venv .venv && .venv/bin/pip install textworld-express

    # in envs/bridge.toml
    [server.coin]
    command = [".venv/bin/python", "examples/workers/twx.py", "coin"]
    fields = { text = "/observation/text", goal = "/observation/goal", won = "/observation/won", score = "/observation/score", admissible = "/observation/admissible" }

    sdlab env play bridge --set env.bridge.server=coin
    sdlab --batch --set 'env.bridge={}' --set env.bridge.server=coin

Games: cookingworld, twc, coin, mapreader, arithmetic, sorting, simonsays, peckingorder. Splits of sdlab are its folds, by
the number of the task. `--gold` with a number plays that many games by the environment's own solutions, without sdlab, and
writes one line for each: seed, and the actions.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "envs"))
from textworld_express import TextWorldExpressEnv  # noqa: E402
from worker import main  # noqa: E402

STEPS = 50
# tasks count on through the splits (`train = 10000`, `valid_seen = 1000` unless the table says otherwise)
FOLDS = [(11_000, "test"), (10_000, "dev"), (0, "train")]


class Game:
    """One game; each has a Java process of its own."""

    def __init__(self, name):
        self.env = TextWorldExpressEnv(envStepLimit=STEPS)
        self.env.load(gameName=name, gameParams="")

    def reset(self, data, gold=False):
        self.seed = int(data.get("seed", 0))
        fold = next(fold for start, fold in FOLDS if self.seed >= start)
        text, infos = self.env.reset(seed=self.seed, gameFold=fold, generateGoldPath=gold)
        self.score = 0.0
        return self.show(text, None, False, infos)

    def step(self, data):
        text, _, done, infos = self.env.step(data["action"])
        # `score` is the sum so far
        reward, self.score = infos["score"] - self.score, infos["score"]
        return self.show(text, reward, done, infos)

    def show(self, text, reward, done, infos):
        observation = {
            "text": text,
            "goal": infos["taskDescription"],
            "won": bool(infos["tasksuccess"]),
            "score": min(1.0, max(0.0, infos["score"])),
            "admissible": sorted(infos["validActions"]),
        }
        return {"observation": observation, "reward": reward, "done": bool(done)}

    def state(self):
        return {"seed": self.seed}

    def spec(self):
        return {"action": {"action": "one of the admissible texts"}}


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "coin"
    if "--gold" in sys.argv:
        game = Game(name)
        for seed in range(int(sys.argv[sys.argv.index("--gold") + 1])):
            game.reset({"seed": seed}, gold=True)
            print(json.dumps({"seed": seed, "actions": game.env.getGoldActionSequence()}))
    else:
        main(lambda: Game(name))
