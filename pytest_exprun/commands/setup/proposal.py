"""From a training script to the ini keys that start it, and what it lacks; read and never run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.commands.setup.given import Given
from pytest_exprun.running.options.patches import Patch
from pytest_exprun.running.options.script_options import BUDGETS, Option, Script, parameters_of
from pytest_exprun.running.options.seedings import Sources
from pytest_exprun.trust.identity.imports import script_closure

AMOUNTS = {"steps": 1000, "seconds": 300}
"""How long to train where the source does not tell."""


@dataclass
class Proposal:
    """What init writes, and what it asks to be done.

    Attributes:
        given: the script, and the command that starts it; None for a command that was given whole.
        script: what the script's source says.
        sources: the script and everything of the folder that it imports.
        variables: variables of the environment that it may take its seed from.
        keys: the ini keys without their prefix; None and empty texts are not written.
        environment: words of `exprun_env`.
        patch: the changes that the sources need.
        flag: a first flag to try, where the patch makes one.
        notes: what is left to do.
        said: what a user should know of the keys.
    """

    given: Given | None = None
    script: Script = field(default_factory=Script)
    sources: Sources = field(default_factory=lambda: Sources({}))
    variables: list[str] = field(default_factory=list)
    keys: dict[str, str | None] = field(default_factory=dict)
    environment: list[str] = field(default_factory=list)
    patch: Patch = field(default_factory=Patch)
    flag: str | None = None
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, given: Given, script: Script) -> Proposal:
        """Return one that knows the sources and proposes nothing yet."""
        here = Path.cwd()
        closure = script_closure([given.script], [], [str(given.script.absolute().parent), str(here), *sys.path])
        own = (each.relative_to(here) for each in closure.files if each.is_relative_to(here))
        files = dict.fromkeys([given.script, *own])
        named = [name for name in sorted(closure.environment) if "SEED" in name.upper() and name != "PYTHONHASHSEED"]
        sources = Sources.read(files, has_options=script.has_options, variables=script.variables)
        return cls(given, script, sources, named)

    @property
    def path(self) -> Path:
        """The script."""
        assert self.given is not None
        return self.given.script

    def functions(self) -> Sequence[ast.FunctionDef]:
        """The functions at the top of the script."""
        return [each for each in self.sources.trees[self.path].body if isinstance(each, ast.FunctionDef)]

    def let_call(self, function: ast.FunctionDef) -> None:
        """Let a function of the script be what is called, its parameters the options."""
        own = {"seed", "random_state", "output_dir", *BUDGETS}
        self.script.options = {name: each for name, each in parameters_of(function).items() if name not in own}
        self.script.fields = set()


def amount(option: Option, unit: str) -> int:
    """How long the source says, or a guess."""
    return option.default if type(option.default) is int and option.default > 0 else AMOUNTS[unit]
