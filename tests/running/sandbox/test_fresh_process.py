"""A run leaves the process as it found it, and starts as in a fresh one."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.running.sandbox.fresh_process import preserved_process_state

ROOT = Path(__file__).parents[3]


def test_everything_is_restored_when_the_run_raises():
    """An exception passes through unchanged, after the state is back."""
    before = Path.cwd()

    def train():
        os.chdir("/")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), preserved_process_state():
        train()
    assert Path.cwd() == before


def test_a_deleted_working_directory(tmp_path, monkeypatch):
    """A session whose directory is gone can still run and be restored."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with preserved_process_state():
        os.chdir("/")


TRAINER = """
import os, random, sys
import numpy as np
import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
os.environ["TRAINER_MODE"] = "fast"
np.random.seed(7)  # at import, on purpose


def main(seed, leak=False):
    random.seed(seed)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    rate = random.random()
    for _ in range(5):
        loss = (model(torch.randn(16, 4)) - torch.as_tensor(np.random.rand(16, 1))).square().mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients):  # torch.optim takes a second to load
            parameter.data -= rate * gradient
    result = [loss.item().hex(), torch.get_num_threads(), os.environ["TRAINER_MODE"], str(torch.get_default_dtype())]
    if leak:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(True)
        torch.nn.Tanh.forward = lambda self, x: x
        torch.tanh = torch.sin
        np.random.seed(0)
        os.environ["TRAINER_MODE"] = "broken"
        random.random = lambda: 0.5
        torch.set_grad_enabled(False)
    return result
"""


@pytest.fixture
def trainer_folder(tmp_path):
    """Return a folder with a trainer that sets things while it is imported, and leaks."""
    (tmp_path / "leaky_trainer.py").write_text(TRAINER, encoding="utf-8")
    return tmp_path


SHUFFLED = """
import json, random, sys
sys.path.insert(0, sys.argv[1])
from pytest_exprun.running.sandbox.fresh_process import preserved_process_state
def run(seed, leak):
    with preserved_process_state():
        import leaky_trainer
        return leaky_trainer.main(seed, leak)
seeds = [seed for seed in json.loads(sys.argv[2]) for _ in range(int(sys.argv[3]))]
random.Random(1).shuffle(seeds)
results = {}
for number, seed in enumerate(seeds):
    results.setdefault(seed, set()).add(tuple(run(seed, leak=number % 3 > 0)))
print(json.dumps({seed: sorted(found) for seed, found in results.items()}))
"""


def python(code, *arguments):
    """Run source in a fresh process; return what it printed, as JSON."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def fresh(folder, seed):
    """Train one seed in a process of its own, without this plugin."""
    code = "import json, sys; sys.path.insert(0, sys.argv[1]); import leaky_trainer as t; print(json.dumps(t.main(int(sys.argv[2]))))"
    return python(code, folder, seed)


def test_runs_in_one_process_equal_fresh_processes(trainer_folder):
    """Shuffled runs of one process, two in three of them leaking, equal fresh processes bit for bit."""
    seeds = [42, 137]
    found = python(SHUFFLED, trainer_folder, json.dumps(seeds), 8)
    assert {seed: [fresh(trainer_folder, seed)] for seed in seeds} == {int(seed): runs for seed, runs in found.items()}


@pytest.mark.slow
def test_runs_in_one_process_equal_fresh_processes_for_many_seeds(trainer_folder):
    """The same with a hundred runs, of twenty seeds."""
    seeds = list(range(20))
    found = python(SHUFFLED, trainer_folder, json.dumps(seeds), 5)
    assert {seed: [fresh(trainer_folder, seed)] for seed in seeds} == {int(seed): runs for seed, runs in found.items()}


def test_without_the_guard_they_do_not(trainer_folder):
    """The proof can fail: the same runs without isolation give several results for one seed."""
    unguarded = SHUFFLED.replace("with preserved_process_state():", "if True:").replace(
        "leak=number % 3 > 0", "leak=False"
    )
    found = python(unguarded, trainer_folder, "[42]", 10)
    assert len(found["42"]) > 1


def test_generators_start_as_the_system_seeds_them():
    """A trainer that forgets to seed is not made to look reproducible by the plugin."""
    np, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    drawn = []
    for _ in range(3):
        with preserved_process_state():
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert all(len(set(column)) == 3 for column in zip(*drawn, strict=True))


def test_a_stale_compiled_file_is_not_executed(tmp_path, monkeypatch):
    """An edit within the same second that keeps the size passes Python's own check; a run executes the source all the same."""
    path = tmp_path / "quick_edit.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for guarded, value in ((False, 1), (True, 2)):
        path.write_text(f"X = {value}\n", encoding="utf-8")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        with preserved_process_state() if guarded else contextlib.nullcontext():
            found = __import__("quick_edit").X
        del sys.modules["quick_edit"]
    assert found == 2
    assert __import__("quick_edit").X == 1, "without the guard Python takes the compiled file, so the proof could fail"
    del sys.modules["quick_edit"]


def test_signals_still_end_a_guarded_run():
    """Ctrl-C in a run passes through the guard."""
    with pytest.raises(KeyboardInterrupt), preserved_process_state():
        signal.raise_signal(signal.SIGINT)


def test_a_module_loaded_from_its_file_is_executed_from_source(tmp_path, monkeypatch):
    """A plugin that no finder has found (`spec_from_file_location`) counts as it is written, too."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "plugin.py"
    found = []
    for value in (1, 2):
        path.write_text(f"X = {value}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        spec = importlib.util.spec_from_file_location("plugin", path)
        module = importlib.util.module_from_spec(spec)
        with preserved_process_state() if found else contextlib.nullcontext():
            spec.loader.exec_module(module)
        found.append(module.X)
    assert found == [1, 2]


def test_a_folder_runs_as_a_program(tmp_path):
    """`runpy` asks the loader of its main module for the code."""
    (tmp_path / "__main__.py").write_text("X = 1\n", encoding="utf-8")
    with preserved_process_state():
        assert runpy.run_path(str(tmp_path))["X"] == 1
