"""A worker as its parent sees it: what it says before it ends, and how it ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys

import pytest

from pytest_exprun.running.executors.child import Child, job, oom_kills, surroundings
from pytest_exprun.running.sandbox.supervision import wait_for
from pytest_exprun.running.sandbox.watchdog import Guard
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from tests.executor_contract import WILD


@pytest.fixture
def perform(tmp_path, monkeypatch):
    """Return a function that has a worker do one job and gives back the worker, its events and its output."""
    shutil.copy(WILD, tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = Settings.read({"trainer": "wild:main"}, tmp_path)
    with contextlib.ExitStack() as resources:
        guard = resources.enter_context(contextlib.closing(Guard()))

        def perform(do: str, *flags: str) -> tuple[Child, list[dict], str]:
            spec, output = RunSpec(Variant(flags), 42, Budget(20_000)).to_json(), bytearray()
            told = job(settings, sys.path, do, specs=[spec], output_dir=str(tmp_path))
            child = Child(told, surroundings(), guard, on_output=output.extend, timeout=0)
            resources.callback(child.close)
            events, ended = [], False
            while not ended:
                ended = child.ended
                wait_for([child])
                events += child.events()
            return child, events, output.decode()

        yield perform


def test_events_and_output_come_apart(perform):
    """Progress lines are events as they are printed, and output too; the result is the last word."""
    child, events, output = perform("run")
    assert [(event["event"], event["step"]) for event in events] == [("point", 1), ("point", 2), ("point", 3)]
    assert output.startswith("Step 1 | val_loss: 3.0420")
    assert (child.last_word()["event"], child.last_word()["result"]["metrics"]["val_loss"]) == ("result", 2.042)
    assert not child.lingered


def test_a_question_is_answered(perform):
    """A job may ask about flags only."""
    child, events, _ = perform("check", "--slwo=1")
    assert not events
    assert child.last_word() == {
        "event": "answers",
        "answers": ["wild:main has no option --slwo=1; did you mean --slow?"],
    }


@pytest.mark.parametrize(
    ("how", "says"),
    [("die", "its process ended with exit status 7 and no result"), ("kill", "its process was killed by SIGKILL")],
)
def test_one_that_does_not_live_to_tell_says_how_it_ended(perform, how, says):
    """The last word is then ours."""
    child, _, _ = perform("run", f"--how={how}")
    assert child.last_word() == {"event": "ended", "how": says, "timed_out": False}


def test_what_the_kernel_killed_for_memory_is_said(perform, monkeypatch):
    """Its count has grown meanwhile, and SIGKILL is how it ends a process."""
    counts = iter([3, 4])
    monkeypatch.setattr("pytest_exprun.running.executors.child.oom_kills", lambda: next(counts))
    child, _, _ = perform("run", "--how=kill")
    assert child.last_word()["how"].endswith("SIGKILL; the kernel ended processes because memory ran out")


def test_the_kernels_count_is_a_number_where_it_tells():
    """Linux does."""
    kills = oom_kills()
    assert kills is None or kills >= 0


def test_a_run_has_one_thread_unless_the_user_says_otherwise(monkeypatch):
    """Everything else is this process' environment."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "4")
    found = surroundings()
    assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"], found["PATH"]) == ("1", "4", os.environ["PATH"])
