"""How one run is performed: a Python callable in this process.

The contract: `main(argv: list[str]) -> Mapping[str, object]`, progress lines on standard output, and optionally `build_parser()` beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import io
import json
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from pytest_exprun.conditions import Stopwatch
from pytest_exprun.errors import TrainerError
from pytest_exprun.model import CurvePoint, RunResult, RunSpec, Status
from pytest_exprun.progress import ProgressTee


class CallableTrainer:
    """`module:function`, called in this process. The module is imported at the first use, never before."""

    def __init__(self, entry_point: str, root: Path) -> None:
        self.entry_point = entry_point
        self._root = root
        self._loaded: tuple[ModuleType, Callable[[list[str]], object]] | None = None

    def _load(self) -> tuple[ModuleType, Callable[[list[str]], object]]:
        """Import the trainer with the root directory on the path.

        Raises:
            TrainerError: it cannot be imported, or the function is not there.
        """
        if self._loaded is None:
            module_name, _, function_name = self.entry_point.partition(":")
            with importable_from(self._root):
                try:
                    module = importlib.import_module(module_name)
                except (Exception, SystemExit) as error:
                    raise self._error(f"cannot be imported from {self._root}: {describe(error)}") from error
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

    def _error(self, problem: str) -> TrainerError:
        return TrainerError(f"trainer {self.entry_point} (exprun_trainer): {problem}")

    def rejects(self, spec: RunSpec) -> str | None:
        """Return why the trainer's own parser refuses a run's flags, or None. A trainer without `build_parser` refuses nothing yet.

        Raises:
            TrainerError: the trainer cannot be imported, or its `build_parser` fails.
        """
        module, _ = self._load()
        build = getattr(module, "build_parser", None)
        if build is None:
            return None
        try:
            parser = build()
        except Exception as error:
            raise self._error(f"build_parser() failed: {describe(error)}") from error
        if not isinstance(parser, argparse.ArgumentParser):
            raise self._error(f"build_parser() must return an argparse.ArgumentParser, not {type(parser).__name__}")
        return _rejection(parser, spec.argv("output"), self.entry_point)

    def run(self, spec: RunSpec, output_dir: Path, on_point: Callable[[CurvePoint], None]) -> RunResult:
        """Perform one run; `on_point` hears each progress line as it is printed.

        Raises:
            TrainerError: the trainer raised, exited, or returned something that is no result.
        """
        _, main = self._load()
        curve: list[CurvePoint] = []

        def heard(point: CurvePoint) -> None:
            curve.append(point)
            on_point(point)

        stopwatch = Stopwatch()
        with importable_from(self._root), contextlib.redirect_stdout(ProgressTee(sys.stdout, heard)):
            try:
                returned = main(spec.argv(str(output_dir)))
            except SystemExit as error:
                raise self._run_error(spec, f"stopped with exit status {error.code!r}; its output says why") from error
            except Exception as error:
                raise self._run_error(spec, f"raised {describe(error)}\n{_their_frames(error)}") from error
        metrics, notes = self.read(spec, returned)
        threads = notes.get("threads", metrics.get("threads"))
        return RunResult(
            spec=spec,
            status=_status(metrics),
            metrics=metrics,
            notes=notes,
            curve=tuple(curve),
            provenance=stopwatch.stop(threads=int(threads) if isinstance(threads, int | float) else None),
        )

    def _run_error(self, spec: RunSpec, problem: str) -> TrainerError:
        return self._error(f"seed {spec.seed} of {spec.variant}: {problem}")

    def read(self, spec: RunSpec, returned: object) -> tuple[dict[str, float | None], dict[str, Any]]:
        """Split what the trainer returned into metrics (real numbers, non-finite as None) and notes (everything else).

        Raises:
            TrainerError: not a mapping with text keys, or without a single metric.
        """
        if not isinstance(returned, Mapping):
            raise self._run_error(
                spec, f"returned {returned!r:.80}; a mapping of metrics is needed, for instance {{'val_loss': 1.23}}"
            )
        metrics: dict[str, float | None] = {}
        notes: dict[str, Any] = {}
        for name, value in returned.items():
            if not isinstance(name, str):
                raise self._run_error(spec, f"returned the key {name!r:.80}; keys are names of metrics, text")
            number = real_number(value)
            if number is None:
                notes[name] = _jsonable(value)
            else:
                metrics[name] = number if math.isfinite(number) else None
        reported = metrics.get("train_tokens")
        if (
            spec.budget.unit == "tokens"
            and reported is not None
            and reported != spec.budget.amount
            and _status(metrics) == "finished"
        ):
            raise self._run_error(
                spec,
                f"reports train_tokens = {reported:.0f}, asked for {spec.budget.amount}: budgets must be kept exactly",
            )
        return metrics, notes


def require_metric(result: RunResult, metric: str, entry_point: str) -> None:
    """Refuse a run that cannot be judged by `metric`.

    Raises:
        TrainerError: the metric is missing or no real number.
    """
    if metric in result.metrics:
        return
    where = f"trainer {entry_point} (exprun_trainer): seed {result.spec.seed} of {result.spec.variant}"
    if metric in result.notes:
        raise TrainerError(f"{where}: {metric} is {result.notes[metric]!r:.80}, no real number; return a float")
    known = ", ".join([*result.metrics, *result.notes]) or "nothing"
    raise TrainerError(
        f"{where}: returned no {metric}; it returned: {known}. Return it, or name another metric (exprun_metric)"
    )


def real_number(value: object) -> float | None:
    """Return an int, float or one-element array as float; None for anything else (bool, str, None, complex, larger arrays)."""
    if isinstance(value, bool | str | bytes | complex) or value is None:
        return None
    if not isinstance(value, int | float) and hasattr(value, "item"):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):
            return None
        if isinstance(value, bool):
            return None
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _status(metrics: Mapping[str, float | None]) -> Status:
    return "diverged" if any(value is None for value in metrics.values()) else "finished"


def _jsonable(value: object) -> Any:
    """Return a note as JSON can hold it, anything else as its text."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)[:200]
    return value


