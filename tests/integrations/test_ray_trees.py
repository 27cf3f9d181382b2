"""Runs on states of the code with the executor `ray`, on a local cluster of two processors: `make integrations`."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from pytest_exprun.running.executors.contract import Surroundings, failure
from pytest_exprun.running.executors.processes import Processes
from tests.executor_contract import is_alive, wait_until
from tests.planted import commits
from tests.planted.commits import IGNORED, nano, toy
from tests.planted.test_planted import test_each_gets_its_word as each_gets_its_word
from tests.shell import shell
from tests.states import Checkout
from tests.tree_lab import TreeLab

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.filterwarnings("ignore")
CLOCKS = {"wall_time", "cpu_time"}
PERFORMED = {"started", "other_busy_cores", "concurrency", "executor"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Return a lab on trees; Ray, which takes seconds to start, has a copy of its root as it is now."""
    folder = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("WILD_TRACES", str(folder / "traces"))
        lab = TreeLab(folder, "ray", ray_resources="num_cpus=0.5")
        lab.write(**{"new.py": "RATE = 9.0\n", "rate.py": "RATE = 8.0\n"})
        yield lab
    ray.shutdown()


@pytest.fixture
def lab(cluster):
    """Return the lab as if its session began."""
    for name in cluster.traces.iterdir():
        name.unlink()
    cluster.fresh()
    return cluster


def nothing_is_left(lab):
    """Check that no process of a run goes on, and no folder of one is in the store."""
    wait_until(lambda: not any(is_alive(pid) for _, pid in lab.started), 60)
    wait_until(lambda: not list(lab.root.glob(".exprun/trees/runs/*")), 20)


def test_states_and_the_sessions_own_files_side_by_side(lab):
    """Each run has the modules of its own state, by the path that the session knows it by; each ground hears of its own runs."""
    tasks = [lab.task(name, seed) for seed in (42, 137, 256) for name in ("main", "", "better")]
    found = lab.run(*tasks)
    assert {key: failure(result) for key, result in found.items()} == dict.fromkeys(found)
    rates = {"main": 2.0, "better": 1.0, "": 8.0}
    assert {key: result.metrics["val_loss"] for key, result in found.items()} == {
        (name, seed): rate + seed / 1000 for name, rate in rates.items() for seed in (42, 137, 256)
    }
    for name in ("main", "better"):
        root = lab.ground(name).settings.root
        assert root.parent == lab.root / ".exprun" / "trees"
        assert found[name, 42].notes["module"] == str(root / "rate.py")
        assert (found[name, 42].notes["cwd"], found[name, 42].notes["first"]) == (str(root), str(root))
        assert {root / "rate.py", root / "wild.py"} <= set(lab.ground(name).heard.sources(root))
    nothing_is_left(lab)


def test_a_run_is_what_it_is_in_a_process_of_this_machine(lab):
    """Results to the last bit, and what the run asked for."""
    results, heard, executor = [], [], lab.executor
    for each in (executor, Processes(lab.here, Surroundings(lab.notices.append))):
        lab.executor = each
        lab.fresh()
        result, ground = lab.one("better", "--how=read_data"), lab.ground("better")
        assert failure(result) is None
        results.append(
            (result.metrics, {**result.notes, "gpu": ""}, result.curve, result.provenance.get("wrote_outside"))
        )
        heard.append({kind: set(names) for kind, names in ground.heard.told(ground.settings.root).items()})
    lab.executor = executor
    assert results[0] == results[1]
    assert heard[0] == heard[1]
    assert "data/numbers.txt" in heard[0]["r"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("new", "No module named 'new'"),
        ("outsider", "home/new.py from the working tree and not from the state that is judged"),
        ("trespass", "home/left.txt, which belongs to the session and not to the state that is judged"),
        ("die", "its process ended with exit status 7 and no result, 2 times"),
        ("kill", "its process was killed by SIGKILL, 2 times; its output ended: the last words"),
    ],
)
def test_what_goes_wrong_is_that_runs_error(lab, how, said):
    """Ray's copy of the session's root has a module that the state lacks; others go on."""
    found = lab.run(lab.task("main", 42, f"--how={how}"), lab.task("better", 42))
    assert said in failure(found["main", 42])
    assert failure(found["better", 42]) is None
    nothing_is_left(lab)


def test_a_killed_run_on_a_tree_is_tried_once_more(lab):
    """In a new folder."""
    result = lab.one("better", "--how=kill_once")
    assert failure(result) is None
    assert result.provenance["earlier_attempts"] == ["its process was killed by SIGKILL"]
    assert result.metrics["val_loss"] == 1.042
    assert len(lab.started) == 2
    nothing_is_left(lab)


