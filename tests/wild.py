"""A trainer that does what trainers do when they go wrong, as its flags say. Copied into a test's folder; needs nothing installed."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
TRACES = Path(os.environ.get("WILD_TRACES", HERE))


def build_parser():
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="wild")
    parser.add_argument("--train_tokens", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--slow", type=float, default=0.0, help="seconds before each progress line")
    parser.add_argument("--lines", type=int, default=3, help="number of progress lines")
    parser.add_argument("--at", type=int, default=-1, help="the seed at which the rest happens, -1 for every seed")
    parser.add_argument("--how", default="well", help="what happens")
    return parser


def happen(how, output_dir):  # noqa: C901  # one line a way
    """Go wrong in one way."""
    marker = TRACES / f"died-{Path(output_dir).name.rpartition('-')[0]}"
    if how == "raise":
        raise ValueError("a bad shape")
    if how == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if how == "exit":
        sys.exit(3)
    if how == "die":
        os._exit(7)
    if how == "kill" or (how == "kill_once" and not marker.exists()):
        marker.touch()
        print("the last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sleep":
        time.sleep(3600)
    if how == "hang":
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)", "left-by-wild"])
        time.sleep(3600)
    if how == "child":
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)", "left-by-wild"])
    if how == "flood":
        for _ in range(12_000):
            sys.stdout.write("x" * 999 + "\n")
        os._exit(7)
    if how == "outside":
        (HERE / "outside.txt").write_text("of this run")
    if how == "read":
        return len((HERE / "numbers.txt").read_text())
    return 0


def main(argv):
    """Print some progress and return a loss that depends on the seed only."""
    args = build_parser().parse_args(argv)
    with (TRACES / "started").open("a") as log:
        log.write(f"{args.seed} {os.getpid()} {Path(args.output_dir).name}\n")
    if args.how == "nan" and args.seed == args.at:
        return {"val_loss": float("nan")}
    if args.at in (-1, args.seed):
        happen(args.how, args.output_dir)
    for step in range(1, args.lines + 1):
        time.sleep(args.slow)
        print(f"Step {step} | val_loss: {2 + args.seed / 1000 + 1 / step:.4f}")
    (Path(args.output_dir) / "model.pt").write_bytes(b"weights")
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return {"val_loss": 2 + args.seed / 1000, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""), "omp": threads}
