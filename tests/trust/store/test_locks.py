"""Locks between sessions: one trains, the others wait and say for whom; a dead holder holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_exprun.trust.store import locks
from pytest_exprun.trust.store.locks import exclusive

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX record locks")
ROOT = Path(__file__).parents[3]
GUARD = 120
"""Seconds that even a busy machine does not need for any step of these tests."""
HOLD = """
import os, subprocess, sys, time
from pathlib import Path
from pytest_exprun.trust.store.locks import exclusive
with exclusive(Path(sys.argv[1]), "seed 42 of --rope", lambda _: print("waits", flush=True)) as locked:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], close_fds=False) if sys.argv[2] == "child" else None
    print("held" if locked else "open", child.pid if child else 0, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def hold(tmp_path):
    """Start a process that holds a lock; yields a function, ends what it started."""
    started = []

    def start(child="none"):
        command = [sys.executable, "-c", HOLD, str(tmp_path / "locks" / "x.lock"), child]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        word, pid = process.stdout.readline().split()
        assert word == "held"
        return process, int(pid)

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def lock(tmp_path):
    """Return the path of the lock."""
    return tmp_path / "locks" / "x.lock"


def test_a_free_lock_is_taken_and_given_back(lock):
    """Nobody waits, and it can be taken again."""
    for _ in range(2):
        with exclusive(lock, "seed 42", pytest.fail) as locked:
            assert locked


def test_a_waiter_says_for_whom_and_then_has_it(lock, hold):
    """The line names what is waited for, the holder's pid and host, and for how long it has had it."""
    process, _ = hold()
    said = []

    def let_go(line):
        said.append(line)
        process.stdin.close()

    with exclusive(lock, "seed 42 of --rope", let_go) as locked:
        assert locked
        assert process.wait(GUARD) == 0
    assert len(said) == 1
    assert said[0].startswith(f"waiting for seed 42 of --rope: process {process.pid} on {os.uname().nodename} trains")
    assert "s so far" in said[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_holder_is_replaced(lock, hold, number):
    """The kernel drops the lock with the process."""
    process, _ = hold()
    with exclusive(lock, "seed 42", lambda _: process.send_signal(number)) as locked:
        assert locked
        assert process.wait(GUARD) == -number


def test_an_orphaned_child_holds_nothing(lock, hold):
    """A data-loader worker that outlives its session, with all descriptors inherited, keeps nobody waiting."""
    process, child = hold("child")
    try:
        process.kill()
        process.wait(GUARD)
        os.kill(child, 0)  # it is alive
        with exclusive(lock, "seed 42", pytest.fail) as locked:
            assert locked
    finally:
        os.kill(child, signal.SIGKILL)


def test_threads_of_one_process_exclude_each_other(lock):
    """Record locks do not do that: a lock beside them does."""
    inside, most = [], []

    def work():
        with exclusive(lock, "x"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_taking_it_twice_does_not_drop_it(lock):
    """A nested use by the same thread neither blocks nor releases the lock at its end."""
    probe = f"import sys; sys.argv = ['', {str(lock)!r}, 'none']\n" + HOLD.replace("sys.stdin.readline()", "")
    with exclusive(lock, "x"):
        with exclusive(lock, "x") as locked:
            assert locked
        other = subprocess.Popen([sys.executable, "-c", probe], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "waits\n"
    assert other.communicate(timeout=GUARD)[0].startswith("held")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_think_that_it_holds_the_lock(lock):
    """What a parent holds is not the child's, also within our own bookkeeping."""
    with exclusive(lock, "x"):
        child = os.fork()
        if child == 0:
            fine = not locks._in_process
            os._exit(0 if fine else 1)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("number", [37, 95, 38])  # ENOLCK, ENOTSUP, ENOSYS
def test_where_locks_do_not_work_the_block_runs_all_the_same(lock, monkeypatch, number):
    """A network file system without locks costs duplicate work and nothing else."""
    import fcntl

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with exclusive(lock, "x") as locked:
        assert not locked


def test_a_folder_that_cannot_be_made(tmp_path):
    """No lock file, no lock, no error: the store says what is wrong with the folder."""
    (tmp_path / "locks").write_text("", encoding="utf-8")
    with exclusive(tmp_path / "locks" / "x.lock", "x") as locked:
        assert not locked


@pytest.mark.parametrize("note", [b"", b"\0", b"[]", b'{"pid": "x"}', b"[" * 4000, b'{"pid": 1, "host": 2}'])
def test_an_unreadable_note_still_gives_a_line(lock, note):
    """What the holder wrote about itself serves people only; damage in it harms nothing."""
    lock.parent.mkdir()
    lock.write_bytes(note)
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        assert "another process trains it" in str(locks.holder(descriptor))
    finally:
        os.close(descriptor)


def test_what_a_holder_says_is_inert():
    """A lock file is foreign text: no line breaks, nothing that a terminal would obey."""
    assert str(locks.Holder(1, "h\x1b[31m", "a\nb", 0.0)).isprintable()


def test_each_seed_is_trained_once_by_two_sessions(tmp_path):
    """Two processes want the same five runs: five trainings in all, both end with all results."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom pytest_exprun.trust.store.locks import exclusive\n"
        "from pytest_exprun.trust.store.store import Store\nfrom tests.stored import *\n"
        "store = Store(Path(sys.argv[1]))\nstore.check_writable()\nkey = make_key()\ntrained = 0\n"
        "for seed in range(5):\n"
        "    with exclusive(store.lock_path('rope', key, seed), f'seed {seed}'):\n"
        "        if store.load('rope', key, seed) is None:\n"
        "            time.sleep(0.1)\n            store.save(make_run(seed), 'rope', key)\n            trained += 1\n"
        "print(trained)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "store")]
    sessions = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    trained = [int(session.communicate(timeout=GUARD)[0]) for session in sessions]
    assert sum(trained) == 5


@pytest.mark.parametrize("hold_it", [exclusive, locks.claimed])
@pytest.mark.parametrize("reused", [False, True])
def test_a_lock_whose_descriptor_a_run_closed_is_given_back(lock, hold_it, reused):
    """Closed in C nobody hears of it; what has the number by then stays open."""
    with hold_it(lock, "seed 42 of no flags"):
        (thread_lock,) = [each for each in locks._in_process.values() if each.descriptor is not None]
        number = thread_lock.descriptor
        os.close(number)
        if reused:
            other = os.open(os.devnull, os.O_RDONLY)
            os.dup2(other, number)
    if reused:
        os.fstat(number)
        os.close(number)
        if other != number:
            os.close(other)
    with hold_it(lock, "seed 42 of no flags") as held:
        assert held