def test_a_lost_ray_worker_costs_one_attempt(lab):
    """Where Ray's own process dies, as with its machine, the run is tried once more, and its first folder goes."""
    killed = []

    def hear(*_):
        if not killed:
            killed.extend(pid for _, pid in lab.started)
            os.kill(int(Path(f"/proc/{killed[0]}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)

    (result,) = lab.run(lab.task("better", 42, "--slow=0.2", "--lines=5"), hear=hear).values()
    assert failure(result) is None
    (why,) = result.provenance["earlier_attempts"]
    assert why.startswith("its Ray worker was lost (")
    nothing_is_left(lab)


def test_ctrl_c_leaves_nothing(lab):
    """What runs ends, what is queued never starts, and no folder is left in the store."""

    def ctrl_c(*_):
        os.kill(os.getpid(), signal.SIGINT)

    tasks = [lab.task(name, seed, "--slow=0.5", "--lines=100") for seed in range(4) for name in ("main", "better")]
    with pytest.raises(KeyboardInterrupt):
        lab.run(*tasks, hear=ctrl_c)
    nothing_is_left(lab)
    started = len(lab.started)
    time.sleep(3)
    assert len(lab.started) == started < 8


def test_a_machine_that_does_not_see_the_tree_trains_nothing(lab):
    """One line with the folder, the machine and the fix; the other state is trained."""
    tasks = [lab.task(name, 42) for name in ("main", "better")]
    gone = tasks[0].ground.settings.root
    gone.rename(gone.with_name("elsewhere"))
    found = lab.run(*tasks)
    gone.with_name("elsewhere").rename(gone)
    told = failure(found["main", 42])
    assert f"the machine {socket.gethostname()} of the Ray cluster does not see {gone}, " in told
    assert (
        "put the store (exprun_store), and what exprun_shared names, on a file system that all machines share" in told
    )
    assert "\n" not in told
    assert failure(found["better", 42]) is None
    assert [seed for seed, _ in lab.started] == [42]


COMMAND = "exprun_command = python train.py --seed={seed} --max_iters={steps} --out_dir={output_dir} {flags}\nexprun_budget = 40 steps\n"
KINDS = {
    "function": (toy(), "exprun_trainer = toy:main\nexprun_tokens = 20000\n", ("toy.py", "2.6", "2.5", "2.7")),
    "command": (nano(), COMMAND, ("train.py", "0.5", "1.0", "0.25")),
}


@pytest.fixture
def no_cluster(monkeypatch):
    """Have sessions start a cluster of their own, whatever this process has joined."""
    for variable in [each for each in os.environ if each.startswith("RAY_")]:
        monkeypatch.delenv(variable)


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_judges_as_one_of_processes(tmp_path, kind):
    """Two ideas at once: the same keys, records, figures and words; nothing is left in the root."""
    files, ini, (name, old, better, worse) = KINDS[kind]
    answers, records, opened = {}, {}, {}
    for executor in ("processes", "ray"):
        root = tmp_path / executor
        root.mkdir()
        lab = Checkout(root)
        lab.commit("first", **{**files, "pytest.ini": f"[pytest]\nexprun_plots = off\n{ini}", ".gitignore": IGNORED})
        lab.branch("better", **{name: files[name].replace(old, better)})
        lab.branch("worse", **{name: files[name].replace(old, worse)})
        before = {path.name for path in root.iterdir()}
        given = ("--executor=processes", "--jobs=2") if executor == "processes" else ("--executor=ray",)
        out, err = shell("try", "better", "worse", "--json", *given, cwd=root).communicate(timeout=300)
        found = json.loads(out)["comparisons"]
        assert [each["verdict"] for each in found] == ["WINNER", "LOSER"], err
        answers[executor] = [{key: each[key] for key in each if key != "compared"} for each in found]
        found = {path.relative_to(root / ".exprun"): stored(path) for path in root.glob(".exprun/*/*/seed-*.json")}
        records[executor] = {name: judged(record) for name, record in found.items()}
        # A run is stored with what the runs of its state have asked for by then: in whatever order they end, all of it is the same.
        opened[executor] = {(name.parent, *each) for name, record in found.items() for each in record["opened"].items()}
        assert {path.name for path in root.iterdir()} - before <= {".exprun", "docs", "__pycache__"}
    assert answers["ray"] == answers["processes"]
    assert len(records["ray"]) == 11
    assert records["ray"] == records["processes"]
    assert opened["ray"] == opened["processes"]


@pytest.mark.usefixtures("no_cluster")
def test_planted_commits_get_the_words_that_they_deserve(tmp_path, monkeypatch):
    """Twenty states in one session on one baseline; what breaks one breaks no other."""
    here = "exprun_executor = processes\nexprun_jobs = 2\n"
    assert here in commits.INI
    monkeypatch.setattr(commits, "INI", commits.INI.replace(here, "exprun_executor = ray\n"))
    each_gets_its_word(tmp_path, "toy")


def stored(path: Path) -> dict:
    """Return a record."""
    return json.loads(path.read_text(encoding="utf-8"))["record"]


def judged(record: dict) -> dict:
    """Return what a record says that no clock measured, nor says who performed the run."""
    run = record["run"]
    return {
        "key": record["key"],
        "metrics": {name: value for name, value in run["metrics"].items() if name not in CLOCKS},
        "curve": run["curve"],
        "notes": run["notes"],
        "provenance": {name: value for name, value in run["provenance"].items() if name not in {*CLOCKS, *PERFORMED}},
    }
