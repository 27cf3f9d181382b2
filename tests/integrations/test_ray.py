"""The executor `ray` on a local cluster of two processors: `make integrations`."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from pytest_exprun.running.executors.contract import failure
from pytest_exprun.terms.errors import SettingsError
from tests.executor_contract import ExecutorContract, Lab, is_alive, wait_until

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.filterwarnings("ignore")


class TestRay(ExecutorContract):
    """Ray keeps the contract of all executors; its queue is its own, so tasks are taken as they come."""

    name = "ray"
    at_once = 1000

    @pytest.fixture(scope="class")
    def cluster(self, tmp_path_factory):
        """Return a lab whose folder is the cluster's working directory; Ray takes seconds to start, so there is one for all."""
        root = tmp_path_factory.mktemp("ray")
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("RAY_ADDRESS", raising=False)
            patch.setenv("WILD_TRACES", str(root))  # the trainer runs from Ray's copy of the folder
            yield Lab(root, "ray")
        ray.shutdown()

    @pytest.fixture
    def lab(self, cluster):
        """Return the lab without traces of other tests."""
        (cluster.root / "started").unlink(missing_ok=True)
        cluster.notices.clear()
        cluster.points.clear()
        return cluster

    def nothing_runs(self, lab):
        """A run's folder is on the machine that performed it: here only processes can be looked for."""
        wait_until(lambda: not any(is_alive(pid) for _, pid, _ in lab.started if pid != os.getpid()), 60)

    def test_a_killed_run_is_tried_once_more(self, lab):
        """SIGKILL from outside costs one attempt; the record says so."""
        kept = lab.run("--how=kill_once", "--at=137")
        assert {seed: failure(result) for seed, result in kept.items()} == {42: None, 137: None, 256: None}
        assert kept[137].provenance["attempts"] == 2
        assert kept[137].provenance["earlier_attempts"] == ["its process was killed by SIGKILL"]
        assert [kept[seed].provenance["attempts"] for seed in (42, 256)] == [1, 1]

    def test_more_than_the_cluster_has_is_refused_at_once(self, lab, tmp_path):
        """A run that would wait for ever is one clear line within seconds of the cluster's start."""
        lab.run(seeds=(42,))
        greedy = Lab(tmp_path, "ray", ray_resources="num_cpus=1 num_gpus=64")
        started = time.monotonic()
        with pytest.raises(SettingsError, match="no machine of the cluster has that much for one run"):
            greedy.run(seeds=(42,))
        assert time.monotonic() - started < 30

    def test_a_lost_ray_worker_costs_one_attempt(self, lab):
        """Where Ray's own process dies, as with its machine, the run dies with it and is tried once more."""
        killed = []

        def hear(spec, _point):
            if spec.seed == 137 and not killed:
                killed.extend(pid for seed, pid, _ in lab.started if seed == 137)
                os.kill(parent(killed[0]), signal.SIGKILL)

        with contextlib.closing(lab.executor.run(iter(lab.tasks("--slow=0.2", "--lines=5")), hear)) as results:
            kept = {result.spec.seed: result for result in results}
        assert {seed: failure(result) for seed, result in kept.items()} == {42: None, 137: None, 256: None}
        assert kept[137].provenance["attempts"] == 2
        (why,) = kept[137].provenance["earlier_attempts"]
        assert why.startswith("its Ray worker was lost (")
        assert any("seed 137" in notice and "it is tried once more" in notice for notice in lab.notices)
        wait_until(lambda: not is_alive(killed[0]), 20)

    def test_progress_is_heard_while_the_run_trains(self, lab):
        """Lines come back when they are printed, not with the result."""
        heard = []
        tasks = iter(lab.tasks("--slow=1", seeds=(42,)))
        with contextlib.closing(lab.executor.run(tasks, lambda *_: heard.append(time.monotonic()))) as results:
            list(results)
        assert len(heard) == 3
        assert heard[-1] - heard[0] > 1

    def test_closing_cancels_what_is_queued(self, lab):
        """After Ctrl-C nothing is left running and nothing starts later."""

        def ctrl_c(*_):
            os.kill(os.getpid(), signal.SIGINT)

        tasks = iter(lab.tasks("--slow=0.5", "--lines=100", seeds=range(6)))
        with contextlib.closing(lab.executor.run(tasks, ctrl_c)) as results, pytest.raises(KeyboardInterrupt):
            next(results)
        self.nothing_runs(lab)
        started = len(lab.started)
        time.sleep(3)
        assert len(lab.started) == started < 6


def parent(pid: int) -> int:
    """Return the process that started another."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
