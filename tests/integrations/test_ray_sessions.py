"""Whole sessions with `--exprun-executor=ray`, in a process of their own as a user starts them: `make integrations`."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.executor_contract import is_alive, wait_until

ray = pytest.importorskip("ray")

WILD = Path(__file__).parent.parent / "wild.py"
INI = """[pytest]
addopts = --import-mode=importlib --strict-markers
exprun_trainer = wild:main
exprun_tokens = 20000
exprun_plots = off
exprun_executor = ray
exprun_ray_resources = num_cpus=0.5
"""
CLUSTER = """
import sys, ray
ray.init(address="local", num_cpus=2, resources={"ours": 2}, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


class Project:
    """A folder with the wild trainer and one experiment, and the session that runs in it, shown on a terminal of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.text = root, ""
        shutil.copy(WILD, root)
        (root / "pytest.ini").write_text(INI, encoding="utf-8")
        (root / "experiments").mkdir()

    def write(self, flags: str) -> None:
        """Write the experiment; its control has the flags too, so that all runs of both arms behave so."""
        words = ", ".join(map(repr, flags.split()))
        (self.root / "experiments" / "test_lines.py").write_text(
            f"from pytest_exprun import experiment\n\n\n@experiment('--lines=4', baseline=({words},), gate='identical')\n"
            "def test_lines(): ...\n",
            encoding="utf-8",
        )

    def start(self, *args: str, **variables: str) -> None:
        """Start pytest in a session of its own whose terminal is a pseudo-terminal."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment |= {"WILD_TRACES": str(self.root), "TERM": "xterm", "COLUMNS": "120", **variables}
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "experiments", "-p", "no:cacheprovider", *args],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(ours, False)
        self._terminal = ours
        self.seen: set[int] = set()

    def read(self) -> str:
        """Return what is on the terminal so far, and remember which processes there are."""
        self.seen |= descendants(self.process.pid)
        try:
            while data := os.read(self._terminal, 1 << 16):
                self.text += data.decode("utf-8", "replace")
        except OSError:  # nothing more at present, or the other side is closed
            pass
        return self.text

    def wait_for(self, pattern: str, seconds: float = 120) -> None:
        """Wait until the terminal shows a text."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.read()):
            assert time.monotonic() < deadline, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.05)

    def end(self, seconds: float = 180) -> int:
        """Wait for the session's end; return its exit status. Nothing that it started is left."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)
        self.read()
        os.close(self._terminal)
        wait_until(lambda: not any(map(is_alive, self.seen)), 60)
        return self.process.returncode

    def started(self) -> dict[int, list[int]]:
        """Return the processes of each seed's runs, in the order of their starts."""
        found: dict[int, list[int]] = {}
        log = self.root / "started"
        for line in log.read_text(encoding="ascii").split("\n")[:-1] if log.exists() else []:
            seed, pid, _ = line.split()
            found.setdefault(int(seed), []).append(int(pid))
        return found

    def records(self) -> list[dict]:
        """Return the stored runs."""
        paths = self.root.glob(".exprun/*/*/seed-*.json")
        return [json.loads(path.read_text(encoding="utf-8"))["record"]["run"] for path in paths]


def descendants(pid: int) -> set[int]:
    """Return the living processes that descend from one, as the kernel sees them now."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, front = set(), [pid]
    while front:
        front = [child for parent in front for child in children.get(parent, ())]
        found.update(front)
    return found


@pytest.fixture
def project(tmp_path):
    """Return an empty project; whatever of its session is left at the end of the test is killed."""
    project = Project(tmp_path)
    yield project
    process = getattr(project, "process", None)
    if process is not None and process.poll() is None:
        for pid in (process.pid, *descendants(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def test_a_killed_run_is_told_retried_and_recorded(project):
    """SIGKILL from outside: a note on the terminal, a second attempt in the record, the verdict as without it; nothing is left."""
    project.write("--slow=0.5")
    project.start()
    project.wait_for(r"seed \d+  step [12]\b")  # progress of a run that still trains
    wait_until(lambda: 137 in project.started(), 60)
    os.kill(project.started()[137][0], signal.SIGKILL)
    assert project.end() == 0, project.text
    assert "note: seed 137 of --slow=0.5: its process was killed by SIGKILL; it is tried once more" in project.text
    provenance = [run["provenance"] for run in project.records()]
    assert sorted(each["attempts"] for each in provenance) == [1] * 7 + [2]
    assert [each["earlier_attempts"] for each in provenance if each["attempts"] == 2] == [
        ["its process was killed by SIGKILL"]
    ]
    assert len(project.seen) > 8 + 2  # the runs, and Ray's own processes


@pytest.mark.parametrize(("send", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_ctrl_c_ends_everything_and_keeps_what_is_done(project, send, number):
    """The terminal sends SIGINT to all its processes, a scheduler SIGTERM to one: finished seeds stay stored, queued ones never start."""
    project.write("--slow=1")
    project.start()
    project.wait_for(r"seed \d+ +val_loss")
    send(project.process.pid, number)
    assert project.end() == 2, project.text
    assert "KeyboardInterrupt" in project.text
    done = len(project.records())
    assert 0 < done < 8
    assert sum(map(len, project.started().values())) < 8
    assert not list(project.root.glob(".exprun/logs/*.log"))


def test_ray_address_names_the_cluster(project):
    """The runs are performed by the cluster that is there; it goes on after the session."""
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cluster:
        address = cluster.stdout.readline().strip()
        project.write("--slow=0")
        project.start("--exprun-ray-resources=num_cpus=1 ours=1", RAY_ADDRESS=address, RAY_AUTH_MODE="token")
        assert project.end() == 0, project.text
        assert len(project.records()) == 8
        assert cluster.poll() is None
        cluster.stdin.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "RAY_ADDRESS = 127.0.0.1:1: nobody answers there"),
        (
            "ray://127.0.0.1:1",
            "a Ray Client cannot pass progress lines on; start the session on a machine of the cluster",
        ),
    ],
)
def test_an_address_that_cannot_do_is_refused_at_once(project, address, says):
    """One line that names the address, and no waiting for Ray's own minute."""
    project.write("--slow=0")
    project.start(RAY_ADDRESS=address)
    assert project.end(30) == 1
    assert says in project.text
    assert "Traceback" not in project.text
