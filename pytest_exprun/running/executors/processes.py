"""Each run in a fresh process, several at once: `exprun_executor = processes`, `exprun_jobs`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_exprun.running.executors.child import Child, Guard, oom_kills, wait_for
from pytest_exprun.running.executors.contract import OnPoint, Surroundings, Task, ended_like_ctrl_c, failed
from pytest_exprun.running.sandbox.run_directory import run_directory
from pytest_exprun.running.sandbox.run_log import RunLog
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import CurvePoint, RunResult, RunSpec
from pytest_exprun.terms.settings import Settings
from pytest_exprun.trust.files.accesses import OPENED

ATTEMPTS = 2
"""How often a run may be tried whose process was killed or crashed. What the trainer itself reports wrong is not tried again."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass
class _Attempt:
    """One run that is under way."""

    task: Task
    slot: int
    log: RunLog
    child: Child
    resources: contextlib.ExitStack
    oom_kills: int | None
    earlier: list[str] = field(default_factory=list)
    beside: int = 0


class Processes:
    """Performs up to `exprun_jobs` runs at a time; a run that fails does not stop the others."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings, self._surroundings = settings, surroundings

    def rejects(self, specs: Sequence[RunSpec]) -> list[str | None]:
        """Ask the trainer's own parser, in a process of its own: this one never imports the trainer."""
        output = bytearray()
        with contextlib.closing(Guard()) as guard:
            child = Child(
                {**job(self._settings, sys.path), "do": "check", "specs": [spec.to_json() for spec in specs]},
                self._environment(0),
                str(Path.cwd()),
                guard,
                on_output=output.extend,
                timeout=self._settings.timeout,
            )
            with contextlib.closing(_Killed(child)):
                _drain(child)
        answer = child.final or {}
        if answer.get("event") == "answers":
            return list(answer["answers"])
        why = answer.get("message") or f"asking the trainer about its flags: its process {child.how_it_ended()}"
        raise TrainerError("\n".join([why, bytes(output[-2000:]).decode("utf-8", "replace").rstrip()]).rstrip())

    def run(self, tasks: Iterable[Task], on_point: OnPoint) -> Generator[RunResult]:
        """Start runs while there is room, and yield each result when it is known."""
        waiting = iter(tasks)
        with ended_like_ctrl_c(), contextlib.ExitStack() as everything:
            if not (checkpoints := self._settings.path("checkpoint_dir")).exists():
                everything.callback(_remove_empty, checkpoints)
            guard = everything.enter_context(contextlib.closing(Guard()))
            active: dict[int, _Attempt] = {}
            while True:
                for slot in sorted(set(range(self._settings.jobs)) - set(active)):
                    if (task := next(waiting, None)) is not None:
                        active[slot] = self._start(task, slot, guard, everything)
                if not active:
                    return
                for attempt in active.values():
                    attempt.beside = max(attempt.beside, len(active) - 1)
                wait_for(attempt.child for attempt in active.values())
                for attempt in list(active.values()):
                    _pass_on(attempt, on_point)
                    if attempt.child.ended:
                        _pass_on(attempt, on_point)
                        again = self._retried(attempt, guard, everything)
                        if again is not None:
                            active[attempt.slot] = again
                            continue
                        del active[attempt.slot]
                        with attempt.resources:  # the directory goes when the caller has recorded the result
                            yield self._outcome(attempt)

    def _start(self, task: Task, slot: int, guard: Guard, everything: contextlib.ExitStack) -> _Attempt:
        settings = self._settings
        resources = everything.enter_context(contextlib.ExitStack())
        output_dir = resources.enter_context(run_directory(settings.path("checkpoint_dir"), task.directory))
        log = RunLog(settings.path("store") / "logs" / f"{output_dir.name}.log")
        resources.callback(log.close, keep=False)
        child = Child(
            {**job(settings, sys.path), "do": "run", "specs": [task.spec.to_json()], "output_dir": str(output_dir)},
            self._environment(slot),
            str(Path.cwd()),
            guard,
            on_output=log.write,
            timeout=settings.timeout,
        )
        resources.callback(child.kill)
        return _Attempt(task, slot, log, child, resources, oom_kills())

    def _environment(self, slot: int) -> dict[str, str]:
        """One thread a process unless the user's environment says otherwise; one GPU each where there are several."""
        environment = dict.fromkeys(THREAD_VARIABLES, "1") | dict(os.environ)
        gpus = visible_gpus(environment)
        if self._settings.jobs > 1 and gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
        return environment

    def _retried(self, attempt: _Attempt, guard: Guard, everything: contextlib.ExitStack) -> _Attempt | None:
        """Start a run again whose process died, if it may be."""
        child = attempt.child
        if child.final is not None or child.timed_out or len(attempt.earlier) + 1 >= ATTEMPTS:
            return None
        why = death(attempt.child, attempt.oom_kills)
        attempt.log.close(keep=True)
        self._surroundings.notice(f"{attempt.task}: {why}; it is tried once more (log: {attempt.log.path})")
        attempt.resources.close()
        again = self._start(attempt.task, attempt.slot, guard, everything)
        again.earlier = [*attempt.earlier, why]
        again.beside = attempt.beside
        return again

    def _outcome(self, attempt: _Attempt) -> RunResult:
        """Turn what a process left into a result; the log of a run that cannot be trusted is kept."""
        final = attempt.child.final or {}
        provenance: dict[str, Any] = {"attempts": len(attempt.earlier) + 1, "executor": "processes"}
        if attempt.earlier:
            provenance["earlier_attempts"] = attempt.earlier
        if final.get("event") == "result":
            attempt.log.close(keep=False)
            if attempt.child.lingered:
                self._surroundings.notice(f"{attempt.task}: its process did not end after the run and was killed")
            OPENED.add(self._settings.root, dict.fromkeys(final["files"], time.time()), final["folders"])
            result = RunResult.from_json(final["result"])
            provenance["concurrency"] = 1 + attempt.beside + self._surroundings.beside
            return replace(result, provenance={**result.provenance, **provenance})
        attempt.log.close(keep=True)
        if attempt.child.timed_out:
            why = (
                f"{attempt.task} ran longer than exprun_timeout = {self._settings.timeout:g} s and was ended; raise the limit, or "
                "set it to 0 for none"
            )
            return failed(attempt.task.spec, "timeout", attempt.log.told(why), **provenance)
        why = final.get("message") or f"{attempt.task}: {death(attempt.child, attempt.oom_kills)}" + (
            f", {len(attempt.earlier) + 1} times" if attempt.earlier else ""
        )
        return failed(attempt.task.spec, "crashed", attempt.log.told(why), **provenance)


