"""A trainer whose runs were stored before the modules of the package were moved: with a module, data that no source names, and options."""

import argparse
import random
from pathlib import Path

from helper import noise


def main(argv):
    """Pretend to train."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_tokens", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--output_dir")
    parser.add_argument("--rope", action="store_true")
    args = parser.parse_args(argv)
    base = float((Path("data") / ("ba" + "se.txt")).read_text(encoding="utf-8"))
    loss = base - 0.1 * args.rope + noise(random.Random(args.seed))
    for step in (1, 2):
        print(f"Step {step} | val_loss: {loss + 2 - step}")
    return {"val_loss": loss, "train_tokens": args.train_tokens}


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
