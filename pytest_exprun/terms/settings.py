"""Every option of the plugin, one row each: pytest's command line, the ini file and the `exprun` command all read this table."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.executors import EXECUTORS, executor_kind
from pytest_exprun.terms.model import RESERVED, SEEDS, STANDARD_TOKENS, Budget, Variant, baseline_seeds, option_name
from pytest_exprun.terms.templates import check_command, placeholders

RULES = ("two_sigma", "tested")
GATES = ("not_loser", "non_inferior", "winner", "loser", "identical")
PLOTS = ("auto", "off")
STALE = ("verify", "retrain", "error", "keep")
MODES = ("run", "plan", "frozen", "refresh")
UNITS = ("tokens", "steps", "seconds")
LOG_FORMATS = (
    "auto",
    "protocol",
    "nanogpt",
    "modded-nanogpt",
    "autoresearch",
    "huggingface",
    "llm-research-kit",
    "lightning",
)
_OF_COMMANDS = ("env", "cwd", "pattern", "metrics_file", "log_format", "tokens_per_step")


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


def _trainer(text: str) -> str:
    """Empty takes away what the ini file says, so that a command can be given instead."""
    return _entry_point(text) if text else text


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


def _templates(text: str) -> tuple[str, ...]:
    words = _words(text)
    for word in words:
        placeholders(word)
    return words


def _variables(text: str) -> tuple[str, ...]:
    words = _templates(text)
    for word in words:
        if not re.match(r"[A-Za-z_]\w*=", word, re.ASCII):
            raise ValueError(f"{word!r} is no NAME=value")
    return words


def _file_template(text: str) -> str:
    placeholders(text)
    return text


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if text and not groups:
        raise ValueError("it has no named group")
    return text


def _budget(text: str) -> Budget | None:
    """`300 seconds`, `2000 steps`; nothing, or `tokens` alone, leaves it to exprun_tokens."""
    amount, _, unit = text.rpartition(" ")
    if text in {"", "tokens"}:
        return None
    if unit not in UNITS:
        raise ValueError(text)
    return Budget(_number(1, int)(amount), unit)


def _path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise ValueError(text)
    return Path(os.path.expandvars(text)).expanduser()


def _plain(value: Any) -> Any:
    if isinstance(value, Budget):
        return {"amount": value.amount, "unit": value.unit}
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def _from_plain(value: Any, default: Any) -> Any:
    if isinstance(value, dict):
        return Budget(**value)
    return type(default)(value) if isinstance(default, Path | tuple) else value


_EXPLAINED = (_templates, _variables, _file_template, _pattern)
"""Parsers whose own words on a wrong value are shown."""


@dataclass(frozen=True)
class Settings:
    """What a session was told. Paths are relative to `root` until `resolve` makes them absolute."""

    trainer: str = _row(
        "train_llm:main", _trainer, "the training function", "module:function, for instance train_llm:main"
    )
    tokens: int = _row(STANDARD_TOKENS, _number(1, int), "train tokens of every run", "a whole number of at least 1")
    command: tuple[str, ...] = _row(
        (),
        _templates,
        "the training command, in place of exprun_trainer; no shell reads it",
        "a command with {seed}, {output_dir} and {flags}: python train.py --seed={seed} --max_iters={steps} --out_dir={output_dir} {flags}",
    )
    env: tuple[str, ...] = _row((), _variables, "environment variables of the command", "words NAME=value")
    cwd: Path = _row(Path(), _path, "working directory of the command", "a path")
    budget: Budget = _row(
        None,
        _budget,
        "how long every run trains, if not by tokens",
        "an amount and its unit: 300 seconds, or 2000 steps",
    )
    tokens_per_step: int = _row(
        0, _number(0, int), "train tokens of one step of the command, 0 if unknown", "a whole number of at least 0"
    )
    log_format: str = _row(
        "auto", _choice(LOG_FORMATS), "how the command prints its metrics (auto: recognised)", ", ".join(LOG_FORMATS)
    )
    pattern: str = _row(
        "",
        _pattern,
        "a regular expression for the metrics in the command's output, in place of a format",
        "one with a group for each metric: val loss (?P<val_loss>[0-9.eE+-]+)",
    )
    metrics_file: str = _row(
        "",
        _file_template,
        "the file in which the command leaves its metrics",
        "a .json, .jsonl or .csv file, a glob if need be: {output_dir}/metrics.json",
    )
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
        f"where runs are performed: {', '.join(f'{name} ({each.about})' for name, each in EXECUTORS.items())}",
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
            except ValueError as error:
                detail = f"{error}; " if row.metadata["parse"] in _EXPLAINED else ""
                raise SettingsError(
                    f"exprun_{row.name} = {text.strip()!r}: {detail}allowed is {row.metadata['allowed']}"
                ) from None
        # Links resolved: what runs open is compared with it.
        settings = cls(root=root.resolve(), **values)
        settings._check_trainer(values)
        settings._check_reserved()
        if settings.jobs > 1 and executor_kind(settings.executor).at_once == "one":
            others = " or ".join(name for name, each in EXECUTORS.items() if each.at_once == "jobs")
            raise SettingsError(
                f"exprun_jobs = {settings.jobs}: executor {settings.executor} trains one run after the other; "
                f"set exprun_executor = {others} for several at once"
            )
        return settings

    def __post_init__(self) -> None:
        if self.budget is None:
            object.__setattr__(self, "budget", Budget(self.tokens))

    def _check_trainer(self, given: Mapping[str, Any]) -> None:
        """Refuse what does not fit together; `given` was said, the rest are defaults."""
        if given.get("tokens") and given.get("budget"):
            raise SettingsError("exprun_tokens and exprun_budget both say how long a run trains: leave one out")
        if not self.command:
            alone = next((name for name in _OF_COMMANDS if given.get(name)), None)
            if alone:
                raise SettingsError(f"exprun_{alone} is about the training command, but there is no exprun_command")
            if not self.trainer:
                raise SettingsError("nothing says what to train: set exprun_trainer or exprun_command")
            return
        if given.get("trainer"):
            raise SettingsError(
                f"exprun_trainer = {self.trainer} and exprun_command both say what to train: leave one out; on the command line, "
                "--exprun-trainer= takes away the ini file's"
            )
        check_command(self.command, self.env, self.budget, self.tokens_per_step)
        if self.pattern and self.metric not in re.compile(self.pattern).groupindex:
            raise SettingsError(
                f"exprun_pattern = {self.pattern}: no group for the metric that decides, {self.metric}: "
                f"write (?P<{self.metric}>...) around its number"
            )

    def _check_reserved(self) -> None:
        """Refuse what the plugin sets for each run: `--seed=3` for all of them would make one run of five."""
        for row in ("args", "baseline"):
            for word in getattr(self, row):
                if word.startswith("--") and option_name(word) in RESERVED:
                    raise SettingsError(
                        f"exprun_{row} = {shlex.join(getattr(self, row))}: {word.partition('=')[0]} is reserved: the plugin sets --seed, "
                        "--output_dir and the budget itself; take it out (exprun_tokens or exprun_budget sets the budget)"
                    )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values without `root`, for a process that performs runs elsewhere."""
        return {row.name: _plain(getattr(self, row.name)) for row in self.rows()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], root: Path) -> Settings:
        """Rebuild what `to_json` wrote.

        Raises:
            SettingsError: an option that this version does not know, as between two machines with different versions.
        """
        defaults = {row.name: row.default for row in cls.rows()}
        if unknown := set(data) - set(defaults):
            raise SettingsError(f"unknown option exprun_{min(unknown)}: is pytest-exprun the same version everywhere?")
        values = {name: _from_plain(value, defaults[name]) for name, value in data.items()}
        return cls(root=root, **values)

    @property
    def trained_by(self) -> str:
        """What trains, as messages name it."""
        if self.command:
            return f"command {shlex.join(self.command)} (exprun_command)"
        return f"trainer {self.trainer} (exprun_trainer)"

    @property
    def trains_here(self) -> bool:
        """Whether runs are performed by a function in this process, which then has the modules that they import."""
        return executor_kind(self.executor).here and not self.command

    @property
    def several_at_once(self) -> bool:
        """Whether runs are performed beside each other."""
        at_once = executor_kind(self.executor).at_once
        return at_once == "many" or (at_once == "jobs" and self.jobs > 1)

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
