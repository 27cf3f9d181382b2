"""A trainer that misbehaves in every way that could be thought of: one clear line, never a green session, and the next test is healthy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import misbehave
from tests.executor_contract import wait_until

SAMPLE = (
    *("exit_zero", "exit_in_thread", "execute", "close_in_c", "raise_generator_exit", "raise_mute", "return_exiting_mapping"),
    *("fork_returns", "modules_cleared", "original_streams_closed", "exit_at_exit"),
)  # fmt: skip
INI = """[pytest]
addopts = --import-mode=importlib -p no:cacheprovider -p no:hypothesispytest
exprun_trainer = misbehave:main
exprun_plots = off
"""


JOBS = {"inprocess": "", "processes": "exprun_jobs = 2"}
SECRET = "s3cr3t-0f-nobody-else"  # noqa: S105  # nobody's


class Sessions:
    """Starts sessions in processes of their own, each with a test a way and a healthy one after it."""

    def __init__(self, folder: Path, executor: str) -> None:
        shutil.copy(misbehave.__file__, folder)
        self.folder = folder
        (folder / "pytest.ini").write_text(f"{INI}exprun_executor = {executor}\n{JOBS[executor]}\n", encoding="utf-8")

    def run(self, ways, *options, more=""):
        """Run the tests; return the exit status and all that was printed. `more` follows the flag of a way."""
        tests = [
            f'@experiment("--way={name}"{more})\ndef test_{name}(): ...\n'
            f'@experiment("--better={number}", gate="winner")\ndef test_after_{name}(): ...\n'
            for number, name in enumerate(ways, 1)
        ]
        body = "from pytest_exprun import experiment\n" + "".join(tests)
        (self.folder / "test_ways.py").write_text(body, encoding="utf-8")
        printed = self.folder / "printed"
        with printed.open("wb") as out:
            command = [sys.executable, "-m", "pytest", "-rA", "--color=no", *options]
            environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"} | {
                "COLUMNS": "400"
            }
            status = subprocess.run(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, timeout=1800, check=False,
            ).returncode  # fmt: skip
        return status, printed.read_text(encoding="utf-8", errors="replace")


def outcomes(printed):
    """Return test -> (outcome, what is said of it in the last lines)."""
    found = re.findall(r"^(PASSED|FAILED|ERROR) test_ways.py::test_(\w+)(?: - (.*))?$", printed, re.MULTILINE)
    return {name: (outcome, said) for outcome, name, said in found}


def check(ways, status, printed, *, more="", workers=False):
    """Check every way of one session. With workers also those that end the process: only the worker is gone."""
    found = outcomes(printed)
    assert sorted(found) == sorted([*ways, *(f"after_{name}" for name in ways)]), printed[-3000:]
    for name in ways:
        assert found[f"after_{name}"] == ("PASSED", ""), name
        outcome, said = found[name]
        if name in misbehave.PUT_BACK:
            assert (name, outcome) == (name, "PASSED")
        elif workers and name in misbehave.FATAL:
            assert outcome == "FAILED", name
            assert re.fullmatch(rf"worker '\w+' crashed while running 'test_ways.py::test_{name}'", said), said
            assert f"the session ended while seed 42 of --way={name}{more} trained in its process" in printed
        else:
            assert (name, outcome) == (name, "ERROR")
            assert re.match(rf"Failed: .*seed 42 of --way={name}{more}: .", said), said
    errors = printed.partition("warnings summary")[0].partition("short test summary")[0]
    assert not re.findall(r"^(?:.*/)?pytest_exprun/\S+:\d+", errors, re.MULTILINE)
    assert status == int(any(name not in misbehave.PUT_BACK for name in ways))


def test_a_sample_of_ways_in_process(tmp_path):
    """Those that ended the session, turned it green or spoilt the next test before."""
    check(SAMPLE, *Sessions(tmp_path, "inprocess").run(SAMPLE))


def check_with_workers(folder, ways):
    """Check ways in a session whose workers are told a secret, which a trainer prints between escape sequences."""
    told = f', "--wandb_key={SECRET}"'
    status, printed = Sessions(folder, "inprocess").run(ways, "-n2", "--junitxml=junit.xml", more=told)
    hidden = re.search(r" --wandb_key=hidden-[0-9a-f]{16}", printed)[0]
    check(ways, status, printed, more=hidden, workers=True)
    assert not [line for line in printed.splitlines() if "\x1b" in line and not line.startswith("\x1b[31mkey hidden-")]
    for path in folder.rglob("*"):
        assert SECRET not in str(path)
        if path.is_file() and path.name not in {"test_ways.py", "printed"} and "__pycache__" not in path.parts:
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            # A log is what the trainer printed.
            assert b"\x1b" not in content or path.name == "misbehave.py" or path.parent.name == "logs", path
    assert SECRET not in printed


def test_a_sample_of_ways_with_workers(tmp_path):
    """A worker that is gone is an error of its test, and another one takes its place."""
    check_with_workers(tmp_path, ("exit_zero", "exit_in_c"))


def check_vanished(folder, way):
    """Check that a session that is gone leaves its line, which its guard writes a moment later."""
    sessions = Sessions(folder, "inprocess")
    _, printed = sessions.run([way])
    assert "passed" not in printed
    line = f"the session ended while seed 42 of --way={way} trained in its process"
    wait_until(lambda: line in (folder / "printed").read_text(encoding="utf-8", errors="replace").splitlines()[-1])


def test_a_process_that_vanishes_leaves_a_line(tmp_path):
    """What Python cannot hold ends the session; the last line says during which run."""
    check_vanished(tmp_path, "exit_in_c")


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inprocess", "processes"])
def test_every_way(tmp_path, executor):
    """At least 70 ways, all in one session."""
    ways = [*misbehave.REFUSED, *misbehave.PUT_BACK, *(misbehave.FATAL if executor == "processes" else ())]
    assert len(ways) >= 70
    check(ways, *Sessions(tmp_path, executor).run(ways))


@pytest.mark.slow
def test_every_way_with_workers(tmp_path):
    """All of them, those that end a worker included."""
    check_with_workers(tmp_path, [*misbehave.REFUSED, *misbehave.PUT_BACK, *misbehave.FATAL])


@pytest.mark.slow
@pytest.mark.parametrize("way", misbehave.FATAL)
def test_every_fatal_way_leaves_a_line(tmp_path, way):
    """In process nothing can go on after it, but it is said."""
    check_vanished(tmp_path, way)
