"""Adversarial trainers as rows of source: what each does to the process, and how it is seen that this stayed or is undone."""

from __future__ import annotations

import os
from typing import Any

from pytest_exprun.running.sandbox.fresh_process import preserved_process_state

Rows = dict[str, tuple[str, str]]
"""name: (what an adversarial trainer does, what must be as before). The probe knows nothing of our own bookkeeping."""


def space(*more: str) -> dict[str, Any]:
    """Return a namespace as an adversarial trainer would import it."""
    names = (
        "builtins decimal gc io locale logging multiprocessing os random resource signal socket subprocess sys tempfile"
    )
    found: dict[str, Any] = {"__file__": __file__}
    run("; ".join([f"import {', '.join(names.split())}, threading, time, warnings", *more]), found)
    return found


def run(code: str, space: dict[str, Any]) -> None:
    """Run a row's source."""
    exec(code, space)  # noqa: S102  # the rows of the tables are source


def ask(probe: str, space: dict[str, Any]) -> Any:
    """Evaluate a row's probe."""
    return eval(probe, space)  # noqa: S307  # see above


def check_undone(row: tuple[str, str], space: dict[str, Any]) -> None:
    """After the run the probe gives what it gave before, and nothing is reported as left."""
    leak, probe = row
    before = ask(probe, space)
    with preserved_process_state() as report:
        run(leak, space)
    assert ask(probe, space) == before
    assert report.leaks == []


def check_stays(row: tuple[str, str], space: dict[str, Any]) -> None:
    """In a fork without the guard the probe changes: the row is no empty promise."""
    leak, probe = row
    child = os.fork()
    if child == 0:
        changed = 2
        try:
            before = ask(probe, space)
            run(leak, space)
            changed = int(ask(probe, space) != before)
        finally:
            os._exit(changed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
