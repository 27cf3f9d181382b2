"""Which program a training command runs, read from its words: what the key of a stored run must cover. Nothing of it is executed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.settings.templates import placeholders
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.trust.files.places import import_path
from pytest_exprun.trust.identity.imports import Closure, is_first_party, locate, script_closure

_LAUNCHERS = frozenset(
    {
        "torch.distributed.run",
        "torch.distributed.launch",
        "accelerate.commands.launch",
        "deepspeed.launcher.runner",
        "cProfile",
        "coverage",
        "pdb",
    }
)
"""Modules that run a script or module named after them."""
_PYTHON = re.compile(r"python(?:\d+(?:\.\d+)*)?")
_MODULE_OPTIONS = ("-m", "--module")
_SHELL_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_SCRIPT_WORD = re.compile(r"[\w./-]+\.py\b")
_MODULE_WORD = re.compile(r"\bpython[\d.]*\s(?:[^\n;&|]*\s)?-m\s+([A-Za-z_][\w.]*)")
_ASK_PATH = "import json, sys; print(json.dumps(sys.path))"


@dataclass(frozen=True)
class Program:
    """What a command runs.

    Attributes:
        command: its words, placeholders and all.
        cwd: its working directory, absolute.
        variables: what `exprun_env` sets.
        import_path: what becomes of the folders that a Python looks into, on a tree (`places.import_path`).
    """

    command: tuple[str, ...]
    cwd: Path
    variables: Mapping[str, str]
    import_path: Callable[[Iterable[str]], list[str]] = list

    @classmethod
    def of(cls, settings: Settings) -> Program:
        """Return the program of `exprun_command`."""
        variables = dict(word.split("=", 1) for word in settings.env)
        moved = partial(import_path, settings) if settings.home else list
        return cls(settings.command, settings.path("cwd").resolve(), variables, moved)

    @property
    def fixed_words(self) -> list[str]:
        """Words that are the same for every run and may name a file, the programs themselves left out."""
        words = [word for word in self.command[1:] if not placeholders(word)]
        return [word for word in words if self.cwd / word not in self.scripts]

    @property
    def scripts(self) -> list[Path]:
        """The script that the command names first; a shell script brings along those that it names.

        Raises:
            SettingsError: a Python script that is not there.
        """
        for position, word in enumerate(self.command):
            path = self.cwd / word
            if word.endswith(".py") and not word.startswith("-"):
                if not path.is_file():
                    raise SettingsError(
                        f"exprun_command = {shlex.join(self.command)}: there is no script {word} in {self.cwd}; "
                        "set exprun_cwd, or correct the name"
                    )
                return [path]
            if word.endswith((".sh", ".bash")) or (
                position == 0 and os.sep in word and not _PYTHON.fullmatch(path.name)
            ):
                return [path, *self._scripts_in(path)] if path.is_file() else []
        return []

    def _scripts_in(self, shell_script: Path) -> list[Path]:
        text = shell_script.read_bytes()[: 1 << 20].decode("utf-8", "replace")
        named = [base / word for word in _SCRIPT_WORD.findall(text) for base in (self.cwd, shell_script.parent)]
        return [path for path in dict.fromkeys(named) if path.is_file()]

    @property
    def module(self) -> str | None:
        """The module that the command runs with -m, or that an installed script of its name calls."""
        found = self._installed
        installed = next((each.module for each in found), None) if not _is_launcher(found) else None
        return self._told_module or installed

    @property
    def _told_module(self) -> str | None:
        """The module that its words name."""
        pairs = zip(self.command, self.command[1:], strict=False)
        return next((name for option, name in pairs if option in _MODULE_OPTIONS and name not in _LAUNCHERS), None)

    @property
    def _installed(self) -> importlib.metadata.EntryPoints:
        return importlib.metadata.entry_points(group="console_scripts", name=Path(self.command[0]).name)

    @property
    def folders(self) -> list[Path]:
        """What Python looks into first: the folder of a script (a shell script may start several), of -m the working directory."""
        folders = [path.parent for path in self.scripts if path.suffix == ".py"]
        runs_module = self._told_module or self._shell_modules or (self.scripts and not folders)
        return [*folders, *([self.cwd] if runs_module else [])]

    @cached_property
    def search(self) -> list[str]:
        """Where its imports are looked up. A Python of its own is asked: this one's path has pytest's `pythonpath` and folders of tests."""
        named = self.cwd / _at_home(_named_python(self.command) or sys.executable)
        try:
            asked = subprocess.run(  # noqa: S603  # the Python that the user's command starts
                [named if named.is_file() else sys.executable, "-c", _ASK_PATH],
                cwd=self.cwd,
                env={**os.environ, **self.variables},
                capture_output=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise SettingsError(f"exprun_command = {shlex.join(self.command)}: no Python starts: {error}") from None
        listed = self.import_path(filter(None, json.loads(asked.stdout.splitlines()[-1])))
        return list(dict.fromkeys([*map(str, self.folders), *listed]))

    @property
    def _shell_modules(self) -> list[str]:
        """The modules that a shell script runs with -m."""
        texts = [path.read_text("utf-8", "replace") for path in self.scripts if path.suffix != ".py"]
        return [name for text in texts for name in _MODULE_WORD.findall(text) if name not in _LAUNCHERS]

    def closure(self, *, declared: bool) -> Closure:
        """Return everything first-party that it runs. `declared`: the sources are named by `exprun_inputs` too.

        Raises:
            SettingsError: nothing of it can be seen, or a module is not there.
        """
        scripts, module = self.scripts, self.module
        if scripts:
            modules = [name for name in self._shell_modules if self._is_own(name)]
            closure = script_closure(scripts, [each for name in modules for each in self._with_main(name)], self.search)
            for path in scripts:
                if path.suffix != ".py":
                    closure.environment |= set(_SHELL_VARIABLE.findall(path.read_text("utf-8", "replace")))
        elif module is not None:
            closure = script_closure([], self._with_main(module), self.search)
        elif declared:
            closure = Closure()
        else:
            raise SettingsError(
                f"exprun_command = {shlex.join(self.command)}: no script and no module to be seen in it, so a change of its sources "
                "would go unnoticed: name them with exprun_inputs, for instance exprun_inputs = src/**/*.py"
            )
        return closure

    def _is_own(self, module: str) -> bool:
        path = next((each.path for each in reversed(locate(module, self.search)) if each.name == module), None)
        return path is not None and is_first_party(path)

    def _with_main(self, module: str) -> list[str]:
        found = locate(module, self.search)
        if len(found) < len(module.split(".")):
            raise SettingsError(
                f"exprun_command = {shlex.join(self.command)}: module {module} not found from {self.cwd}; "
                "set exprun_cwd, or correct the name"
            )
        return [module, f"{module}.__main__"] if found[-1].is_package else [module]


def _named_python(command: Sequence[str]) -> str | None:
    """Return the Python that a command names by a path."""
    return next((word for word in command if os.sep in word and _PYTHON.fullmatch(Path(word).name)), None)


def _at_home(name: str) -> Path:
    """Return a path with `~` as a shell reads it: of nobody it is a name like any other."""
    return Path(os.path.expanduser(name))  # noqa: PTH111  # Path.expanduser raises for an unknown user


def _is_launcher(found: importlib.metadata.EntryPoints) -> bool:
    return any(each.module in _LAUNCHERS or each.module.partition(".")[0] in {"torch", "accelerate"} for each in found)


def components(settings: Settings) -> dict[str, str]:
    """Return what a key says of the command besides its sources."""
    found = {
        "command": shlex.join(settings.command),
        "working directory": settings.cwd.as_posix(),
        "metrics from": json.dumps([settings.log_format, settings.pattern, settings.metrics_file]),
    }
    if settings.tokens_per_step:
        found["tokens per step"] = str(settings.tokens_per_step)
    for word in settings.env:
        name, _, value = word.partition("=")
        # Records are committed, and a value may be a secret.
        shown = value if placeholders(value) else hashlib.sha256(value.encode()).hexdigest()
        found[f"environment {name} (exprun_env)"] = shown
    interpreter = _interpreter(settings)
    if interpreter is not None:
        found["interpreter"] = interpreter
    return found


def _interpreter(settings: Settings) -> str | None:
    """Tell what is installed beside a Python that the command names by path, if that is another one than this session's."""
    named = _named_python(settings.command)
    if named is None:
        return None
    python = settings.path("cwd") / _at_home(named)
    if python.absolute().parent.resolve() == Path(sys.executable).parent.resolve():
        return None
    prefix = python.absolute().parent.parent
    installed = sorted(path.name for path in prefix.glob("lib/python*/site-packages/*.dist-info"))
    venv = prefix / "pyvenv.cfg"
    text = venv.read_text(encoding="utf-8", errors="replace") if venv.is_file() else ""
    return hashlib.sha256("\n".join([named, text, *installed]).encode()).hexdigest()
