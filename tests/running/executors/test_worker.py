"""The worker: one job on its standard input, events on the way back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.curves import MAX_OTHER_POINTS
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from tests.executor_contract import WILD

MANY = """
def main(argv):
    for step in range(3 * 1000):
        print(f"Step {step} | train_loss: 1.5")
    print("Step 3000 | val_loss: 1.5")
    return {"val_loss": 1.5}
"""


def test_the_worker_needs_no_pytest_and_nothing_heavy():
    """What a cluster's machine imports before the trainer is this package and the standard library."""
    probe = (
        "import sys, pytest_exprun.running.executors.worker; "
        "print(sorted({'pytest', '_pytest', 'numpy', 'scipy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "[]\n"


def test_the_worker_works_by_hand(tmp_path):
    """A job on standard input gives events on standard output, the trainer's own output apart from them."""
    shutil.copy(WILD, tmp_path)
    events, printed = work("wild:main", tmp_path)
    assert [event["event"] for event in events] == ["point", "point", "point", "result"]
    assert "Step 1 | val_loss" in printed


def test_a_worker_sends_what_is_kept_and_little_more(tmp_path):
    """A trainer that prints a line for each of very many steps is not slowed down by telling them all."""
    (tmp_path / "many.py").write_text(MANY, encoding="utf-8")
    events, _ = work("many:main", tmp_path)
    steps = [event["step"] for event in events if event["event"] == "point"]
    curve = events[-1]["result"]["curve"]
    assert steps[:MAX_OTHER_POINTS] == list(range(MAX_OTHER_POINTS))
    assert steps[-1] == 3000
    assert len(steps) < 3000
    assert [step for step, _ in curve] == [*range(MAX_OTHER_POINTS), 3000]


def work(trainer, tmp_path):
    """Have a worker train one run; return its events, and what the trainer printed."""
    spec = RunSpec(Variant(), 42, Budget(20_000))
    settings = Settings.read({"trainer": trainer}, tmp_path)
    job = {"do": "run", "settings": settings.to_json(), "root": str(tmp_path), "specs": [spec.to_json()]}
    done = subprocess.run(
        [sys.executable, "-m", "pytest_exprun.running.executors.worker"],
        input=json.dumps({**job, "output_dir": str(tmp_path)}),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ},
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
