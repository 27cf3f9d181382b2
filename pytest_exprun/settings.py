"""Every option of the plugin, one row each: pytest's command line, the ini file and the `exprun` command all read this table."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from pytest_exprun.errors import SettingsError
from pytest_exprun.model import SEEDS, STANDARD_TOKENS, Budget, Variant, baseline_seeds

RULES = ("two_sigma", "tested")
GATES = ("not_loser", "non_inferior", "winner", "loser", "identical")
PLOTS = ("auto", "off")
STALE = ("verify", "retrain", "error", "keep")
MODES = ("run", "plan", "frozen", "refresh")
EXECUTORS = ("inprocess", "processes", "ray")


def _row(default: Any, parse: Callable[[str], Any], help: str, allowed: str) -> Any:  # noqa: A002  # argparse's word
    return field(default=default, metadata={"parse": parse, "help": help, "allowed": allowed})


def _choice(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return parse


def _number(low: float, kind: type[int | float]) -> Callable[[str], Any]:
    def parse(text: str) -> float:
        value = kind(text.replace("_", ""))
        if not math.isfinite(value) or value < low:
            raise ValueError(text)
        return value

    return parse


def _entry_point(text: str) -> str:
    module, _, function = text.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(text)
    return text


def _executor(text: str) -> str:
    return text if text in EXECUTORS else _entry_point(text)


def _resources(text: str) -> tuple[str, ...]:
    """Parse `num_cpus=1 num_gpus=0.5`: amounts that one run needs."""
    for word in (words := _words(text)):
        name, equals, amount = word.partition("=")
        if not name or not equals:
            raise ValueError(word)
        _number(0, float)(amount)
    return words


def _words(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


def _path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise ValueError(text)
    return Path(os.path.expandvars(text)).expanduser()


@dataclass(frozen=True)
class Settings:
    """What a session was told. Paths are relative to `root` until `resolve` makes them absolute."""

    trainer: str = _row(
        "train_llm:main", _entry_point, "the training function", "module:function, for instance train_llm:main"
    )
    tokens: int = _row(STANDARD_TOKENS, _number(1, int), "train tokens of every run", "a whole number of at least 1")
    baseline: tuple[str, ...] = _row(
        (), _words, "flags of the default baseline", "command-line tokens, for instance --recipe=modern"
    )
    args: tuple[str, ...] = _row(
        (), _words, "arguments given to every run of both arms", "command-line tokens, for instance --size nano"
    )
    rule: str = _row("two_sigma", _choice(RULES), "how a verdict is reached", " or ".join(RULES))
    mode: str = _row(
        "run",
        _choice(MODES),
        "run, or plan (train nothing, list what is missing), frozen (use stored runs only), refresh (train again)",
        ", ".join(MODES),
    )
    stale: str = _row(
        "verify",
        _choice(STALE),
        "stored runs of changed code: verify (one seed again, bit for bit), retrain, error, or keep (judge them, marked)",
        ", ".join(STALE),
    )
    metric: str = _row("val_loss", str.strip, "the metric that decides", "a name the trainer returns")
    min_effect: float = _row(
        2.0, _number(0, float), "the bar of rule `tested`, in baseline sigmas", "a number of at least 0"
    )
    futility: float = _row(
        0.0,
        _number(0, float),
        "rule `tested` stops after three seeds below this many sigmas (0: never)",
        "a number of at least 0",
    )
    baseline_seeds: int = _row(
        len(SEEDS), _number(len(SEEDS), int), "seeds of every baseline arm", f"a whole number of at least {len(SEEDS)}"
    )
    higher_is_better: tuple[str, ...] = _row((), _words, "metrics of which more is better", "names of metrics")
    lower_is_better: tuple[str, ...] = _row((), _words, "metrics of which less is better", "names of metrics")
    inputs: tuple[str, ...] = _row(
        (),
        _words,
        "files and folders that a run reads: their content belongs to the key of a stored run",
        "paths or globs below the root directory",
    )
    plots: str = _row(
        "auto",
        _choice(PLOTS),
        "pictures in the reports: auto draws them where matplotlib is installed",
        ", ".join(PLOTS),
    )
    executor: str = _row(
        "inprocess",
        _executor,
        "where runs are performed: inprocess (one after the other), processes (each in a fresh one), ray (a cluster)",
        f"{', '.join(EXECUTORS)}, or module:Class",
    )
    jobs: int = _row(1, _number(1, int), "runs at once, of executors that can", "a whole number of at least 1")
    timeout: float = _row(
        0.0, _number(0, float), "seconds after which a run is ended as an error (0: never)", "a number of at least 0"
    )
    ray_resources: tuple[str, ...] = _row(
        ("num_cpus=1",), _resources, "what executor `ray` reserves for a run", "name=amount, as num_cpus=1 num_gpus=1"
    )
    report_dir: Path = _row(Path("docs/research"), _path, "folder of the reports", "a path")
    store: Path = _row(Path(".exprun"), _path, "folder of the stored runs", "a path")
    checkpoint_dir: Path = _row(
        Path("checkpoints"), _path, "folder that runs write in, each its own, removed after recording", "a path"
    )
    root: Path = field(default=Path(), metadata={})

    @classmethod
    def rows(cls) -> Iterator[Field[Any]]:
        """The options, in the order of the help text."""
        return (row for row in fields(cls) if row.metadata)

    @classmethod
    def read(cls, given: Mapping[str, str | None], root: Path) -> Settings:
        """Parse texts by option name; absent or None means the default.

        Raises:
            SettingsError: a value that is not allowed, with the option, the value and what is allowed.
        """
        values: dict[str, Any] = {}
        for row in cls.rows():
            text = given.get(row.name)
            if text is None:
                continue
            try:
                values[row.name] = row.metadata["parse"](text.strip())
            except ValueError:
                raise SettingsError(
                    f"exprun_{row.name} = {text.strip()!r}: allowed is {row.metadata['allowed']}"
                ) from None
        settings = cls(root=root, **values)
        if settings.jobs > 1 and settings.executor == "inprocess":
            raise SettingsError(
                f"exprun_jobs = {settings.jobs}: executor inprocess trains one run after the other; "
                "set exprun_executor = processes for several at once"
            )
        return settings

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values without `root`, for a process that performs runs elsewhere."""
        plain = {row.name: getattr(self, row.name) for row in self.rows()}
        return {
            name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in plain.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], root: Path) -> Settings:
        """Rebuild what `to_json` wrote.

        Raises:
            SettingsError: an option that this version does not know, as between two machines with different versions.
        """
        defaults = {row.name: row.default for row in cls.rows()}
        if unknown := set(data) - set(defaults):
            raise SettingsError(f"unknown option exprun_{min(unknown)}: is pytest-exprun the same version everywhere?")
        values: dict[str, Any] = {
            name: type(default)(value) if isinstance(default := defaults[name], Path | tuple) else value
            for name, value in data.items()
        }
        return cls(root=root, **values)

    @property
    def budget(self) -> Budget:
        """The budget of one run."""
        return Budget(self.tokens)

    @property
    def default_control(self) -> Variant:
        """The baseline that experiments without `baseline=` are compared with."""
        return Variant(self.baseline)

    @property
    def seeds_of_baselines(self) -> tuple[int, ...]:
        """Seeds of every baseline arm."""
        return baseline_seeds(self.baseline_seeds)

    def path(self, name: str) -> Path:
        """An option's path, absolute: `report_dir`, `store` or `checkpoint_dir`."""
        value: Path = getattr(self, name)
        return self.root / value
