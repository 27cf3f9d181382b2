"""What the executor `ray` does without Ray: its options, and one job on the machine where Ray put it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from pytest_exprun.running.executors.child import job
from pytest_exprun.running.executors.contract import failure
from pytest_exprun.running.executors.ray import resources
from pytest_exprun.terms.errors import SettingsError
from tests.executor_contract import Lab, is_alive

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


class StandIn(ModuleType):
    """Ray with one machine, in this process: each task is a generator that goes on when its next event is waited for."""

    exceptions = type("exceptions", (), {"RayError": type("RayError", (Exception,), {})})

    def __init__(self) -> None:
        super().__init__("ray")
        self.__spec__ = ModuleSpec("ray", None)
        self.cancelled: list[object] = []

    def is_initialized(self) -> bool:
        """A cluster has been joined."""
        return True

    def nodes(self) -> list[dict]:
        """Return the one machine."""
        return [{"Alive": True, "Resources": {"CPU": 1}}]

    def remote(self, **_: object):
        """Return what makes a task of a function."""
        return lambda function: type("Remote", (), {"remote": staticmethod(function)})

    def wait(self, tasks: list, **_: object) -> tuple[list, list]:
        """Name the first."""
        return tasks[:1], tasks[1:]

    def get(self, event: dict) -> dict:
        """An event is its own reference."""
        return event

    def cancel(self, task, *, force: bool) -> None:
        """End a task and all that it started."""
        assert force
        self.cancelled.append(task)
        task.close()


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a lab with an executor whose Ray is here."""
    monkeypatch.setitem(sys.modules, "ray", ray := StandIn())
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path, "ray"), ray


def test_results_errors_and_second_tries_come_back(stand_in):
    """As with processes of one's own: who was killed is tried once more, what the trainer reports is not."""
    lab, _ = stand_in
    results = lab.run("--how=kill_once", "--at=137", seeds=(42, 137))
    assert {seed: result.metrics["val_loss"] for seed, result in results.items()} == {42: 2.042, 137: 2.137}
    assert results[137].provenance["earlier_attempts"] == ["its process was killed by SIGKILL"]
    assert [(result.provenance["executor"], result.provenance["concurrency"]) for result in results.values()] == [
        ("ray", 2)
    ] * 2
    assert len(lab.notices) == 1
    refused = lab.run("--how=raise", seeds=(42,))[42]
    assert "raised ValueError: a bad shape" in failure(refused)
    assert refused.provenance["attempts"] == 1
    killed = failure(lab.run("--how=kill", seeds=(256,))[256])
    assert killed.startswith("seed 256 of --how=kill: its process was killed by SIGKILL, 2 times; its output")
    assert "the last words" in killed


def test_flags_are_asked_about_where_the_runs_will_be(stand_in):
    """One task answers for all."""
    lab, _ = stand_in
    specs = [task.spec for task in lab.tasks("--slwo=1", seeds=(42,))]
    assert lab.executor.rejects(specs) == ["wild:main has no option --slwo=1; did you mean --slow?"]


def test_what_a_listener_raises_cancels_what_runs(stand_in):
    """Nothing goes on for somebody who has gone."""
    lab, ray = stand_in

    def hear(*_):
        raise ZeroDivisionError

    with (
        contextlib.closing(lab.executor.run(iter(lab.tasks("--slow=0.1")), hear)) as results,
        pytest.raises(ZeroDivisionError),
    ):
        next(results)
    assert len(ray.cancelled) == 3
    assert not any(is_alive(pid) for _, pid, _ in lab.started)
    assert not list(lab.root.glob("checkpoints/*"))
