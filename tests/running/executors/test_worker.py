"""The worker: one job on its standard input, events on the way back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from tests.executor_contract import WILD


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
    spec = RunSpec(Variant(), 42, Budget(20_000))
    settings = Settings.read({"trainer": "wild:main"}, tmp_path)
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
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["point", "point", "point", "result"]
    assert "Step 1 | val_loss" in done.stderr
