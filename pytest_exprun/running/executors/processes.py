"""Each run in a fresh process, several at once: `exprun_executor = processes`, `exprun_jobs`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_exprun.running.executors.child import Child, job, surroundings
from pytest_exprun.running.executors.contract import OnPoint, Surroundings, Task, ended_like_ctrl_c
from pytest_exprun.running.executors.outcome import Attempt
from pytest_exprun.running.sandbox.run_log import RunLog
from pytest_exprun.running.sandbox.supervision import wait_for
from pytest_exprun.running.sandbox.watchdog import Guard
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.trust.files.run_directory import run_directory


@dataclass(kw_only=True)
class _Running(Attempt):
    """One run that is under way; `beside` is how many others have been at the same time."""

    slot: int
    child: Child
    resources: contextlib.ExitStack
    beside: int = 0


class Processes:
    """Performs up to `exprun_jobs` runs at a time; a run that fails does not stop the others."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings, self._surroundings = settings, surroundings

    def rejects(self, specs: Sequence[RunSpec]) -> list[str | None]:
        """Ask the trainer's own parser, in a process of its own: this one never imports the trainer."""
        output = bytearray()
        told = job(self._settings, sys.path, "check", specs=[spec.to_json() for spec in specs])
        with contextlib.ExitStack() as resources:
            guard = resources.enter_context(contextlib.closing(Guard()))
            child = Child(told, self._environment(0), guard, on_output=output.extend, timeout=self._settings.timeout)
            resources.callback(child.close)
            while not child.ended:
                wait_for([child])
                child.pump()
            child.pump()
        answer = child.last_word()
        if answer["event"] == "answers":
            return list(answer["answers"])
        why = answer.get("message") or f"asking the trainer about its flags: {answer['how']}"
        raise TrainerError("\n".join([why, bytes(output[-2000:]).decode("utf-8", "replace").rstrip()]).rstrip())

    def run(self, tasks: Iterable[Task], on_point: OnPoint) -> Generator[RunResult]:
        """Start runs while there is room, and yield each result when it is known."""
        waiting = iter(tasks)
        with ended_like_ctrl_c(), contextlib.ExitStack() as everything:
            if not (checkpoints := self._settings.path("checkpoint_dir")).exists():
                everything.callback(_remove_empty, checkpoints)
            guard = everything.enter_context(contextlib.closing(Guard()))
            active: dict[int, _Running] = {}
            while True:
                for slot in sorted(set(range(self._settings.jobs)) - set(active)):
                    if (task := next(waiting, None)) is not None:
                        active[slot] = self._start(task, slot, guard, everything)
                if not active:
                    return
                for each in active.values():
                    each.beside = max(each.beside, len(active) - 1)
                wait_for(each.child for each in active.values())
                for each in list(active.values()):
                    _pass_on(each, on_point)
                    if each.child.ended:
                        _pass_on(each, on_point)
                        again = self._again(each, guard, everything)
                        if again is not None:
                            active[each.slot] = again
                            continue
                        del active[each.slot]
                        with each.resources:  # the directory goes when the caller has recorded the result
                            yield self._outcome(each)

    def _start(self, task: Task, slot: int, guard: Guard, everything: contextlib.ExitStack) -> _Running:
        settings = task.ground.settings
        resources = everything.enter_context(contextlib.ExitStack())
        output_dir = resources.enter_context(run_directory(settings.path("checkpoint_dir"), task.directory))
        log = RunLog(settings.path("store") / "logs" / f"{output_dir.name}.log")
        resources.callback(log.close, keep=False)
        told = job(settings, sys.path, "run", specs=[task.spec.to_json()], output_dir=str(output_dir))
        child = Child(told, self._environment(slot), guard, on_output=log.write, timeout=settings.timeout)
        resources.callback(child.close)
        return _Running(task=task, log=log, slot=slot, child=child, resources=resources)

    def _environment(self, slot: int) -> dict[str, str]:
        """One GPU each where there are several."""
        environment = surroundings()
        gpus = visible_gpus(environment)
        if self._settings.jobs > 1 and gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
        return environment

    def _again(self, each: _Running, guard: Guard, everything: contextlib.ExitStack) -> _Running | None:
        """Start a run again whose process died, if it may be."""
        earlier = each.try_again(each.child.last_word(), self._surroundings.notice)
        if earlier is None:
            return None
        each.resources.close()
        again = self._start(each.task, each.slot, guard, everything)
        again.earlier, again.beside = earlier, each.beside
        return again

    def _outcome(self, each: _Running) -> RunResult:
        if each.child.lingered:
            self._surroundings.notice(f"{each.task}: its process did not end after the run and was killed")
        return each.outcome(each.child.last_word(), self._settings, 1 + each.beside + self._surroundings.beside)


def _pass_on(each: _Running, on_point: OnPoint) -> None:
    for event in each.child.events():
        on_point(each.task.spec, CurvePoint(event["step"], event["values"]))


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def visible_gpus(environment: dict[str, str]) -> list[str]:
    """Name the GPUs that runs may be spread over, without starting the driver; none where there is none."""
    told = environment.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [name for name in told.split(",") if name.strip() and name.strip() != "-1"]
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"), key=lambda path: int(path.name.removeprefix("nvidia")))
    return [str(number) for number in range(len(devices))]
