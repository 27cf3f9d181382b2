"""How one run is performed: by a Python function in this process, or by a command (module `command`).

A function takes an argv list, `main(argv) -> Mapping[str, object]`, with `build_parser()` beside it if it likes, or keywords, `train(seed,
train_tokens, output_dir, ...) -> Mapping | float`. Either prints progress lines on standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Protocol

from pytest_exprun.running.options.keywords import Keywords, keywords_of
from pytest_exprun.running.options.rejection import options_in, rejection, short_for_reserved
from pytest_exprun.running.sandbox.escapes import Confinement, ForeignError
from pytest_exprun.running.sandbox.run_log import PLACE, RunLog
from pytest_exprun.running.training.progress import Progress, ProgressTee
from pytest_exprun.running.training.results import (
    Metrics,
    Notes,
    check_tokens,
    real_number,
    require_metric,
    sort_returned,
    status_of,
)
from pytest_exprun.running.training.stopwatch import Stopwatch
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.judged_at import REPORTED_AT
from pytest_exprun.terms.model import RESERVED, RunSpec
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.terms.secrets import conceal_all
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.files.places import counts, is_below
from pytest_exprun.trust.identity.bystanders import is_of_tests
from pytest_exprun.trust.identity.imports import import_closure

_FRAME = re.compile(r'File "([^"\n]+)", line (\d+)')

__all__ = ["CallableTrainer", "Trainer", "from_settings", "require_metric"]


_STDLIB = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120  # texts


class Trainer(Protocol):
    """Performs one run."""

    def rejects(self, spec: RunSpec) -> str | None:
        """Return why a run's flags cannot work, or None if nothing is known against them.

        Raises:
            TrainerError: the trainer cannot be asked at all.
        """

    def run(self, spec: RunSpec, output_dir: Path, on_point: Callable[[CurvePoint], None]) -> RunResult:
        """Perform one run in an existing folder; `on_point` hears each progress line as it is printed, and may raise to end the run.

        Raises:
            TrainerError: it failed, or gave something that is no result.
        """


def from_settings(settings: Settings, logs: Path | None = None) -> Trainer:
    """Return the trainer that the settings name; `logs` is the folder for the output of a function's failed runs, which are heard here."""
    if settings.command:
        from pytest_exprun.running.training.command import CommandTrainer

        return CommandTrainer(settings)
    return CallableTrainer(settings.trainer, settings.root, settings.metric, logs)


