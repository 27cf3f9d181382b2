"""The executor `ray` on a local cluster of two processors: `make integrations`."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from pytest_exprun.errors import SettingsError
from pytest_exprun.executors import failure
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

    def test_closing_cancels_what_is_queued(self, lab):
        """After Ctrl-C nothing is left running and nothing starts later."""
        with contextlib.closing(lab.executor.run(iter(lab.tasks("--slow=60", seeds=range(6))), lab.hear)) as results:
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, 30.0)
            with pytest.raises(KeyboardInterrupt):
                next(results)
        self.nothing_runs(lab)


def test_a_session_without_ray_is_told_what_to_install(tmp_path, monkeypatch):
    """One line, with the command."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"ray is not installed; pip install 'pytest-exprun\[ray\]'"):
        Lab(tmp_path, "ray").run(seeds=(42,))
