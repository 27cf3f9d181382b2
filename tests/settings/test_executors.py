"""The table of executors: each can be made, and what the settings say about it follows from its row."""

from __future__ import annotations

import importlib
import inspect

import pytest

from pytest_exprun.settings.executors import EXECUTORS, executor_kind
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError


@pytest.mark.parametrize("name", EXECUTORS)
def test_each_row_names_a_class_that_is_an_executor(name):
    """Its module can be imported without what it needs at work, and it has the two methods."""
    module, _, cls = EXECUTORS[name].place.partition(":")
    executor = getattr(importlib.import_module(module), cls)
    assert inspect.isgeneratorfunction(executor.run)
    assert callable(executor.rejects)
    assert executor_kind(name).about


@pytest.mark.parametrize(
    ("executor", "several", "with_jobs", "here"),
    [
        ("inprocess", False, None, True),
        ("processes", False, True, False),
        ("ray", True, True, False),
        ("mine:Cluster", True, True, False),
    ],
)
def test_what_is_true_of_an_executor(tmp_path, executor, several, with_jobs, here):
    """Of the user's own nothing is known: it may perform several runs, elsewhere, whatever exprun_jobs says."""
    settings = Settings.read({"executor": executor}, tmp_path)
    assert (settings.several_at_once, settings.trains_here) == (several, here)
    if with_jobs is None:
        with pytest.raises(
            SettingsError, match=r"executor inprocess trains one run after the other; set .* = processes"
        ):
            Settings.read({"executor": executor, "jobs": "2"}, tmp_path)
    else:
        assert Settings.read({"executor": executor, "jobs": "2"}, tmp_path).several_at_once is with_jobs


def test_a_command_is_never_performed_by_this_process(tmp_path):
    """The default executor starts it, and has none of its modules."""
    command = {"command": "python t.py {seed} {output_dir} {flags}", "budget": "1 steps"}
    assert not Settings.read(command, tmp_path).trains_here
