"""In place of an executor where nothing may run, not even the trainer's import: what its sources alone say against flags."""

from __future__ import annotations

import ast
import sys
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_exprun.running.executors.contract import OnPoint, Task
from pytest_exprun.running.options.rejection import meant_by
from pytest_exprun.running.options.script_options import Script, parameters_of, read_script
from pytest_exprun.running.training.command import CommandTrainer
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import RunSpec
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.identity.imports import locate


@dataclass
class Reading:
    """Reads and performs nothing."""

    settings: Settings

    def rejects(self, specs: Sequence[RunSpec]) -> list[str | None]:
        """Return for each run which flag cannot work, where a source leaves no doubt."""
        if self.settings.command:
            trainer = CommandTrainer(self.settings)
            return [trainer.rejects(spec) for spec in specs]
        return [self._rejection(spec) for spec in specs]

    def run(self, _tasks: Iterable[Task], _on_point: OnPoint) -> Generator[RunResult]:
        """Perform nothing."""
        yield from ()

    def _rejection(self, spec: RunSpec) -> str | None:
        known = self._known
        for token in (*spec.common_args, *spec.variant.flags):
            option = token.split(maxsplit=1)[0].partition("=")[0]
            name = option.removeprefix("--").replace("-", "_")
            if known and option.startswith("--") and not {name, name.removeprefix("no_")} & set(known):
                what = "parameter" if self._parameters else "option"
                hint = meant_by(option, [f"--{each}" for each in known])
                return f"{self.settings.trainer} has no {what} {name if self._parameters else option}{hint}"
        return None

    @cached_property
    def _script(self) -> Script | None:
        module = self.settings.trainer.partition(":")[0]
        found = locate(module, [str(self.settings.root), *sys.path])
        path = found[-1].path if found and found[-1].name == module else None
        return read_script(Path(path)) if path is not None and path.suffix == ".py" else None

    @cached_property
    def _parameters(self) -> list[str]:
        """The parameters of a function that is called by keywords; none where it collects others."""
        name = self.settings.trainer.partition(":")[2]
        tree = ast.parse(self._script.text) if self._script else ast.Module([], [])
        for node in tree.body:
            if (
                isinstance(node, ast.FunctionDef)
                and node.name == name
                and node.args.kwarg is None
                and not node.decorator_list
            ):
                found = list(parameters_of(node))
                return found if "seed" in found else []
        return []

    @cached_property
    def _known(self) -> list[str]:
        """Every option that there can be; none where that is not sure."""
        complete = list(self._script.options) if self._script is not None and self._script.complete else []
        return self._parameters or complete
