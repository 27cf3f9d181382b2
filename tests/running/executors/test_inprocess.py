"""One run after the other in this process: the contract of all executors, and what ends a run here."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.running.executors.contract import failure
from tests.executor_contract import ExecutorContract, Lab, is_alive, wait_until

REPOSITORY = Path(__file__).parents[3]


class TestInProcess(ExecutorContract):
    """One run after the other in this process."""

    name = "inprocess"


def test_in_process_a_run_past_its_time_ends_at_the_next_progress_line(tmp_path):
    """The error says at which step."""
    lab = Lab(tmp_path, "inprocess", timeout="0.3")
    results = lab.run("--slow=0.2", "--lines=50", seeds=(42,))
    assert results[42].status == "timeout"
    assert "ran longer than exprun_timeout = 0.3 s and was stopped at step" in failure(results[42])
    assert len(lab.points) < 10


HANGS = """
import sys
from pathlib import Path
from pytest_exprun.running.executors import inprocess
from tests.executor_contract import Lab
inprocess.GRACE_SECONDS = 2.0
lab = Lab(Path(sys.argv[1]), "inprocess", timeout="0.5")
lab.notices = print
lab.run("--how=sleep", seeds=(42,))
"""


def in_own_process(source, folder):
    """Run a script that may end its process."""
    command = [sys.executable, "-c", source, str(folder)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)


def test_in_process_a_silent_run_ends_the_session(tmp_path):
    """Past the grace period the stacks of all threads are shown and the process ends: never a silent hang."""
    done = in_own_process(HANGS, tmp_path)
    assert done.returncode == 1
    assert "Timeout (0:00:02.500000)!" in done.stderr
    assert "in happen" in done.stderr


CHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(3600)']); time.sleep(3600)"


def processes_in(folder: Path) -> list[int]:
    """Living processes with this working directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if path.readlink() == folder and is_alive(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("start", ["subprocess.Popen([sys.executable, '-S', '-c', CHILD])", "fork()"])
def test_in_process_the_children_of_a_silent_run_end_with_the_session(tmp_path, start):
    """No process of the run is left when the session was ended, neither its children nor theirs; forked ones hold our pipes open."""
    body = f"""
import multiprocessing, subprocess, sys, time
CHILD = {CHILD!r}
def fork():
    multiprocessing.get_context("fork").Process(target=subprocess.run, args=([sys.executable, "-S", "-c", CHILD],)).start()
def main(argv):
    {start}
    time.sleep(3600)
"""
    (tmp_path / "leaves.py").write_text(body, encoding="utf-8")
    hangs = HANGS.replace('timeout="0.5"', 'timeout="1", trainer="leaves:main"').replace('"--how=sleep", ', "")
    done = in_own_process(hangs, tmp_path)
    assert "in main" in done.stderr
    wait_until(lambda: not processes_in(tmp_path))


LEFT = """
import sys
from pathlib import Path
from tests.executor_contract import Lab
lab = Lab(Path(sys.argv[1]), "inprocess")
lab.run("--how=child", seeds=(42,))
print(lab.notices)
"""


def test_in_process_what_a_run_left_running_ends_with_the_session(tmp_path):
    """It is named, and it does not outlive an orderly end either."""
    command = [sys.executable, "-c", LEFT, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    wait_until(lambda: not processes_in(tmp_path))
    assert "left behind the running child process" in done.stdout
