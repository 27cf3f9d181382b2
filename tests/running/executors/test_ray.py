"""What the executor `ray` does without Ray: its options, and one job on the machine where Ray put it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from pytest_exprun.running.executors.child import job
from pytest_exprun.running.executors.ray import resources
from pytest_exprun.terms.errors import SettingsError
from tests.executor_contract import Lab

PERFORM = """
import json, sys
from pytest_exprun.running.executors.ray import perform
for event in perform(json.loads(sys.argv[1])):
    print(json.dumps(event))
"""


def test_resources_are_given_as_ray_wants_them():
    """Ray's own names are its options, all others custom resources; whole numbers stay whole."""
    asked = resources(("num_cpus=2", "num_gpus=0.5", "memory=1e9", "big=1", "fast=0.25"))
    assert asked == {"num_cpus": 2, "num_gpus": 0.5, "memory": 10**9, "resources": {"big": 1, "fast": 0.25}}
    assert isinstance(asked["memory"], int)  # Ray refuses 1e9


def test_a_session_without_ray_is_told_what_to_install(tmp_path, monkeypatch):
    """One line, with the command."""
    lab = Lab(tmp_path, "ray")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"ray is not installed; pip install 'pytest-exprun\[ray\]'"):
        lab.run(seeds=(42,))


def perform(lab: Lab, *flags: str) -> list[dict]:
    """Do one run as a Ray worker would, in a process for which there is no pytest."""
    (blocked := lab.root / "blocked").mkdir()
    for name in ("pytest", "_pytest", "pluggy"):
        (blocked / f"{name}.py").write_text("raise ImportError('this machine has no pytest')", encoding="ascii")
    (task,) = lab.tasks(*flags, seeds=(42,))
    told = job(lab.settings, [], "run", specs=[task.spec.to_json()], directory=task.directory)
    paths = os.pathsep.join([str(blocked), str(Path(__file__).parents[3])])
    done = subprocess.run(
        [sys.executable, "-c", PERFORM, json.dumps(told)],
        cwd=lab.root,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_run_needs_no_pytest_where_it_is_performed(tmp_path):
    """Neither what Ray calls nor the process that trains imports pytest; the run's directory is gone afterwards."""
    started, *events, final = perform(Lab(tmp_path, "ray"))
    assert started["event"] == "started"
    assert [event["step"] for event in events if event["event"] == "point"] == [1, 2, 3]
    assert "Step 1 | val_loss" in "".join(event["text"] for event in events if event["event"] == "output")
    assert (final["event"], final["result"]["metrics"]["val_loss"]) == ("result", 2.042)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_run_whose_process_dies_says_how(tmp_path):
    """The last event names the signal, and what was printed before has been passed on."""
    *events, final = perform(Lab(tmp_path, "ray"), "--how=kill")
    assert "the last words" in "".join(event.get("text", "") for event in events)
    assert final == {"event": "ended", "how": "its process was killed by SIGKILL", "timed_out": False}


class NeverReady(ModuleType):
    """Ray on a machine that is too busy to start a cluster in time."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.__spec__ = ModuleSpec("ray", None)
        self.tries = 0

    def is_initialized(self) -> bool:
        """Nobody has joined a cluster."""
        return False

    def init(self, **_: object) -> None:
        """Fail as Ray does."""
        self.tries += 1
        raise Exception("The current node timed out during startup.\nMore.")  # noqa: TRY002  # what Ray raises


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (
            None,
            "a local cluster cannot be started: The current node timed out during startup; the machine may be too busy",
        ),
        (
            "auto",
            "the cluster at RAY_ADDRESS = auto cannot be joined: The current node timed out during startup; if it asks",
        ),
    ],
)
def test_a_cluster_that_cannot_be_had_is_one_line_and_tried_once(tmp_path, monkeypatch, address, says):
    """To try takes a minute: the next tests of the session get the same error at once."""
    monkeypatch.setitem(sys.modules, "ray", never := NeverReady())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    lab = Lab(tmp_path, "ray")
    for _ in range(3):
        with pytest.raises(SettingsError) as error:
            lab.run(seeds=(42,))
        assert says in str(error.value)
        assert "\n" not in str(error.value)
    assert never.tries == 1