class CallableTrainer:
    """`module:function`, called in this process. The module is imported at the first use, never before.

    Args:
        entry_point: the function.
        root: the directory that it is imported from, as `python train.py` there would.
        metric: the name of what a function returns that returns one number.
        logs: where the output and the traceback of a failed run are kept; None: they are printed.
    """

    def __init__(self, entry_point: str, root: Path, metric: str = "val_loss", logs: Path | None = None) -> None:
        self.entry_point = entry_point
        self._root, self._metric, self._logs = root, metric, logs
        self._loaded: tuple[ModuleType, Callable[..., object]] | None = None
        self._path: list[str] = []  # where it is imported from, and what it made of that meanwhile
        self._modules: dict[str, ModuleType] = {}  # what its runs have imported of the project

    def _load(self) -> tuple[ModuleType, Callable[..., object]]:
        """Import the trainer with the root directory on the path.

        Raises:
            TrainerError: it cannot be imported, or the function is not there.
        """
        if self._loaded is None:
            module_name, _, function_name = self.entry_point.partition(":")
            with at_root(self._root):
                forget_modules(module_name, self._root)
                try:
                    module = Confinement().perform(partial(importlib.import_module, module_name))
                except ForeignError as error:
                    raise self._error(f"cannot be imported from {self._root}: {error.what}") from error
                self._path = list(sys.path)
            function = getattr(module, function_name, None)
            if not callable(function):
                known = ", ".join(
                    name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
                )
                raise self._error(
                    f"module {module_name} has no function {function_name!r}; it has: {known[:200] or 'none'}"
                )
            self._loaded = module, function
        return self._loaded

    @contextlib.contextmanager
    def _own_modules(self) -> Iterator[None]:
        """Let runs import the project's modules themselves, and find them again in the next run.

        What tests have imported was executed where nobody heard what it read, and a computed import of it would not be heard either.
        """
        found = modules_of(self._root)
        others = {name: module for name, module in found.items() if self._modules.get(name) is not module}
        for name in others:
            del sys.modules[name]
        sys.modules.update(self._modules)
        try:
            yield
        finally:
            self._modules = modules_of(self._root)
            sys.modules.update(others)

    def _error(self, problem: str) -> TrainerError:
        return TrainerError(f"trainer {self.entry_point} (exprun_trainer): {problem}")

    def rejects(self, spec: RunSpec) -> str | None:
        """Return why the trainer's own parser refuses a run's flags, or None. A trainer without `build_parser` refuses nothing yet.

        Raises:
            TrainerError: the trainer cannot be imported, or its `build_parser` fails.
        """
        with self._own_modules():
            return self._rejects(spec)

    def _rejects(self, spec: RunSpec) -> str | None:
        module, function = self._load()
        keywords = self._keywords(function)
        if keywords is not None:
            try:
                keywords.arguments(spec, "output")
            except TrainerError as error:
                return f"{self.entry_point} {error}"
            return None
        build = getattr(module, "build_parser", None)
        if build is None:
            closure = partial(import_closure, module.__name__, [str(self._root), *sys.path])
            main = Path(module.__file__) if module.__file__ else None
            return short_for_reserved(spec, RESERVED, lambda: options_in(main, closure().files))
        try:
            return Confinement().perform(partial(self._rejection, build, spec))
        except ForeignError as error:
            raise self._error(f"build_parser() failed: {error.what}") from error

    def _rejection(self, build: Callable[[], object], spec: RunSpec) -> str | None:
        parser = build()
        if not isinstance(parser, argparse.ArgumentParser):
            raise self._error(f"build_parser() must return an argparse.ArgumentParser, not {type(parser).__name__}")
        return rejection(parser, spec, self.entry_point)

    def run(self, spec: RunSpec, output_dir: Path, on_point: Callable[[CurvePoint], None]) -> RunResult:
        """Perform one run; `on_point` hears each progress line as it is printed.

        Raises:
            TrainerError: the trainer raised, exited, or returned something that is no result.
        """
        with self._own_modules():
            return self._run(spec, output_dir, on_point)

    def _run(self, spec: RunSpec, output_dir: Path, on_point: Callable[[CurvePoint], None]) -> RunResult:
        _, function = self._load()
        keywords = self._keywords(function)
        confinement = Confinement()
        progress = Progress(confinement.heard_by(on_point), self._metric)
        stopwatch = Stopwatch()
        tee = ProgressTee(sys.stdout, progress.take)
        with at_root(self._root), contextlib.redirect_stdout(tee):
            sys.path[:] = [*self._path, *(entry for entry in sys.path if entry not in self._path)]
            try:
                metrics, notes = confinement.perform(partial(self._call, function, keywords, spec, output_dir))
            except ForeignError as error:
                raise self._run_error(spec, self._failure(error, tee, output_dir.name)) from error
        threads = notes.get("threads", metrics.get("threads"))
        provenance = stopwatch.stop(threads=int(threads) if isinstance(threads, int | float) else None)
        provenance[REPORTED_AT] = progress.reported_at(metrics)
        if keywords is not None:
            provenance["command"] = self._as_typed(keywords.arguments(spec, "checkpoints/again"))
        return RunResult(
            spec=spec,
            status=status_of(metrics),
            metrics=metrics,
            notes=notes,
            curve=tuple(progress.curve),
            provenance=provenance,
        )

    def _failure(self, error: ForeignError, tee: ProgressTee, name: str) -> str:
        """Return what happened as one line, and keep the output and the traceback in a file that it names."""
        places = _FRAME.findall(error.frames)
        where = f" ({os.path.relpath(places[-1][0], self._root)}, line {places[-1][1]})" if places else ""
        ending = f"{error.frames}\n{error}".strip()
        if self._logs is None:  # whoever performs runs elsewhere keeps what they print
            print(ending, file=sys.stderr, flush=True)
            return f"{error}{where}"
        log = RunLog(self._logs / f"{name}.log")
        log.write(f"{tee.printed}\n{ending}\n".encode("utf-8", "backslashreplace"))
        log.close(keep=True)
        return f"{error}{where}; {PLACE}{log.path}"

    def _call(
        self, function: Callable[..., object], keywords: Keywords | None, spec: RunSpec, output_dir: Path
    ) -> tuple[Metrics, Notes]:
        """Call the function, and read what it returns: its own methods may answer."""
        if keywords is None:
            return self.read(spec, function(spec.argv(str(output_dir))))
        try:
            arguments = keywords.arguments(spec, str(output_dir))
        except TrainerError as error:
            raise self._run_error(spec, str(error)) from error
        return self.read(spec, self._named(function(**arguments)))

    def _keywords(self, function: Callable[..., object]) -> Keywords | None:
        try:
            return keywords_of(function)
        except TrainerError as error:
            raise self._error(str(error)) from None

    def _named(self, returned: object) -> object:
        """Give a lone number the metric's name."""
        return returned if real_number(returned) is None else {self._metric: returned}

    def _as_typed(self, arguments: Mapping[str, object]) -> str:
        """Return a shell command that calls the function again."""
        module, _, function = self.entry_point.partition(":")
        given = ", ".join(f"{name}={conceal_all(value)!r}" for name, value in arguments.items())
        return f"python -c {shlex.quote(f'from {module} import {function}; {function}({given})')}"

    def _run_error(self, spec: RunSpec, problem: str) -> TrainerError:
        return self._error(f"seed {spec.seed} of {spec.variant}: {problem}")

    def read(self, spec: RunSpec, returned: object) -> tuple[Metrics, Notes]:
        """Split what the trainer returned into metrics (real numbers, non-finite as None) and notes (everything else).

        Raises:
            TrainerError: not a mapping with text keys, or a budget that was not kept.
        """
        if not isinstance(returned, Mapping):
            raise self._run_error(
                spec, f"returned {returned!r:.80}; a mapping of metrics is needed, for instance {{'val_loss': 1.23}}"
            )
        try:
            metrics, notes = sort_returned(returned)
            if spec.budget.unit == "tokens":
                check_tokens(metrics, spec.budget.amount)
        except TrainerError as error:
            raise self._run_error(spec, str(error)) from None
        return metrics, notes


