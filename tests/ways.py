"""The ways in which one source trains: called in the session's process, in processes of its own, and as a command."""

from __future__ import annotations

import pytest

WAYS = {
    "inprocess": "exprun_trainer = train:main",
    "processes": "exprun_trainer = train:main\nexprun_executor = processes",
    "command": "exprun_command = python train.py {seed} {output_dir} {flags}\nexprun_budget = 2 steps",
}
TABLES = ["inprocess", pytest.param("processes", marks=pytest.mark.slow), "command"]
"""The ways as parameters of long tables: a process of one's own hears with what a session hears with, and is left to `make slow`."""
_SCRIPT = "\nif __name__ == '__main__':\n    import sys\n    main(['--seed', sys.argv[1]])\n"


def make_project(pytester: pytest.Pytester, way: str, source: str) -> None:
    """Write a project whose only test asks for the baseline. The source defines `main(argv)` and uses no option but --seed."""
    (pytester.path / "train.py").write_text(source + _SCRIPT, encoding="utf-8")
    pytester.makeini(f"[pytest]\n{WAYS[way]}\nexprun_plots = off\n")
    pytester.makepyfile(test_it="def test_it(baseline): ...")
