"""One job on the machine where Ray put it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.running.executors import node
from pytest_exprun.running.executors.child import job
from tests.executor_contract import Lab
from tests.tree_lab import TreeLab

PERFORM = """
import json, sys
from pytest_exprun.running.executors.node import perform
for event in perform(json.loads(sys.argv[1])):
    print(json.dumps(event))
"""


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


@pytest.fixture
def tree_job(tmp_path, monkeypatch):
    """Return a lab on trees, and the job of a run there as a machine of a cluster gets it."""
    lab = TreeLab(tmp_path, "ray")
    monkeypatch.setenv("WILD_TRACES", str(lab.traces))
    task = lab.task("better", 42)
    (output_dir := tmp_path / "home" / ".exprun" / "trees" / "runs" / "exp").mkdir(parents=True)
    settings = task.ground.settings
    seen = [str(settings.root), str(output_dir), str(settings.root / "data")]
    told = job(settings, ["."], "run", specs=[task.spec.to_json()], output_dir=str(output_dir), seen=seen)
    monkeypatch.chdir(tmp_path)
    return lab, told


def test_a_run_on_a_tree_works_in_the_folder_that_it_was_given(tree_job):
    """Who made that folder removes it."""
    lab, told = tree_job
    *_, final = node.perform(told)
    assert final["result"]["metrics"]["val_loss"] == 1.042
    assert Path(told["output_dir"], "model.pt").is_file()
    assert [seed for seed, _ in lab.started] == [42]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_machine_that_misses_something_says_what_and_trains_nothing(tree_job, which):
    """The tree, a folder of this session, or data: an older copy of the tree at the same place will not do."""
    lab, told = tree_job
    path = Path(told["seen"][which])
    if path.is_symlink():
        (lab.root / "data").rename(lab.root / "moved")
    else:
        path.rename(path.with_name("moved"))
    (event,) = node.perform(told)
    assert (event["event"], event["unstarted"]) == ("error", True)
    assert f"the machine {socket.gethostname()} of the Ray cluster does not see {path}, which" in event["message"]
    assert "\n" not in event["message"]
    assert not lab.started


def test_a_tree_under_another_name_is_not_the_tree(tree_job, tmp_path):
    """What a run opens is compared by name: behind a link of that machine, nobody could say what it took from where."""
    lab, told = tree_job
    home = tmp_path / "home"
    home.rename(tmp_path / "mounted")
    home.symlink_to(tmp_path / "mounted")
    (event,) = node.perform(told)
    assert f"does not see {told['root']}, which" in event["message"]
    assert not lab.started


def test_the_sessions_root_need_not_be_there(tmp_path, monkeypatch):
    """Where no data are shared the store is enough, wherever it lies."""
    lab = TreeLab(tmp_path, "ray", store=str(tmp_path / "store"), shared="")
    monkeypatch.setenv("WILD_TRACES", str(lab.traces))
    task = lab.task("better", 42)
    (output_dir := tmp_path / "store" / "trees" / "runs" / "exp").mkdir(parents=True)
    settings = task.ground.settings
    seen = [str(settings.root), str(output_dir)]
    told = job(settings, ["."], "run", specs=[task.spec.to_json()], output_dir=str(output_dir), seen=seen)
    lab.root.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    *_, final = node.perform(told)
    assert final["result"]["metrics"]["val_loss"] == 1.042