@contextlib.contextmanager
def importable_from(root: Path) -> Iterator[None]:
    """Put the root directory first on the import path, as `python train.py` there would, and leave the path as found."""
    before = list(sys.path)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path[:] = before


def describe(error: BaseException) -> str:
    """Return an exception as one line: `ValueError: bad shape`."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _their_frames(error: BaseException) -> str:
    """Return the traceback below our own frames."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if Path(frame.filename).parent != Path(__file__).parent]
    return "".join(traceback.format_list(theirs)).rstrip()


class _Rejected(Exception):  # noqa: N818  # not an error of ours: what argparse said
    pass


def _rejection(parser: argparse.ArgumentParser, argv: Sequence[str], entry_point: str) -> str | None:
    """Return what `parser` holds against `argv`, with a suggestion for an unknown option."""

    def refuse(message: str) -> NoReturn:
        raise _Rejected(message)

    parser.error = refuse  # type: ignore[method-assign]
    known = [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001  # argparse tells no other way
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            _, unknown = parser.parse_known_args(_spelled_as_known(argv, known))
    except _Rejected as rejected:
        return f"{entry_point} refuses it: {rejected}"
    except SystemExit:
        return f"{entry_point} stops at once when given it"
    if not unknown:
        return None
    close = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
    return f"{entry_point} has no option {unknown[0]}" + (f"; did you mean {close[0]}?" if close else "")


def _spelled_as_known(argv: Sequence[str], known: Iterable[str]) -> list[str]:
    """Spell each option with dashes or underscores, whichever the parser has: a trainer may normalise them before parsing."""
    by_name = {option.replace("_", "-"): option for option in known}
    spelled = []
    for token in argv:
        name, equals, value = token.partition("=")
        spelled.append(by_name.get(name.replace("_", "-"), name) + equals + value if token.startswith("--") else token)
    return spelled