@contextlib.contextmanager
def at_root(root: Path) -> Iterator[None]:
    """Work in the root directory with it first on the import path, as `python train.py` there would; leave both as found.

    Wherever pytest was started, a relative path then names the same file, and no folder of tests can shadow a module of the trainer.
    """
    path, directory = list(sys.path), Path.cwd()
    sys.path[:] = [str(root), *(entry for entry in path if entry != str(root))]
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(directory)
        sys.path[:] = path


def forget_modules(module_name: str, root: Path) -> None:
    """Drop what this process has imported of the trainer so far: an earlier session, or an edit since, may have left other code there."""
    for path, name in import_closure(module_name, [str(root), *sys.path]).names.items():
        if path.suffix == ".py" and name in sys.modules:
            del sys.modules[name]
    # What runs of an earlier session imported by a computed name is in no closure.
    heard = set(map(str, OPENED.sources(root)))
    for name in [name for name, module in list(sys.modules.items()) if getattr(module, "__file__", None) in heard]:
        del sys.modules[name]


def modules_of(root: Path) -> dict[str, ModuleType]:
    """Return what this process has imported from below the root, but for tests, conftest files and plugins of pytest."""
    base = str(root.resolve())
    found = {}
    for name, module in list(sys.modules.items()):
        known = getattr(module, "__dict__", {})  # asks no lazy module
        file = known.get("__file__")
        places = [file] if file else list(known.get("__path__", ()))  # a namespace package has only the latter
        if places and all(isinstance(each, str) and _is_of_project(each, base) for each in places):
            is_plugin = any(each.startswith("pytest_") for each in known)
            if name not in ("__main__", "__mp_main__") and not is_plugin and not (file and is_of_tests(file)):
                found[name] = module
    return found


@cache
def _real(file: str) -> str:
    """Follow links, once a file: of a thousand modules, before and after each run, that is a hundred thousand questions."""
    return os.path.realpath(file)


def _is_of_project(file: str, root: str) -> bool:
    if "site-packages" in file or file.startswith(_STDLIB):
        return False  # most of them, told by their text
    real = _real(file) if file.startswith("/") and not is_below(file, root) else file
    return is_below(real, root) and counts(real, root)
