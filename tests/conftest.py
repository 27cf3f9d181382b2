"""Fixtures of the plugin's own tests: a project with the toy trainer, run through pytester."""

# ruff: noqa: E402  # numerical libraries read the number of threads when they are loaded

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# One thread a process, also in the processes that tests start: workers share the cores, and threads that wait for one are many times
# slower than a single one.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import hypothesis
import matplotlib.figure  # noqa: F401  # see numpy
import numpy as np  # noqa: F401  # pytester forgets what a session inside imported, and numpy cannot be loaded twice
import pytest
import scipy.special  # noqa: F401  # see numpy

from tests.executor_contract import wait_until

collect_ignore = ["data"]  # stored runs with the experiments that they are of
TOY = Path(__file__).with_name("toy.py")
INI = """
[pytest]
addopts = --import-mode=importlib --strict-markers
exprun_trainer = toy:main
exprun_plots = off
filterwarnings = error
"""

# What a caller's environment must not decide: how wide, colourful and long sessions print, what they load, and which repository git means.
OF_THE_CALLER = re.compile(
    "CI|BUILD_NUMBER|GITHUB_.*|LINES|(FORCE|NO)_COLOR|LANGUAGE|LC_.*|GIT_.*|EXPRUN_.*"
    "|PYTEST_(?!CURRENT_TEST).*"  # pytest sets it for each test, and takes it away itself
    "|PYTHON(?!PATH|HOME).*"
)
FOR_ALL = {"COLUMNS": "80", "LANG": "C.UTF-8", "TERM": "xterm"}

# How long an example takes is no property of what is tested.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], database=None
)
hypothesis.settings.load_profile("suite")

# A job in the background (nohup, some CI runners) ignores these signals, and so would every session that a test starts and then ends.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@dataclass
class ToyProject:
    """A folder with `toy.py`, an ini file, and whatever experiment files a test writes into it."""

    pytester: pytest.Pytester

    def write(self, body: str, name: str = "test_rope.py") -> Path:
        """Write an experiment file; the usual imports are added."""
        path = self.pytester.path / "experiments" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"import pytest\nfrom pytest_exprun import Verdict, experiment\n\n{body}\n", encoding="utf-8")
        return path

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest on the experiments in this process."""
        return self.pytester.runpytest_inprocess("experiments", *args)

    def run_fresh(self, *args: str) -> pytest.RunResult:
        """Run pytest on the experiments in a process of its own."""
        return self.pytester.runpytest_subprocess("experiments", *args)

    def hold(self, seed: int) -> Path:
        """Let every run of a seed wait, once it has begun, until the file returned is removed."""
        path = self.pytester.path / ".traces" / f"hold-{seed}"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return path

    def wait_for_runs(self, count: int) -> None:
        """Wait until that many runs have begun."""
        wait_until(lambda: len(self.runs) >= count)

    @property
    def runs(self) -> list[str]:
        """The command lines of all runs so far."""
        log = self.pytester.path / ".traces" / "runs"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def seeds(self, flag: str | None = None) -> list[int]:
        """The seeds trained so far, in order, with a flag or (None) without any."""
        found = []
        for line in self.runs:
            words = line.split()
            flags = words[4 : words.index("--output_dir")]
            if (flag in flags) if flag else not flags:
                found.append(int(words[3]))
        return found

    def report(self, name: str) -> str:
        """The text of a report."""
        return (self.pytester.path / "docs" / "research" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """Give the tests one environment, wherever they run; the session around them prints as its caller wants it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(OF_THE_CALLER.fullmatch, list(os.environ)):
            patch.delenv(name)
        for name, value in FOR_ALL.items():
            patch.setenv(name, value)
        # By its real name, as pytest has it: what is temporary is told by its path.
        patch.setattr(tempfile, "tempdir", str(Path(tempfile.gettempdir()).resolve()))
        patch.setenv("TMPDIR", tempfile.gettempdir())
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What fsync decides only a power cut would show; the tests that need it to fail say so themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return pytest's own, whose sessions do without the plugin of hypothesis: it takes as long to load as all the rest."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    return pytester


@pytest.fixture
def toy_project(pytester: pytest.Pytester) -> ToyProject:
    """Return an empty project with the toy trainer."""
    shutil.copy(TOY, pytester.path / "toy.py")
    (pytester.path / "pytest.ini").write_text(INI, encoding="utf-8")
    return ToyProject(pytester)


@pytest.fixture
def exprun(capsys, monkeypatch):
    """Return the command; sessions started around the tests say nothing to it."""
    from tests.shell import Exprun

    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Exprun(capsys)


@pytest.fixture
def project(toy_project):
    """Return a toy project, which is the current directory."""
    assert Path.cwd() == toy_project.pytester.path
    return toy_project
