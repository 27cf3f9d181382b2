"""What a run leaves open or running is named."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest

from pytest_exprun.running.sandbox import leftovers
from pytest_exprun.running.sandbox.fresh_process import preserved_process_state
from pytest_exprun.running.sandbox.leftovers import Descriptors
from tests.leaks import run, space

REPORTED = {
    "open file": ("kept = open(__file__)", "open "),
    "open pipe": ("kept = os.pipe()", "open pipe"),
    "running thread": (
        "e = threading.Event(); t = threading.Thread(target=e.wait, name='leaky'); t.start()",
        "thread 'leaky'",
    ),
    "child process": ("kept = subprocess.Popen(['sleep', '600'])", "child process"),
}


@pytest.mark.parametrize("kind", REPORTED)
def test_what_cannot_be_undone_is_named(kind):
    """Open files, threads and children stay, and the report says which."""
    leak, words = REPORTED[kind]
    left = space()
    with preserved_process_state() as report:
        run(leak, left)
    for made in (left.get("kept"), left.get("t")):
        if isinstance(made, tuple):
            for descriptor in made:
                os.close(descriptor)
        elif isinstance(made, subprocess.Popen):
            made.kill()
            made.wait()
        elif isinstance(made, threading.Thread):
            left["e"].set()
            made.join()
        elif made is not None:
            made.close()
    assert any(words in text for text in report.leaks), report.leaks
    assert report.children == ([left["kept"].pid] if kind == "child process" else [])


class _Ring:
    """Something open that only a reference cycle holds."""

    def __init__(self) -> None:
        self.descriptor, self.me = os.open(os.devnull, os.O_RDONLY), self

    def __del__(self) -> None:
        os.close(self.descriptor)


def test_a_child_that_gets_its_own_name_is_no_new_one(monkeypatch):
    """A process that was started just before still has its parent's name for a moment."""
    names = iter(["pytest", "python", "python", "python"])
    monkeypatch.setattr(leftovers, "children", lambda: [(4, next(names))])
    before = leftovers.Leftovers()
    assert before.found() == ([], [])


def test_what_is_closed_again_is_not_named():
    """A run that tidies up after itself is reported clean, also where only a reference cycle held a file."""
    with preserved_process_state() as report:
        with open(__file__, encoding="utf-8"):  # noqa: PTH123  # what trainers write
            pass
        _Ring()
        worker = threading.Thread(target=time.sleep, args=(0,))
        worker.start()
        worker.join()
    assert report.leaks == []


def test_a_block_drops_no_lock(tmp_path):
    """POSIX drops a process's locks on a file when any descriptor of it is closed: none of a locked file is copied."""
    path = tmp_path / "lock"
    tries = f"import fcntl; fcntl.lockf(open({str(path)!r}, 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with path.open("a") as file, path.open("a"):
        fcntl.lockf(file, fcntl.LOCK_EX)
        with Descriptors().spared():
            pass
        told = subprocess.run([sys.executable, "-c", tries], capture_output=True, text=True, check=False)
        assert "BlockingIOError" in told.stderr
