"""The clocks of a run and what is known of its machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest

from pytest_exprun.running.training import stopwatch
from pytest_exprun.running.training.stopwatch import Stopwatch
from tests import desk


def test_a_run_is_measured_from_start_to_stop():
    """Wall time, CPU time of this process and of its finished children, and the facts that a record holds."""
    watch = Stopwatch()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    busy = "import time\nuntil = time.process_time() + 0.1\nwhile time.process_time() < until: pass"
    subprocess.run([sys.executable, "-S", "-c", busy], check=True)
    found = watch.stop(threads=3)
    assert found["cpu_time"] > 0.105  # 0.15, of which the kernel cuts off up to a hundredth in each of four counters
    assert found["wall_time"] >= 0.1
    assert (found["threads"], found["concurrency"]) == (3, 1)
    assert found["started"].endswith("+00:00")
    assert {"python", "torch", "numpy", "cpu", "isa", "gpu", "platform", "commit", "host"} <= set(found)
    json.dumps(found, allow_nan=False)


def test_the_commit_is_that_of_the_working_directory(tmp_path, monkeypatch):
    """Also below its top; None outside git, whatever repository this process worked in before."""
    desk.write(tmp_path / "here" / "below" / "a.txt", "a")
    desk.commit(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here" / "below")
    assert re.fullmatch("[0-9a-f]{12}", Stopwatch().stop()["commit"])
    monkeypatch.chdir(tmp_path)
    assert Stopwatch().stop()["commit"] is None


def test_threads_are_asked_of_torch_if_the_trainer_does_not_say(monkeypatch):
    """A process without torch knows of none."""

    class Torch:
        get_num_threads = staticmethod(lambda: 7)
        cuda = type("cuda", (), {"is_initialized": staticmethod(lambda: False)})

    monkeypatch.setitem(sys.modules, "torch", Torch)
    assert Stopwatch().stop()["threads"] == 7
    monkeypatch.delitem(sys.modules, "torch")
    assert {name: Stopwatch().stop()[name] for name in ("threads", "torch", "gpu")} == dict.fromkeys(
        ("threads", "torch", "gpu")
    )


@pytest.mark.parametrize(
    ("ticks", "seconds", "others"),
    [
        ((100, 500), (2.0, 1.0), 1.5),
        ((100, 200), (2.0, 3.0), 0),
        ((100, 500), (0.5, 0.1), None),
        ((None, 500), (2, 1), None),
    ],
)
def test_other_busy_cores_are_what_the_machine_did_beside_us(monkeypatch, ticks, seconds, others):
    """Unknown where the kernel does not tell, or where the run was too short for its clock."""
    monkeypatch.setattr(stopwatch, "_busy_jiffies", lambda: ticks[1])
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    assert stopwatch._other_busy_cores(ticks[0], *seconds) == others
