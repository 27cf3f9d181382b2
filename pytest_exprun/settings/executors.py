"""The executors by name, a row each: the one place that knows their names. A new one is a row here and a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ExecutorKind:
    """One kind of executor.

    Attributes:
        place: module and class, imported at the first use.
        at_once: how many runs it performs at the same time: one, as many as `exprun_jobs` says, or as many as it has room for.
        about: what it does, for the help.
        here: runs are performed in this process, so that it has the modules that they import.
        trees: runs are performed where their task says, which may be another state of the files. A class of the user's has an attribute of
            this name.
    """

    place: str
    at_once: Literal["one", "jobs", "many"] = "many"
    about: str = ""
    here: bool = False
    trees: bool = False


_ROOM = "pytest_exprun.running.executors"
EXECUTORS: Mapping[str, ExecutorKind] = {
    "inprocess": ExecutorKind(f"{_ROOM}.inprocess:InProcess", "one", "one after the other", here=True, trees=True),
    "processes": ExecutorKind(f"{_ROOM}.processes:Processes", "jobs", "each in a fresh one", trees=True),
    "ray": ExecutorKind(f"{_ROOM}.ray:RayExecutor", "many", "a cluster", trees=True),
}


def executor_kind(name: str) -> ExecutorKind:
    """Return what is known of an executor; of one of the user's, `module:Class`, the most cautious that can be."""
    return EXECUTORS.get(name) or ExecutorKind(name)