def death(child: Child, oom_kills_before: int | None) -> str:
    """Say how a process ended that left no result."""
    kills = oom_kills()
    by_kernel = kills is not None and oom_kills_before is not None and kills > oom_kills_before
    how = child.how_it_ended()
    memory = "; the kernel ended processes because memory ran out" if by_kernel and "SIGKILL" in how else ""
    return f"its process {how}{memory}"


class _Killed:
    """A child as something to close."""

    def __init__(self, child: Child) -> None:
        self.close = child.kill


def _drain(child: Child) -> None:
    while not child.ended:
        wait_for([child])
        child.pump()
    child.pump()


def _pass_on(attempt: _Attempt, on_point: OnPoint) -> None:
    for event in attempt.child.pump():
        on_point(attempt.task.spec, CurvePoint(event["step"], event["values"]))


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def job(settings: Settings, path: Sequence[str]) -> dict[str, Any]:
    """Return what every job of a session says: its settings and where modules lie."""
    return {"settings": settings.to_json(), "root": str(settings.root), "path": [entry for entry in path if entry]}


def visible_gpus(environment: dict[str, str]) -> list[str]:
    """Name the GPUs that runs may be spread over, without starting the driver; none where there is none."""
    told = environment.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [name for name in told.split(",") if name.strip() and name.strip() != "-1"]
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"), key=lambda path: int(path.name.removeprefix("nvidia")))
    return [str(number) for number in range(len(devices))]
