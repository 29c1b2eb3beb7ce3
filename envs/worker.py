#!/usr/bin/env python3
"""A worker: an environment of your own, in any Python, played by sdlab over standard input and output.

Each line that comes in is a JSON object with `id` and `type`; each gets one line back with the same `id`:

    {"id": 1, "type": "reset", "data": {"seed": 7}}          -> {"id": 1, "type": "observation", "data": {...}}
    {"id": 2, "type": "step", "data": {"action": "12"}}      -> the same
    {"id": 3, "type": "state"}                               -> {"id": 3, "type": "state", "data": {...}}
    {"id": 4, "type": "spec"}                                -> {"id": 4, "type": "spec", "data": {...}}
    {"id": 5, "type": "close"}, or the end of the input      -> the worker ends

An observation's data is {"observation": {...}, "reward": number or null, "done": true or false}; `[server.NAME].fields`
in envs/bridge.toml says where the rest stands. What goes wrong is answered by
{"id": ..., "type": "error", "data": {"code": "EXECUTION_ERROR", "message": "..."}} and recorded as an environment error.

To use it: replace the class `Game`, and name the command in a table `[server.NAME]` of envs/bridge.toml. One process
plays one game at a time; sdlab starts as many as it needs. Nothing but the standard library is used here.
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


def main():
    # Answers go to what was standard output; prints of libraries go to standard error and disturb nothing.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    game = Game()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        answer = {"id": message.get("id")}
        try:
            kind, data = message["type"], message.get("data") or {}
            if kind == "close":
                return
            if kind in ("reset", "step"):
                answer.update(type="observation", data=getattr(game, kind)(data))
            elif kind in ("state", "spec"):
                answer.update(type=kind, data=getattr(game, kind)())
            else:
                answer.update(type="error", data={"code": "UNKNOWN_TYPE", "message": f"no type `{kind}`"})
        except Exception as error:  # whatever an environment throws is its failure, told and not hidden
            reason = f"{type(error).__name__}: {error}"
            answer.update(type="error", data={"code": "EXECUTION_ERROR", "message": reason})
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
