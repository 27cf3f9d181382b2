"""What Ray calls on a machine of its cluster, by its name: does one job there, in the module `worker` beside this one."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exprun.running.executors.child import Child, surroundings
from pytest_exprun.running.sandbox.supervision import wait_for
from pytest_exprun.running.sandbox.watchdog import Guard
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.trust.files.places import is_below
from pytest_exprun.trust.files.run_directory import run_directory


def perform(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Do one job in a process of this machine and yield its events, its output among them; runs where Ray puts it.

    Beside what a worker's job has: `directory` is the name of a folder to make here for a run, `seen` what a run on a tree needs, and
    `path` is from the root. The last event is that of `Child.last_word`.
    """
    if unseen := _unseen(job):
        yield {"event": "error", "message": unseen, "unstarted": True}
        return
    on_tree, copy = bool(job["home"]), Path.cwd()
    root = Path(job["root"]) if on_tree else copy
    settings = Settings.from_json(job["settings"], root)
    told: dict[str, Any] = {**job, "root": str(root), "path": [str(root / each) for each in job["path"]]}
    pending = bytearray()
    with contextlib.ExitStack() as resources:
        guard = resources.enter_context(contextlib.closing(Guard()))
        if "directory" in job:
            made = run_directory(settings.path("checkpoint_dir"), job["directory"])
            told["output_dir"] = str(resources.enter_context(made))
        environment, options = _without(copy, surroundings()) if on_tree else (surroundings(), ())
        child = Child(told, environment, guard, on_output=pending.extend, timeout=settings.timeout, options=options)
        resources.callback(child.close)
        yield {"event": "started", "pid": child.pid}
        ended = False
        while not ended:
            wait_for([child])
            ended = child.ended
            for event in child.events():  # Ray calls `send` on what `yield from` is given, so no iterator will do
                yield dict(event)
            if pending:
                yield {"event": "output", "text": pending.decode("utf-8", "replace")}
                pending.clear()
        yield dict(child.last_word())


def _unseen(job: Mapping[str, Any]) -> str | None:
    """Say what a run on a tree needs and this machine does not see, and what to do; None if it sees all."""
    missing = [each for each in job.get("seen", ()) if not Path(each).exists()]
    if job["home"] and os.path.realpath(job["root"]) != job["root"]:  # what a run opens is compared with it by its name
        missing.insert(0, job["root"])
    if not missing:
        return None
    (spec,) = map(RunSpec.from_json, job["specs"])
    return (
        f"seed {spec.seed} of {spec.variant}: the machine {socket.gethostname()} of the Ray cluster does not see {missing[0]}, which "
        "runs on states of the code need there: put the store (exprun_store), and what exprun_shared names, on a file system that all "
        "machines share, at the same path"
    )


def _without(copy: Path, environment: dict[str, str]) -> tuple[dict[str, str], Sequence[str]]:
    """Return what keeps a Python from finding modules in Ray's copy of the session's root, its working directory: variables, options."""
    entries = environment.get("PYTHONPATH", "").split(os.pathsep)
    others = [each for each in entries if not is_below(os.path.realpath(each), os.path.realpath(copy))]
    return {**environment, "PYTHONPATH": os.pathsep.join(others)}, ["-P"]
