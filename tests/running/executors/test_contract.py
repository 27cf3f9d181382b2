"""An executor is found by its name, and what a run's error says."""

from __future__ import annotations

import pytest

from pytest_exprun.running.executors.contract import Surroundings, check_trees, from_settings, out_of_memory
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere_to_be_found:Executor", "No module named 'nowhere_to_be_found'"),
        ("pytest_exprun.terms.outcome:Arm", "no executor Arm, a class with the methods run and rejects"),
        ("pytest_exprun.terms.outcome:Nobody", "no executor Nobody"),
    ],
)
def test_an_executor_that_does_not_exist_is_one_line(tmp_path, name, words):
    """It names the key, the value and what is missing."""
    settings = Settings.read({"executor": name}, tmp_path)
    with pytest.raises(SettingsError, match=r"^exprun_executor = ") as caught:
        from_settings(settings, Surroundings(print))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_executor_is_found_by_module_and_class(tmp_path):
    """Anything with the two methods will do."""
    settings = Settings.read({"executor": "pytest_exprun.running.executors.inprocess:InProcess"}, tmp_path)
    assert type(from_settings(settings, Surroundings(print))).__name__ == "InProcess"


class Elsewhere:
    """An executor that knows nothing of trees."""

    rejects = run = print


class OnTrees(Elsewhere):
    """One that says it performs a task where that says."""

    trees = True


def test_an_executor_that_would_train_other_files_is_refused(tmp_path):
    """One line says which can train another state of them."""
    with pytest.raises(
        SettingsError,
        match=r"^exprun_executor = .*trains the files of the session.*inprocess, processes, ray, and module:Class",
    ):
        check_trees(Settings.read({"executor": f"{__name__}:Elsewhere"}, tmp_path))


@pytest.mark.parametrize("name", ["inprocess", "processes", "ray", f"{__name__}:OnTrees"])
def test_one_that_can_is_not(tmp_path, name):
    """Ours, and whose author says so."""
    check_trees(Settings.read({"executor": name}, tmp_path))


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (None, False),
    ],
)
def test_out_of_memory_is_recognised(error, is_memory):
    """Python's own, torch's on both devices, and nothing else."""
    assert out_of_memory(error) is is_memory
