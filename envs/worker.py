#!/usr/bin/env python3
"""A worker: an environment of your own, in any Python, played by sdlab over standard input and output.

Each line that comes in is a JSON object with `id` and `type`; each gets one line back with the same `id`:

    {"id": 1, "type": "reset", "data": {"seed": 7}}          -> {"id": 1, "type": "observation", "data": {...}}
    {"id": 2, "type": "step", "data": {"action": "12"}}      -> the same
    {"id": 3, "type": "state"}                               -> {"id": 3, "type": "state", "data": {...}}
    {"id": 4, "type": "spec"}                                -> {"id": 4, "type": "spec", "data": {...}}
    {"id": 5, "type": "close"}, or the end of the input      -> the worker ends

Where `games` of the table is more than 1, messages carry the number of their game, and those that wait at the same time
come in one line. Here they are answered one after the other; an environment that steps many games at once can do so.

    {"id": 6, "type": "batch", "data": [{"game": 0, "type": "step", "data": {...}}, {"game": 3, ...}]}
                                       -> {"id": 6, "type": "batch", "data": [{"type": "observation", "data": {...}}, ...]}

An observation's data is {"observation": {...}, "reward": number or null, "done": true or false}; `[server.NAME].fields`
in envs/bridge.toml says where the rest stands. What goes wrong is answered by
{"id": ..., "type": "error", "data": {"code": "EXECUTION_ERROR", "message": "..."}} and recorded as an environment error.

To use it: replace the class `Game`, and name the command in a table `[server.NAME]` of envs/bridge.toml. sdlab starts as
many processes as it needs. Nothing but the standard library is used here.
"""

import json
import os
import random
import sys


class Game:
    """Guess a number between 1 and 20. Replace it by your environment."""

    def reset(self, data):
        self.number = random.Random(data.get("seed")).randint(1, 20)
        self.steps = 0
        return self.show("Guess a number between 1 and 20.", None, False)

    def step(self, data):
        self.steps += 1
        try:
            guess = int(data["action"])
        except ValueError:
            return self.show("That is no number.", 0.0, False)
        if guess == self.number:
            return self.show("Right!", 1.0, True)
        return self.show("Higher." if guess < self.number else "Lower.", 0.0, False)

    def show(self, text, reward, done):
        actions = [] if done else [str(n) for n in range(1, 21)]
        return {"observation": {"text": text, "admissible": actions}, "reward": reward, "done": done}

    def state(self):
        return {"step_count": self.steps}

    def spec(self):
        return {"action": {"action": "a number as text"}}


def answer(games, make, message):
    """The answer to one message. `games` holds a game of each number, `make` makes one more."""
    try:
        kind, data = message["type"], message.get("data") or {}
        if kind == "batch":
            return {"type": kind, "data": [answer(games, make, one) for one in data]}
        number = message.get("game", 0)
        if number not in games:
            games[number] = make()
        game = games[number]
        if kind in ("reset", "step"):
            return {"type": "observation", "data": getattr(game, kind)(data)}
        if kind in ("state", "spec"):
            return {"type": kind, "data": getattr(game, kind)()}
        return {"type": "error", "data": {"code": "UNKNOWN_TYPE", "message": f"no type `{kind}`"}}
    except Exception as error:  # whatever an environment throws is its failure, told and not hidden
        reason = f"{type(error).__name__}: {error}"
        return {"type": "error", "data": {"code": "EXECUTION_ERROR", "message": reason}}


def main(make=Game):
    # Answers go to what was standard output; prints of libraries go to standard error and disturb nothing.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    games = {}
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("type") == "close":
            return
        answers.write(json.dumps({"id": message.get("id"), **answer(games, make, message)}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
