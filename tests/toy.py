"""A trainer without any learning: the loss is drawn from the seed, and each flag has the effect that it names.

Copied into the test's folder as `toy.py` by the fixture `toy_project`. Each run appends its command line to
`.traces/runs` there: a hidden folder, so that no session says that runs write outside their own. A run does not go on while there is
a file `.traces/hold-<seed>`.
"""

import argparse
import math
import random
import time
from pathlib import Path

SIGMA = 0.01


def build_parser():
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="toy")
    parser.add_argument("--train_tokens", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--shift", type=float, default=0.0, help="added to the loss, in sigmas")
    parser.add_argument("--noise", type=float, default=0.0, help="seed noise of its own, in sigmas")
    parser.add_argument("--rope", action="store_true", help="better by ten sigmas")
    parser.add_argument("--no_rope", dest="rope", action="store_false")
    parser.add_argument("--worse", action="store_true", help="worse by ten sigmas")
    parser.add_argument("--noop", action="store_true", help="no effect at all")
    parser.add_argument("--diverge_at", type=int, default=-1, help="the seed that gives NaN")
    parser.add_argument("--crash_at", type=int, default=-1, help="the seed that raises")
    parser.add_argument("--constant", action="store_true", help="ignore the seed")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds to sleep")
    return parser


def main(argv):
    """Pretend to train."""
    args = build_parser().parse_args(argv)
    (traces := Path(__file__).with_name(".traces")).mkdir(exist_ok=True)
    with (traces / "runs").open("a", encoding="utf-8") as log:
        log.write(" ".join(argv) + "\n")
    time.sleep(args.slow)
    while (traces / f"hold-{args.seed}").exists():
        time.sleep(0.02)
    if args.seed == args.crash_at:
        raise RuntimeError("CUDA out of memory, pretended")
    shift = args.shift - 10 * args.rope + 10 * args.worse
    own = random.Random(f"{args.seed}/{args.noise}/{args.shift}").gauss(0, 1) * args.noise
    loss = 2.0 + SIGMA * (shift + own + (0 if args.constant else random.Random(args.seed).gauss(0, 1)))
    if args.seed == args.diverge_at:
        loss = math.nan
    for step in (1, 2, 3):
        print(f"Step {step} | val_loss: {loss + 3 - step:.4f} | train_loss: {loss + 2.9 - step:.4f} | time: 0.1s")
    (Path(args.output_dir) / "model.pt").write_bytes(b"weights")
    return {"val_loss": loss, "train_tokens": args.train_tokens, "wall_time": 1.0, "cpu_time": 1.0, "note": "toy"}
