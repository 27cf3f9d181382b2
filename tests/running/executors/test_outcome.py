"""What the end of a run in a process of its own means: a result, an error, or another try."""

from __future__ import annotations

import pytest

from pytest_exprun.running.executors.contract import Task, failure
from pytest_exprun.running.executors.outcome import Attempt
from pytest_exprun.running.sandbox.run_log import RunLog
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.trees.ground import Ground

SPEC = RunSpec(Variant(("--x",)), 42, Budget(20_000))
DIED = {"event": "ended", "how": "its process was killed by SIGKILL", "timed_out": False}
LATE = {**DIED, "timed_out": True}
REFUSED = {"event": "error", "message": "trainer t:main: seed 42 of --x: raised ValueError: a bad shape"}


@pytest.fixture
def settings(tmp_path):
    """Return settings with a time limit."""
    return Settings.read({"executor": "processes", "timeout": "3"}, tmp_path)


@pytest.fixture
def attempt(tmp_path):
    """Return a function that makes an attempt that has printed something."""
    log = RunLog(tmp_path / "run.log")

    def attempt(*earlier: str) -> Attempt:
        log.write(b"the last words\n")
        return Attempt(task=Task(SPEC, "exp", Ground(Settings.read({}, tmp_path))), log=log, earlier=earlier)

    yield attempt
    log.close(keep=False)


def test_a_process_that_died_is_tried_once_more(attempt):
    """The user is told, and the log is kept."""
    notices = []
    tried = attempt()
    assert tried.try_again(DIED, notices.append) == [DIED["how"]]
    assert notices == [f"seed 42 of --x: {DIED['how']}; it is tried once more (log: {tried.log.path})"]
    assert tried.log.path.read_bytes() == b"the last words\n"


@pytest.mark.parametrize(
    ("last", "earlier"), [(DIED, ("it died",)), (LATE, ()), (REFUSED, ()), ({"event": "result"}, ())]
)
def test_what_is_not_tried_again(attempt, last, earlier):
    """One that died twice, was too late, was refused by the trainer itself, or has a result."""
    notices = []
    assert attempt(*earlier).try_again(last, notices.append) is None
    assert not notices


@pytest.mark.parametrize(
    ("last", "status", "says"),
    [
        (DIED, "crashed", "seed 42 of --x: its process was killed by SIGKILL; its output ended: the last words; "),
        (
            LATE,
            "timeout",
            "seed 42 of --x ran longer than exprun_timeout = 3 s and was ended; raise the limit, or set it to 0 for none; its output",
        ),
        (REFUSED, "crashed", REFUSED["message"] + "; its output"),
    ],
)
def test_a_run_that_cannot_be_trusted_has_its_reason_and_its_log(attempt, settings, last, status, says):
    """The message ends with what was printed last."""
    result = attempt().outcome(last, settings, 1)
    assert result.status == status
    assert failure(result).startswith(says)
    assert "the last words" in failure(result)
    assert result.provenance == {"attempts": 1, "executor": "processes"}


def test_how_often_it_was_tried_is_in_message_and_record(attempt, settings):
    """A second death says so, and how the first came."""
    result = attempt("it died").outcome(DIED, settings, 1)
    assert failure(result).startswith("seed 42 of --x: its process was killed by SIGKILL, 2 times; its output")
    assert result.provenance == {"attempts": 2, "executor": "processes", "earlier_attempts": ["it died"]}


def test_a_result_is_taken_as_it_is(attempt, settings):
    """What it read is known here from then on; its log goes."""
    (settings.root / "numbers.txt").touch()
    told = RunResult(SPEC, "finished", {"val_loss": 1.5}, provenance={"host": "there", "concurrency": 1})
    last = {"event": "result", "result": told.to_json(), "heard": {"r": {"numbers.txt": 0.0}}}
    tried = attempt("it died")
    result = tried.outcome(last, settings, 2)
    assert (result.metrics, result.status) == ({"val_loss": 1.5}, "finished")
    assert result.provenance["host"] == "there"
    assert (result.provenance["concurrency"], result.provenance["attempts"]) == (2, 2)
    assert settings.root / "numbers.txt" in OPENED.files(settings.root)
    assert not tried.log.path.exists()
