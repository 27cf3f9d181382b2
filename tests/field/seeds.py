"""Train the reference trainer of the current folder at some seeds in one process, and add each loss to a file.

python seeds.py LOSSES.json 1,2,3 FLAG ...
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

import train_llm


def main(path: Path, seeds: list[str], flags: list[str]) -> None:
    """Train and write; after each seed, as it may be stopped."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for seed in seeds:
        began = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            metrics = train_llm.main([*flags, f"--seed={seed}"])
        found[seed] = {"val_loss": metrics["val_loss"], "cpu_seconds": time.process_time() - began}
        new = path.with_suffix(".new")
        new.write_text(json.dumps(found, indent=1), encoding="utf-8")
        new.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:])
