"""What the processes of a session tell each other of runs that failed."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from pytest_exprun.trust.store.attempts import Attempts

DIES = """
import os, sys
from pathlib import Path
from pytest_exprun.trust.store.attempts import Attempts
with Attempts(Path(sys.argv[1]), "session").trying("run") as why:
    print(why, flush=True)
    os._exit(1)
"""


@pytest.fixture
def attempts(tmp_path):
    """Return the notes of a session in a folder that is not there yet."""
    return Attempts(tmp_path / "tmp", "session")


def die(attempts) -> str:
    """Let another process try a run and die of it; return why it did not try."""
    command = [sys.executable, "-c", DIES, str(attempts.folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def interrupted(attempts) -> str | None:
    """Try a run that is interrupted; return why it was not tried."""
    with contextlib.suppress(KeyboardInterrupt), attempts.trying("run") as why:
        assert list(attempts.folder.iterdir())
        raise KeyboardInterrupt
    return why


def test_an_error_is_told_to_the_others(attempts, tmp_path):
    """The same session reads it, another one does not, and other runs are not meant."""
    with attempts.trying("run"):
        attempts.failed("run", "a bad shape")
    assert attempts.error("run") == "a bad shape"
    assert attempts.error("other") is None
    assert Attempts(tmp_path / "tmp", "another").error("run") is None


def test_a_run_that_ends_leaves_no_note(attempts):
    """Finished, or interrupted in good order: it may be tried again as often as one likes."""
    for _ in range(3):
        assert interrupted(attempts) is None
    assert list(attempts.folder.iterdir()) == []


def test_two_processes_may_die_of_a_run(attempts):
    """The third one is told so."""
    assert [die(attempts), die(attempts)] == ["None", "None"]
    with attempts.trying("run") as why:
        assert why == "the process that performed it died, 2 times in this session"


def test_living_processes_and_other_hosts_do_not_count(attempts):
    """Where locks do not work several processes may perform a run at once; on another host nobody knows who lives."""
    attempts._write(
        "run", {"by": [[os.getpid(), socket.gethostname()], [2**22 + 1, "elsewhere"], [1, socket.gethostname()]]}
    )
    with attempts.trying("run") as why:
        assert why is None


def test_a_single_process_writes_nothing(tmp_path):
    """Without a session of several there is nobody to tell."""
    alone = Attempts(tmp_path / "tmp", "")
    with alone.trying("run") as why:
        alone.failed("run", "a bad shape")
        assert why is None
    assert alone.error("run") is None
    assert not alone.folder.exists()


@pytest.mark.parametrize("note", ["", "[]", '{"by": 3}', '{"by": [3, null, ["x", "y"]], "error": 5}'])
def test_a_note_that_cannot_be_read_is_none(attempts, note):
    """It only saves work."""
    attempts.folder.mkdir()
    (attempts.folder / "attempt-session-run.json").write_text(note)
    assert attempts.error("run") is None
    with attempts.trying("run") as why:
        assert why is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    """The run is performed all the same."""
    (tmp_path / "file").touch()
    with Attempts(tmp_path / "file", "session").trying("run") as why:
        assert why is None
