"""The other side of `compare.py`: the same work in PyTorch, transformers and TRL.

    peer.py train|decode|grpo SIZE FOLDER

Loads the model that `peer init` wrote, prints `ready`, then answers every line on standard input with one JSON
object, as `peer.rs` does. The work is what a user of these libraries would write: `Qwen3ForCausalLM` with sdpa
attention, fused AdamW, `cross_entropy`, `generate`, `GRPOTrainer`.
"""

import json
import os
import sys
import tempfile
import time

# rows and tokens of a train step; rows, prompt and new tokens of a decode
WORK = {"600m": ((8, 1024), (64, 128, 256))}
SMALL = ((16, 256), (16, 32, 128))
DEVICE = os.environ.get("DEVICE", "cpu")
GROUPS, G, GRPO_PROMPT, COMPLETION = 8, 8, 64, 64
ADAMW = dict(lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)


def say(value):
    print(json.dumps(value), file=REPLIES, flush=True)


def peak_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


class Round:
    """Times one round, from the line that asks for it to the answer."""

    def wait(self):
        if not sys.stdin.readline():
            sys.exit(0)
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def done(self, tokens, value):
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        say(dict(wall=wall, cpu=cpu, tokens=tokens, value=value, peak_kib=peak_kib()))


def row(r, tokens, vocab):
    return [(t * 31 + r * 7) % vocab for t in range(tokens)]


def load(folder):
    from transformers import Qwen3ForCausalLM

    dtype = "float32" if DEVICE == "cpu" else "bfloat16"
    return Qwen3ForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").to(DEVICE)


def train(folder):
    import torch

    model = load(folder).train()
    vocab = model.config.vocab_size
    (rows, tokens), _ = WORK.get(SIZE, SMALL)
    ids = torch.tensor([row(r, tokens, vocab) for r in range(rows)], device=DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True, **ADAMW)
    clock = Round()
    say(dict(ready=model.num_parameters()))
    while True:
        clock.wait()
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, vocab), ids[:, 1:].reshape(-1))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        del logits, loss
        clock.done(rows * tokens, value)


def decode(folder):
    import torch

    model = load(folder).eval()
    _, (rows, prompt, new) = WORK.get(SIZE, SMALL)
    ids = torch.tensor([row(r, prompt, model.config.vocab_size) for r in range(rows)], device=DEVICE)
    mask = torch.ones_like(ids)
    clock = Round()
    say(dict(ready=model.num_parameters()))
    while True:
        clock.wait()
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=new,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                pad_token_id=0,
                eos_token_id=None,
            )
        out = out.cpu()
        tokens = out[:, prompt:].numel()
        clock.done(tokens, float(tokens))


def tokenizer(vocab):
    """One word per token id, so that a prompt is exactly the ids it names."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(vocab)}
    plain = Tokenizer(models.WordLevel(words, unk_token="w0"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="w0", eos_token="w1", padding_side="left")


def grpo(folder):
    import datasets
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    model = load(folder)
    vocab = model.config.vocab_size
    prompts = [" ".join(f"w{i}" for i in row(r, GRPO_PROMPT, vocab)) for r in range(GROUPS)]
    clock, rewards = Round(), []

    def even(completion_ids, **_):
        values = [sum(i % 2 == 0 for i in ids) / len(ids) for ids in completion_ids]
        assert all(len(ids) == COMPLETION for ids in completion_ids)
        rewards[:] = values
        return values

    class Asked(TrainerCallback):
        def on_step_begin(self, *_, **__):
            clock.wait()

        def on_step_end(self, *_, **__):
            clock.done(GROUPS * G * COMPLETION, sum(rewards) / len(rewards))

    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        bf16=False,
        num_generations=G,
        per_device_train_batch_size=GROUPS * G,
        max_completion_length=COMPLETION,
        generation_kwargs=dict(min_new_tokens=COMPLETION),
        temperature=1.0,
        beta=0.0,
        loss_type="grpo",
        learning_rate=ADAMW["lr"],
        weight_decay=ADAMW["weight_decay"],
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        optim="adamw_torch_fused",
        gradient_checkpointing=False,
        max_steps=10_000,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    data = datasets.Dataset.from_dict(dict(prompt=prompts * 100))
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=even,
        args=config,
        train_dataset=data,
        processing_class=tokenizer(vocab),
        callbacks=[Asked()],
    )
    say(dict(ready=model.num_parameters()))
    trainer.train()


if __name__ == "__main__":
    # Libraries print to standard output; answers must not mix with that.
    REPLIES = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if len(sys.argv) != 4 or sys.argv[1] not in ("train", "decode", "grpo"):
        sys.exit(__doc__)
    import torch

    if threads := os.environ.get("THREADS"):
        torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    SIZE = sys.argv[2]
    globals()[sys.argv[1]](sys.argv[3])
