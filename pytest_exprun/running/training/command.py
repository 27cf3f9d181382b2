"""A training script as it is: one run is one command, its metrics are what it prints or writes."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from pytest_exprun.running.options.rejection import meant_by, options_in, short_for_reserved
from pytest_exprun.running.options.script_options import Script, read_script
from pytest_exprun.running.sandbox.run_log import RunLog
from pytest_exprun.running.sandbox.supervision import Ended, supervise
from pytest_exprun.running.training.metrics_files import LIGHTNING, Stamps, Written, read_written, stamps
from pytest_exprun.running.training.output_metrics import OutputMetrics, UnreadableOutput
from pytest_exprun.running.training.results import check_tokens, sort_returned, status_of
from pytest_exprun.running.training.stopwatch import Stopwatch
from pytest_exprun.settings.settings import Settings
from pytest_exprun.settings.templates import FLAGS, fill, placeholders, values_of
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.judged_at import REPORTED_AT
from pytest_exprun.terms.model import RunSpec, revealed, sets
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.terms.secrets import conceal
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.files.places import in_tree
from pytest_exprun.trust.files.stray_writes import LEFT
from pytest_exprun.trust.identity.command_sources import Program

SHOWN_BYTES = 256 * 1024
"""Bytes of a run's output that are passed on to this process' standard output; all of it is in the log."""
_PYTHON = ("python", "python3")
_OF_PYTEST = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT")
OnPoint = Callable[[CurvePoint], None]


class CommandTrainer:
    """Runs `exprun_command` once for each seed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cwd = settings.path("cwd")
        lightning = settings.log_format == "lightning"
        self._metrics_file = settings.metrics_file or (LIGHTNING if lightning else "")

    def rejects(self, spec: RunSpec) -> str | None:
        """Return why a run's flags cannot work: they set what the command sets for every run, or the script has no such option."""
        reserved = self._settings.reserved
        tokens = (*spec.common_args, *spec.variant.flags)
        for flag in tokens:
            if name := sets(flag, reserved):
                return f"{flag.partition('=')[0]} is reserved: {reserved[name]}"
        return short_for_reserved(spec, reserved, self._named) or next(filter(None, map(self._unknown, tokens)), None)

    def _named(self) -> set[str]:
        """The options that the sources of the command write out."""
        program = Program.of(self._settings)
        main = program.scripts[0] if program.scripts else None
        return options_in(main, program.closure(declared=True).files)

    def _unknown(self, flag: str) -> str | None:
        """Say that the script has no such option, where its source leaves no doubt; nothing is run to find out."""
        script = self._script
        name = flag[2:].partition("=")[0].replace("-", "_")
        if not flag.startswith("--") or script is None or not script.complete or name in script.options:
            return None
        if name.startswith("no_") and "BooleanOptionalAction" in script.text:
            return None
        known = [f"--{option.name}" for option in script.options.values()]
        return f"{shlex.join(self._settings.command)} has no option {flag.partition('=')[0]}{meant_by(flag, known)}"

    @cached_property
    def _script(self) -> Script | None:
        scripts = Program.of(self._settings).scripts
        return read_script(scripts[0]) if scripts and scripts[0].suffix == ".py" else None

    def run(self, spec: RunSpec, output_dir: Path, on_point: OnPoint) -> RunResult:
        """Run the command; `on_point` hears each line with a metric, and may raise to end it.

        Raises:
            TrainerError: it cannot be started, failed, was killed, took too long, or did not tell its metrics.
        """
        log = RunLog(self._settings.path("store") / "logs" / f"{output_dir.name}-command.log")
        try:
            result = self._run(spec, output_dir, on_point, log)
        except TrainerError as error:
            log.close(keep=True)
            where = f"{self._settings.trained_by}: seed {spec.seed} of {spec.variant}"
            raise TrainerError(log.told(f"{where}: {error}")) from None
        except BaseException:
            log.close(keep=False)
            raise
        log.close(keep=False)
        return result

    def _run(self, spec: RunSpec, output_dir: Path, on_point: OnPoint, log: RunLog) -> RunResult:
        values = self._values(spec, output_dir)
        before: Stamps = stamps(fill(self._metrics_file, values), self._cwd) if self._metrics_file else {}
        heard = OutputMetrics(self._settings.metric, self._settings.log_format, self._settings.pattern)
        stopwatch = Stopwatch()
        ended = self._supervised(spec, values, heard, on_point, log)
        provenance = stopwatch.stop()
        self._check_end(ended)
        found = self._read(values, heard, before)
        metrics, notes = sort_returned(found.values)
        if spec.budget.unit == "tokens":
            check_tokens(metrics, self._tokens(spec))
        # Threads, torch and GPU of this process say nothing about the command's.
        provenance |= {"cpu_time": ended.cpu_seconds, "threads": None, "torch": None, "gpu": None}
        provenance |= {"command": self._as_typed(spec), REPORTED_AT: found.reported_at}
        if ended.left_behind:
            provenance[LEFT] = ended.left_behind
        return RunResult(spec, status_of(metrics), metrics, notes, tuple(heard.curve), provenance)

    def _supervised(
        self, spec: RunSpec, values: Mapping[str, str], heard: OutputMetrics, on_point: OnPoint, log: RunLog
    ) -> Ended:
        shown = _Shown()

        def hear(line: bytes, complete: bool) -> None:
            text = line.decode("utf-8", "replace")
            shown.line(conceal(text))
            point = heard.hear(text, complete=complete)
            if point is not None:
                on_point(point)

        argv = revealed(self._argv(spec, values))
        try:
            environment = self._environment(values)
            return supervise(
                [self._program(argv[0], environment), *argv[1:]],
                cwd=self._cwd,
                environment=environment,
                on_line=hear,
                on_bytes=log.write,
                timeout=self._settings.timeout,
            )
        except OSError as error:
            raise TrainerError(f"cannot be started in {self._cwd}: {error.strerror or error}") from None

    # The command.

    def _values(self, spec: RunSpec, output_dir: Path | str) -> dict[str, str]:
        carried = values_of(spec.budget, self._settings.tokens_per_step)
        return {"seed": str(spec.seed), "output_dir": str(output_dir), "flags": "", **carried}

    def _argv(self, spec: RunSpec, values: Mapping[str, str]) -> list[str]:
        argv: list[str] = []
        for word in self._settings.command:
            argv += [*spec.common_args, *spec.variant.flags] if word == FLAGS else [fill(word, values)]
        return argv

    def _environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """This process' environment, with unbuffered output and programs looked for beside this Python first."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_PYTEST}
        beside = str(Path(sys.executable).parent)
        path = os.pathsep.join([beside, inherited.get("PATH", os.defpath)])
        own = dict(word.split("=", 1) for word in revealed(fill(word, values) for word in self._settings.env))
        if "PYTHONPATH" in own:
            named = own["PYTHONPATH"].split(os.pathsep)
            own["PYTHONPATH"] = OPENED.import_path(os.pathsep.join(in_tree(each, self._settings) for each in named))
        return {**inherited, "PATH": path, "PYTHONUNBUFFERED": "1", **own}

    def _program(self, name: str, environment: Mapping[str, str]) -> str:
        """Find the program; `python` is the one that runs this session."""
        if name in _PYTHON:
            return sys.executable
        place = str(self._cwd / name) if os.sep in name else name
        found = shutil.which(place, path=environment["PATH"])
        if found is None:
            raise TrainerError(
                f"cannot be started: there is no program {name}, neither beside {sys.executable} nor on PATH"
            )
        return found

    def _as_typed(self, spec: RunSpec) -> str:
        """Return a shell command that performs the run again, with a folder name for everybody."""
        values = self._values(spec, "checkpoints/again")
        varying = [fill(word, values) for word in self._settings.env if placeholders(word)]
        command = [*(["env", *varying] if varying else []), *self._argv(spec, values)]
        place = self._settings.cwd.as_posix()
        return ("" if place == "." else f"cd {shlex.quote(place)} && ") + shlex.join(command)

    # The result.

    def _check_end(self, ended: Ended) -> None:
        if ended.timed_out:
            raise TrainerError(
                f"ran longer than exprun_timeout = {self._settings.timeout:g} s and was ended; raise the limit, or set it to 0 for none"
            )
        if ended.status < 0:
            with contextlib.suppress(ValueError):
                raise TrainerError(f"was killed by {signal.Signals(-ended.status).name}")
            raise TrainerError(f"was killed by signal {-ended.status}")
        if ended.status:
            raise TrainerError(f"ended with exit status {ended.status}")

    def _read(self, values: Mapping[str, str], heard: OutputMetrics, before: Stamps) -> Written:
        try:
            if self._metrics_file:
                return read_written(fill(self._metrics_file, values), self._cwd, before)
            return Written(heard.metrics(), heard.reported_at())
        except UnreadableOutput as error:
            raise TrainerError(str(error)) from None

    def _tokens(self, spec: RunSpec) -> int:
        """Return the train tokens that the command was told to take: whole steps, if it was told steps."""
        used = {name for word in (*self._settings.command, *self._settings.env) for name in placeholders(word)}
        per_step = self._settings.tokens_per_step
        if "train_tokens" in used or not per_step:
            return spec.budget.amount
        return math.ceil(spec.budget.amount / per_step) * per_step


class _Shown:
    """Passes the beginning of a run's output on to standard output, where pytest shows it on a failure and with -s."""

    def __init__(self) -> None:
        self._left = SHOWN_BYTES

    def line(self, text: str) -> None:
        if self._left > 0:
            self._left -= len(text) + 1
            sys.stdout.write(text + "\n" if self._left > 0 else text + "\n[the rest of the output is not shown]\n")
