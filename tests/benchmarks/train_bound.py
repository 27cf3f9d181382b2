"""Where a training step's CPU time goes: whole steps, and the matrix products of a GPT-2 step alone, in turn.

    python tests/benchmarks/train_bound.py [--rounds 7]

No step can be faster than its products, so this bounds what fusing the rest could still gain.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

import train_llm
from experiments.llm import data, fused, optim

CASES = {
    "gpt2": [],
    "gpt2, plain functions": ["--no_fused"],
    "modern": ["--recipe", "modern"],
    "modern, plain functions": ["--recipe", "modern", "--no_fused"],
    "modern, no n-grams": ["--recipe", "modern", "--ngram_embed", "0"],
    "modern, no n-grams, no Muon": ["--recipe", "modern", "--ngram_embed", "0", "--no_muon"],
}
STEPS = 4


def steps(flags: list[str]) -> Callable[[], None]:
    """Return a function that trains STEPS steps."""
    config = train_llm.configure([*flags, "--train_tokens", "1000000"])
    model = train_llm.GPT(config)
    optimizer, stream = optim.Optimizer(model, config), data.batches(data.load_corpus("stdlib"), config)

    def run() -> None:
        for _ in range(STEPS):
            tokens, targets, count = next(stream)
            (model(tokens, targets) / count).backward()
            optimizer.step(0.1, 1.0)

    return run


def products(rows: int = 2048, dim: int = 128) -> Callable[[], None]:
    """Return a function that does the products of STEPS steps of the linear layers, forward and backward."""
    calls = []
    for inputs, outputs in [(dim, 3 * dim), (dim, dim), (dim, 4 * dim), (4 * dim, dim)] * 2 + [(dim, 256)]:
        x, weight, gradient = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(rows, outputs)
        calls += [(x, weight.T), (gradient, weight), (gradient.T, x)]

    def run() -> None:
        for _ in range(STEPS):
            for left, right in calls:
                left @ right

    return run


def attention_products(stack: int = 32, context: int = 128, head_dim: int = 64) -> Callable[[], None]:
    """Return a function that does the products of STEPS steps of attention in two layers, forward and backward."""
    x = torch.randn(stack, context, head_dim)

    def run() -> None:
        with fused.mkl_products():
            for _ in range(2 * STEPS):
                for rows in fused.chunks(context, fused.CAUSAL_CHUNK):
                    chunk, seen = x[:, rows], x[:, : rows.stop]
                    share = torch.bmm(chunk, seen.mT)
                    torch.bmm(chunk, seen.mT)
                    for _ in range(2):
                        torch.bmm(share, seen)
                        torch.bmm(share.mT, chunk)

    return run


def main() -> None:
    """Measure and print milliseconds of CPU time a step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with train_llm.process_settings(train_llm.configure([])):
        cases = {name: steps(flags) for name, flags in CASES.items()}
        cases |= {"products of linear layers": products(), "products of attention": attention_products()}
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for run in cases.values():
            run()
        for _ in range(rounds):
            for name, run in cases.items():
                began = time.process_time()
                run()
                seconds[name].append((time.process_time() - began) / STEPS)
    for name, values in seconds.items():
        print(f"{name:28} {statistics.median(values) * 1e3:6.1f} ms a step (least {min(values) * 1e3:.1f})")


if __name__ == "__main__":
    main()
