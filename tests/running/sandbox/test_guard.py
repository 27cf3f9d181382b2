"""The guard's script finds what comes from a process and ends it."""

from __future__ import annotations

import os
import subprocess
import sys

from pytest_exprun.running.sandbox.guard import descendants, kill
from tests.executor_contract import is_alive, wait_until

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def family() -> tuple[subprocess.Popen[bytes], int]:
    """Start a process and have it start another one in a session of its own."""
    parent = subprocess.Popen([sys.executable, "-S", "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True)
    return parent, int(parent.stdout.readline())


def test_what_comes_from_a_process_is_found_and_ended():
    """The child of a child too, whatever group it is in; the asking process is no part of it."""
    parent, child = family()
    with parent:
        assert {parent.pid, child} == descendants({parent.pid})
        assert {parent.pid, child} <= descendants({os.getpid()})
        kill(set(), {parent.pid})
    wait_until(lambda: not is_alive(child))


def test_a_group_is_ended_and_nothing_else():
    """What left the group stays; a group that is gone already is no error."""
    parent, child = family()
    with parent:
        kill({parent.pid}, set())
    assert is_alive(child)
    kill({parent.pid}, {child})
    wait_until(lambda: not is_alive(child))
