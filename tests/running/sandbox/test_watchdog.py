"""The guard as the session sees it: what it watches ends when the session does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_exprun.running.sandbox.watchdog import Guard
from tests.executor_contract import is_alive, wait_until


@pytest.fixture
def sleeper():
    """Return a process in a group of its own."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True
    ) as process:
        yield process
        process.kill()


def test_a_watched_group_ends_with_the_session(sleeper):
    """To close the guard is the orderly form of dying."""
    guard = Guard()
    guard.watch(sleeper.pid)
    guard.close()
    wait_until(lambda: not is_alive(sleeper.pid))


def test_a_forgotten_group_stays(sleeper):
    """A number may belong to somebody else by the time the session ends."""
    guard = Guard()
    guard.watch(sleeper.pid)
    guard.forget(sleeper.pid)
    guard.close()
    assert sleeper.poll() is None


SESSION = """
import subprocess, sys, time
from pytest_exprun.running.sandbox.watchdog import Guard
guard = Guard()
guard.watch_own(0)
if sys.argv[1] == "forget":
    guard.forget_own()
sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleeper, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print(child.pid, flush=True)
time.sleep(1)
"""


@pytest.mark.parametrize("last", ["watch", "forget"])
def test_the_sessions_own_children_end_with_it_if_they_are_watched(last):
    """They need no group to be known by."""
    done = subprocess.run([sys.executable, "-c", SESSION, last], capture_output=True, text=True, check=True, timeout=60)
    child = int(done.stdout)
    if last == "watch":
        wait_until(lambda: not is_alive(child))
    else:
        assert is_alive(child)
        subprocess.run(["kill", "-9", str(child)], check=True)


def test_a_guard_that_somebody_killed_costs_nothing(sleeper):
    """The session goes on without."""
    guard = Guard()
    guard._process.kill()
    guard._process.wait()
    guard.watch(sleeper.pid)
    guard.close()
    assert sleeper.poll() is None
