"""Performs one run in a process of its own, wherever that is. Needs no pytest.

    python -m pytest_exprun.running.executors.worker [DESCRIPTOR]

Plain data in, plain data out. Standard input holds one job as a JSON object and nothing more:

    do          "run", or "check" to ask the trainer about flags
    settings    the options (`Settings.to_json`), root the directory that their paths start from; home, for a run on a tree, the session's
    path        where modules are looked for before the interpreter's own places
    secrets     digest -> value of what looks like a secret among flags and variables (`terms.secrets`)
    specs       the runs (`RunSpec.to_json`); "run" has one
    output_dir  of "run": an existing folder for it to write in

Events, one JSON object a line, go to the given descriptor or else to standard output; the trainer's own output stays apart from them:

    {"event": "point", "step": 100, "values": {"val_loss": 2.1}}      a progress line
    {"event": "result", "result": ..., "heard": {...}}    the run, and what it asked for (`OpenedFiles.told`)
    {"event": "answers", "answers": [null, "why not"]}                to "check"
    {"event": "error", "message": "..."}                              the run cannot be trusted

A process that ends without one of the last three has crashed.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_exprun.running.executors.contract import described
from pytest_exprun.running.sandbox.escapes import ENDING
from pytest_exprun.running.sandbox.leftovers import children

# All of the package that a run needs is imported here: what is imported while a run is on would count as read by it.
from pytest_exprun.running.training import trainers
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.curves import LIVE_SECONDS, Room
from pytest_exprun.terms.errors import ExprunError, TrainerError
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.terms.outcome import CurvePoint
from pytest_exprun.terms.secrets import remember
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.files.places import counts, import_path, is_at_home, not_of_the_tree
from pytest_exprun.trust.files.started_python import run_from_source
from pytest_exprun.trust.files.stray_writes import LEFT, with_writes
from pytest_exprun.trust.trees.shared import missing, refuse_trespass, told_by

Emit = Callable[[Mapping[str, Any]], None]


def main() -> int:
    """Do the job on standard input; the exit status is 0 if it could be reported how it went."""
    ENDING.alone = True
    emit = _emitter()
    job = json.loads(sys.stdin.buffer.readline())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path[:] = [*job.get("path", []), *(entry for entry in sys.path if entry not in job.get("path", []))]
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(
            signal.SIGUSR1, file=sys.stderr, all_threads=True
        )  # asked for before a run is ended at its time limit
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # the log of a killed run ends with its last line
    try:
        perform(job, emit)
    except ExprunError as error:
        emit({"event": "error", "message": described(error)})
    return 0


def _emitter() -> Emit:
    """Return how events are sent. Without a descriptor for them they have standard output, and the trainer prints to standard error."""
    descriptor = int(sys.argv[1]) if len(sys.argv) > 1 else os.dup(1)
    if len(sys.argv) == 1:
        os.dup2(2, 1)
    os.set_inheritable(descriptor, False)  # noqa: FBT003  # a child of the trainer must not keep the channel open
    channel = os.fdopen(descriptor, "w", encoding="utf-8")

    def emit(event: Mapping[str, Any]) -> None:
        channel.write(json.dumps(event, allow_nan=False) + "\n")
        channel.flush()

    return emit


def perform(job: Mapping[str, Any], emit: Emit) -> None:
    """Do a job and emit its events.

    Raises:
        ExprunError: the run cannot be trusted, or the job cannot be meant.
    """
    remember(job.get("secrets", {}))
    root = Path(job["root"])
    run_from_source(str(root.resolve()) + os.sep)
    settings = Settings.from_json(job["settings"], root, Path(job["home"]) if job.get("home") else None)
    _stand_on_tree(settings)
    trainer = trainers.from_settings(settings)
    specs = [RunSpec.from_json(spec) for spec in job["specs"]]
    if job["do"] == "check":
        emit({"event": "answers", "answers": [trainer.rejects(spec) for spec in specs]})
        return

    output_dir = Path(job["output_dir"])
    try:
        with OPENED.recording(root) as files:
            result = trainer.run(specs[0], output_dir, _telling(emit, settings.metric))
    except TrainerError as error:
        raise _with_what_is_missing(error, settings) from error.__cause__
    if settings.home:
        if strangers := _of_another_state(settings):
            raise TrainerError(not_of_the_tree(strangers, settings))
        refuse_trespass(files, settings, output_dir)
        # The commit that git names in a tree's folder is the session's.
        result = replace(result, provenance={**result.provenance, "commit": None})
    result = with_writes(result, files, settings, output_dir)
    if left := len(list(children())):
        result = replace(result, provenance={**result.provenance, LEFT: left})
    emit({"event": "result", "result": result.to_json(), "heard": told_by(OPENED, settings)})


def _stand_on_tree(settings: Settings) -> None:
    """Have this process, and the Pythons that it starts, find the tree's modules where the session's own would be found."""
    if settings.home is None:
        return
    sys.path[:] = import_path(settings, sys.path)
    told = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(import_path(settings, told))


def _with_what_is_missing(error: TrainerError, settings: Settings) -> TrainerError:
    """Add to an error on a tree which data it may have for a cause, as git ignores them."""
    hint = missing(OPENED.told(settings.root), settings) if settings.home else ""
    return TrainerError(f"{error}; {hint}") if hint else error


def _of_another_state(settings: Settings) -> list[Path]:
    """Name the sources that ran and lie in the session's root, where only a tree's own should have."""
    assert settings.home is not None
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    loaded = {Path(file) for file in files if isinstance(file, str)} | set(OPENED.sources(settings.home))
    return sorted(path for path in loaded if counts(str(path), str(settings.home)) and is_at_home(str(path), settings))


def _telling(emit: Emit, metric: str) -> Callable[[CurvePoint], None]:
    """Return what sends points: all that are kept, and of the others as many as a live line can show."""
    room, spoke_at = Room(metric), 0.0

    def hear(point: CurvePoint) -> None:
        nonlocal spoke_at
        if room.admits(point) or time.monotonic() - spoke_at > LIVE_SECONDS:
            spoke_at = time.monotonic()
            emit({"event": "point", "step": point.step, "values": dict(point.values)})

    return hear


if __name__ == "__main__":
    sys.exit(main())
