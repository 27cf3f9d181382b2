"""Whatever trains, and wherever: each kind of trainer is judged by the state's own code, in whole sessions."""

from __future__ import annotations

import json

import pytest

from tests.planted.commits import IGNORED, nano, toy
from tests.shell import shell
from tests.states import Checkout, sampled

KEYWORDS = """import random
from rate import RATE

def train(seed, train_tokens, output_dir):
    return RATE + random.Random(seed).gauss(0, 0.01)
"""
WORDS = "--seed={seed} --max_iters={steps} --out_dir={output_dir} {flags}"


def function(name):
    """Return the settings of a function."""
    return f"exprun_trainer = {name}\nexprun_tokens = 20000\n"


def command(words):
    """Return the settings of a command."""
    return f"exprun_command = {words} {WORDS}\nexprun_budget = 40 steps\n"


SHELL = '#!/bin/sh\ncd "$(dirname "$0")/.." && exec python train.py "$@"\n'
KINDS = {
    "argv function": (toy(), function("toy:main"), ("toy.py", "2.6", "2.5")),
    "keyword function": (
        {"kw.py": KEYWORDS, "rate.py": "RATE = 2.0\n"},
        function("kw:train"),
        ("rate.py", "2.0", "1.8"),
    ),
    "python script": (nano(), command("python train.py"), ("train.py", "0.5", "1.0")),
    "python -m": (nano(), command("python -m train"), ("model.py", "rate / len", "2 * rate / len")),
    "shell script": ({**nano(), "bin/run.sh": SHELL}, command("sh bin/run.sh"), ("train.py", "0.5", "1.0")),
}
WHERE = {
    "in process": (),
    "processes": ("--executor=processes", "--jobs=2"),
    "xdist": (),
    "own": ("--executor=own:Own",),
}
OWN = "from pytest_exprun.running.executors.processes import Processes\n\nclass Own(Processes):\n    trees = True\n"
CASES = [(kind, "in process") for kind in KINDS] + [
    (kind, where) for kind in ("argv function", "python script") for where in list(WHERE)[1:]
]


@pytest.mark.parametrize(
    ("kind", "where"), [CASES[1], *sampled(CASES[2], *CASES[-2:], CASES[0], *CASES[3:-2])], ids=" ".join
)
def test_it_is_judged(tmp_path, kind, where):
    """The better branch wins and the worse one loses; each run says in its record what it was, and no run left anything in the root."""
    files, ini, (name, old, new) = KINDS[kind]
    root = tmp_path / "lab"
    root.mkdir()
    lab = Checkout(root)
    ini = f"[pytest]\naddopts = {'-n 2' if where == 'xdist' else ''}\nexprun_plots = off\n{ini}"
    lab.commit("first", **{**files, "pytest.ini": ini, ".gitignore": IGNORED, "own.py": OWN})
    assert old in files[name]
    lab.branch("better", **{name: files[name].replace(old, new)})
    lab.git("branch", "base")
    before = {path.name for path in root.iterdir()}
    process = shell("try", "better", "--json", *WHERE[where], cwd=root)
    out, err = process.communicate(timeout=300)
    (found,) = json.loads(out)["comparisons"]
    assert (process.returncode, found["verdict"]) == (0, "WINNER"), err
    process = shell("try", "base", "--against=better", "--json", *WHERE[where], cwd=root)
    out, err = process.communicate(timeout=300)
    assert json.loads(out)["comparisons"][0]["verdict"] == "LOSER", err
    assert {path.name for path in root.iterdir()} - before <= {".exprun", "docs", "__pycache__"}
