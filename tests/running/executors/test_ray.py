"""What the executor `ray` does without Ray: its options, and what it makes of the events of its tasks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from pytest_exprun.running.executors.contract import Surroundings, failure
from pytest_exprun.running.executors.processes import Processes
from pytest_exprun.running.executors.ray import resources
from pytest_exprun.terms.errors import SettingsError
from tests.executor_contract import Lab, is_alive
from tests.tree_lab import TreeLab


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


def test_ray_does_not_decide_what_a_signal_does(tmp_path, monkeypatch):
    """It takes SIGTERM for itself when it starts: the session would end from within a run."""
    monkeypatch.setitem(sys.modules, "ray", ray := StandIn())
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, lambda *_: None), raising=False)
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    assert Lab(tmp_path, "ray").run(seeds=(42,))[42].status == "finished"
    assert signal.getsignal(signal.SIGTERM) == before


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


@pytest.fixture
def on_trees(tmp_path, monkeypatch):
    """Return a lab on trees whose Ray is here, with a copy of the session's root where Ray has one: working directory and import path."""
    monkeypatch.setitem(sys.modules, "ray", StandIn())
    lab = TreeLab(tmp_path, "ray")
    monkeypatch.setenv("WILD_TRACES", str(lab.traces))
    lab.write(**{"new.py": "RATE = 9.0\n", "rate.py": "RATE = 8.0\n"})
    copy = shutil.copytree(lab.root, tmp_path / "copy", ignore=shutil.ignore_patterns(".git", ".exprun"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(copy), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.chdir(copy)
    return lab


def test_each_task_is_performed_in_its_own_state(on_trees):
    """Those of two trees and of the session's root, one after the other in one call; each ground hears of its own runs only."""
    names = ("main", "", "better", "main", "")
    tasks = [on_trees.task(name, seed) for name, seed in zip(names, (42, 42, 42, 137, 137), strict=True)]
    found = on_trees.run(*tasks)
    losses = {key: round(result.metrics["val_loss"], 3) for key, result in found.items()}
    assert losses == {
        ("main", 42): 2.042, ("main", 137): 2.137, ("better", 42): 1.042, ("", 42): 8.042, ("", 137): 8.137
    }  # fmt: skip
    for name in ("main", "better"):
        root = on_trees.ground(name).settings.root
        notes = found[name, 42].notes
        assert (notes["module"], notes["cwd"], notes["first"]) == (str(root / "rate.py"), str(root), str(root))
        assert root / "rate.py" in on_trees.ground(name).heard.sources(root)
        assert found[name, 42].provenance["commit"] is None
    assert found["", 42].notes["cwd"] == str(Path.cwd())
    assert not list(on_trees.root.glob(".exprun/trees/runs/*"))
    assert not list(on_trees.root.glob("checkpoints/*"))


def test_a_run_is_what_it_is_in_a_process_of_this_machine(on_trees):
    """Results to the last bit, what it asked for, and where its folder was."""
    results, heard = [], []
    for executor in (on_trees.executor, Processes(on_trees.here, Surroundings(on_trees.notices.append))):
        on_trees.executor = executor
        on_trees.fresh()
        result, ground = on_trees.one("better", "--how=read_data"), on_trees.ground("better")
        results.append((result.metrics, result.notes, result.curve, result.provenance.get("wrote_outside")))
        heard.append({kind: set(names) for kind, names in ground.heard.told(ground.settings.root).items()})
        assert failure(result) is None
    assert results[0] == results[1]
    assert heard[0] == heard[1]
    assert "data/numbers.txt" in heard[0]["r"]


def test_the_copy_of_the_sessions_root_is_no_place_for_a_trees_modules(on_trees):
    """A module that the state does not have is not there, although Ray has put one on the import path and runs in its folder."""
    told = failure(on_trees.one("main", "--how=new"))
    assert "No module named 'new'" in told
    assert on_trees.one("", "--how=new").notes["module"] == str(Path.cwd() / "rate.py")


def test_a_module_from_outside_the_tree_is_an_error(on_trees):
    """Nobody trains the session's file and calls it the state's."""
    told = failure(on_trees.one("main", "--how=outsider"))
    assert f"takes {on_trees.root / 'new.py'} from the working tree and not from the state that is judged" in told


def test_a_stray_write_is_an_error(on_trees):
    """What belongs to the session is not a run's to write."""
    told = failure(on_trees.one("main", "--how=trespass"))
    assert f"the run wrote {on_trees.root / 'left.txt'}, which belongs to the session" in told


@pytest.mark.parametrize(("how", "said"), [("die", "exit status 7"), ("kill", "killed by SIGKILL")])
def test_a_trainer_that_ends_its_process_on_a_tree_is_that_runs_error(on_trees, how, said):
    """It is tried once more, in a folder of its own, and others go on."""
    found = on_trees.run(on_trees.task("main", 42, f"--how={how}", "--at=42"), on_trees.task("better", 137))
    assert f"seed 42 of main --how={how} --at=42: its process" in failure(found["main", 42])
    assert said in failure(found["main", 42])
    assert found["main", 42].provenance["attempts"] == 2
    assert failure(found["better", 137]) is None
    assert not list(on_trees.root.glob(".exprun/trees/runs/*"))


def test_a_machine_that_does_not_see_the_tree_trains_nothing(on_trees):
    """One line says which folder, which machine, and what to do; other trees are trained."""
    tasks = [on_trees.task(name, 42) for name in ("main", "better")]
    gone = tasks[0].ground.settings.root
    gone.rename(gone.with_name("elsewhere"))
    found = on_trees.run(*tasks)
    told = failure(found["main", 42])
    assert told.startswith(
        f"seed 42 of main: the machine {socket.gethostname()} of the Ray cluster does not see {gone}, "
    )
    assert told.endswith(
        "put the store (exprun_store), and what exprun_shared names, on a file system that all machines share, at the same path"
    )
    assert found["main", 42].provenance["attempts"] == 1
    assert failure(found["better", 42]) is None
    assert len(on_trees.started) == 1


@pytest.mark.parametrize("place", [".exprun/logs", ".exprun/trees/runs", "data"])
def test_a_machine_with_an_older_copy_of_the_tree_trains_nothing(on_trees, place):
    """It has the tree, but not what this session made beside it for this run, or not the data."""

    def tasks():
        yield on_trees.task("main", 42)
        (on_trees.root / place).rename(on_trees.root / "elsewhere")

    told = failure(on_trees.run_all(tasks())["main", 42])
    assert f"of the Ray cluster does not see {on_trees.root / '.exprun'}" in told
    assert not on_trees.started


def test_what_was_made_for_queued_runs_goes_with_them(on_trees):
    """After Ctrl-C no folder of a run is left in the store."""

    def ctrl_c(*_):
        raise KeyboardInterrupt

    tasks = [on_trees.task(name, seed, "--slow=0.1") for name in ("main", "better", "") for seed in (42, 137)]
    with pytest.raises(KeyboardInterrupt):
        on_trees.run(*tasks, hear=ctrl_c)
    assert not list(on_trees.root.glob(".exprun/trees/runs/*"))
    assert not list(on_trees.root.glob(".exprun/logs/*.log"))


def test_folders_of_the_import_path_go_along(stand_in, monkeypatch):
    """`pythonpath = lib` of the session holds where Ray has a copy of its root."""
    lab, _ = stand_in
    (lab.root / "lib").mkdir()
    (lab.root / "wild.py").rename(lab.root / "lib" / "wild.py")
    monkeypatch.syspath_prepend(lab.root / "lib")
    assert lab.executor.rejects([task.spec for task in lab.tasks(seeds=(42,))]) == [None]
    assert lab.run(seeds=(42,))[42].metrics["val_loss"] == 2.042


@pytest.mark.parametrize("store", [".exprun", "{root}/deep/store", "/elsewhere", "../beside"])
def test_what_the_plugin_writes_does_not_travel(tmp_path, store):
    """However the place is given; what lies outside of the root does not travel anyway."""
    lab = Lab(tmp_path, "ray", store=store.format(root=tmp_path))
    left_out = [each for each in lab.executor._excludes() if each.startswith("/")]
    inside = {".exprun": ["/.exprun/"], "{root}/deep/store": ["/deep/store/"]}.get(store, [])
    assert left_out == [*inside, "/docs/research/", "/checkpoints/"]
