"""Every option of the plugin, one row each: pytest's command line, the ini file and the `exprun` command all read this table."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pytest_exprun.settings import options as kinds
from pytest_exprun.settings.executors import EXECUTORS, executor_kind
from pytest_exprun.settings.options import Option, choice, entry_point, number, option
from pytest_exprun.settings.templates import check_command, options_last, options_set
from pytest_exprun.terms.errors import RefusedError, SettingsError
from pytest_exprun.terms.model import (
    RESERVED,
    SEED_BY_SEED,
    SEEDS,
    STANDARD_TOKENS,
    Budget,
    Variant,
    baseline_seeds,
    lower_is_better,
    sets,
)
from pytest_exprun.terms.secrets import concealed

RULES: Mapping[str, float | None] = {"two_sigma": 2.0, "tested": None}
"""Each rule's fixed bar in baseline sigmas; None where `exprun_min_effect` sets it. All else about a rule stands in verdict.rules.TABLE."""
LEAST_BAR_TO_STOP = 1.0
"""The lowest bar, in baseline sigmas, of a rule whose experiments may be stopped seed by seed: single seeds show no smaller effect."""
GATES = ("not_loser", "non_inferior", "winner", "confirmed", "loser", "identical")
CONFIRMED_GATE = "confirmed"
GATES_OF_HARM = ("non_inferior", "loser")
"""Gates that want proof about harm, or of none: an experiment that is stopped early has neither."""
PLOTS = ("auto", "off")
SEALS = ("refuse", "overlay")
IN_TURN = "interleaved"
ORDERS = ("sequential", IN_TURN)
STALE = ("verify", "retrain", "error", "keep")
MODES = ("run", "plan", "frozen", "refresh")
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

_OF_WORDS = (kinds.WORDS, kinds.TEMPLATES, kinds.VARIABLES)
"""Kinds whose words may be options or variables with a secret."""

RUNS_ON_TREES = "trees/runs"
"""Where in the store runs on other states of the files have their folders."""

# What an option is about, in the order of every list of options.
TRAINED = "what is trained"
COMMAND = "a command in place of a function"
LENGTH = "how long, and how many seeds"
COMPARED = "states of the code"
JUDGED = "how it is judged"
STORED = "stored runs"
PERFORMED = "where runs are performed"
PLACES = "where things go"


@dataclass(frozen=True)
class Settings:
    """What a session was told. Paths are relative to `root` until `path` makes them absolute."""

    trainer: str = option(
        TRAINED,
        "train_llm:main",
        entry_point(""),
        "the training function",
        "module:function, for instance train_llm:main",
    )
    baseline: tuple[str, ...] = option(
        TRAINED, (), kinds.WORDS, "flags of the default baseline", "command-line tokens, for instance --recipe=modern"
    )
    args: tuple[str, ...] = option(
        TRAINED, (), kinds.WORDS, "arguments of every run of both arms", "command-line tokens, for instance --size nano"
    )

    command: tuple[str, ...] = option(
        COMMAND,
        (),
        kinds.TEMPLATES,
        "the training command, in place of exprun_trainer; no shell reads it",
        "a command with {seed}, {output_dir} and {flags}: python train.py --seed={seed} --max_iters={steps} --out_dir={output_dir} {flags}",
    )
    env: tuple[str, ...] = option(COMMAND, (), kinds.VARIABLES, "environment variables of the command")
    cwd: Path = option(COMMAND, Path(), kinds.PATH, "working directory of the command")
    tokens_per_step: int = option(COMMAND, 0, number(0, int), "train tokens of one step of the command, 0 if unknown")
    log_format: str = option(
        COMMAND, "auto", choice(*LOG_FORMATS), "how the command prints its metrics (auto: recognised)"
    )
    pattern: str = option(
        COMMAND,
        "",
        kinds.PATTERN,
        "a regular expression for the metrics in the command's output, in place of a format",
        "one with a group for each metric: val loss (?P<val_loss>[0-9.eE+-]+)",
    )
    metrics_file: str = option(
        COMMAND,
        "",
        kinds.TEMPLATE,
        "the file in which the command leaves its metrics",
        "a .json, .jsonl or .csv file, a glob if need be: {output_dir}/metrics.json",
    )

    against: str = option(
        COMPARED,
        "",
        kinds.REVISION,
        "judge the working tree beside the tests: its files against those of this commit",
        "a branch, a tag or a commit; merge-base: where the work branched off",
    )
    against_gate: str = option(COMPARED, "not_loser", choice(*GATES), "what such a comparison must be to pass")
    tried: tuple[str, ...] = option(
        COMPARED,
        (),
        kinds.WORDS,
        "judge these states in place of any test",
        "branches, tags or commits; . is the working tree",
    )
    flags: tuple[str, ...] = option(
        COMPARED, (), kinds.WORDS, "judge one experiment by these flags in place of any test"
    )
    shared: tuple[str, ...] = option(
        COMPARED,
        (),
        kinds.WORDS,
        "what git ignores and every state of the code needs",
        "paths or globs below the root directory",
    )
    sealed: tuple[str, ...] = option(
        COMPARED,
        (),
        kinds.WORDS,
        "files that a state on trial must not change: the evaluation, its data",
        "paths or globs below the root directory",
    )
    seal: str = option(
        COMPARED,
        "refuse",
        choice(*SEALS),
        "what happens to a state that changes them: it is refused, or trained with the control's (overlay)",
    )

    tokens: int = option(LENGTH, STANDARD_TOKENS, number(1, int), "train tokens of every run")
    budget: Budget = option(LENGTH, None, kinds.BUDGET, "how long every run trains, if not by tokens")
    baseline_seeds: int = option(LENGTH, len(SEEDS), number(len(SEEDS), int), "seeds of every baseline arm")

    metric: str = option(JUDGED, "val_loss", kinds.NAME, "the metric that decides")
    higher_is_better: tuple[str, ...] = option(
        JUDGED, (), kinds.WORDS, "metrics of which more is better", "names of metrics"
    )
    lower_is_better: tuple[str, ...] = option(
        JUDGED, (), kinds.WORDS, "metrics of which less is better", "names of metrics"
    )
    rule: str = option(JUDGED, "two_sigma", choice(*RULES), "how a verdict is reached")
    min_effect: float = option(JUDGED, 2.0, number(0), "the bar of rule `tested`, in baseline sigmas")
    futility: float | str = option(
        JUDGED,
        "auto",
        kinds.FUTILITY,
        "when an experiment ends before its last seed: never, after each of its seeds that makes more not worth it (seeds), or by rule "
        "`tested` after three below so many sigmas; auto: seeds for what `exprun try` and `run` judge, never for tests",
    )
    confirm: str = option(
        JUDGED,
        "never",
        choice("never", "winners"),
        "judge every WINNER once more on fresh seeds, drawn from the ledger",
    )

    mode: str = option(
        STORED,
        "run",
        choice(*MODES),
        "run, or plan (train nothing, list what is missing), frozen (use stored runs only), refresh (train again)",
    )
    stale: str = option(
        STORED,
        "verify",
        choice(*STALE),
        "stored runs of changed code: verify (one seed again, bit for bit), retrain, error, or keep (judge them, marked)",
    )
    clocks: tuple[str, ...] = option(
        STORED,
        (),
        kinds.WORDS,
        "metrics that a clock or the machine measured: they may differ between two runs of one computation",
        "names of metrics",
    )
    inputs: tuple[str, ...] = option(
        STORED,
        (),
        kinds.WORDS,
        "files and folders that a run reads: their content belongs to the key of a stored run",
        "paths or globs below the root directory",
    )

    executor: str = option(
        PERFORMED,
        "inprocess",
        entry_point(*EXECUTORS),
        f"where runs are performed: {', '.join(f'{name} ({each.about})' for name, each in EXECUTORS.items())}",
        f"{', '.join(EXECUTORS)}, or module:Class",
    )
    jobs: int = option(PERFORMED, 1, number(1, int), "runs at once, of executors that can")
    order: str = option(
        PERFORMED,
        "sequential",
        choice(*ORDERS),
        "all of the control's runs first, or both arms' in turn, seed by seed, so that times are compared pair by pair",
    )
    timeout: float = option(PERFORMED, 0.0, number(0), "seconds after which a run is ended as an error (0: never)")
    ray_resources: tuple[str, ...] = option(
        PERFORMED, ("num_cpus=1",), kinds.AMOUNTS, "what executor `ray` reserves for a run"
    )

    report_dir: Path = option(PLACES, Path("docs/research"), kinds.PATH, "folder of the reports")
    plots: str = option(
        PLACES, "auto", choice(*PLOTS), "pictures in the reports: auto draws them where matplotlib is installed"
    )
    store: Path = option(PLACES, Path(".exprun"), kinds.PATH, "folder of the stored runs")
    checkpoint_dir: Path = option(
        PLACES, Path("checkpoints"), kinds.PATH, "folder that runs write in, each its own, removed after recording"
    )

    root: Path = Path()
    home: Path | None = None
    """The root of the session where `root` is another state of its files, a tree."""

    @classmethod
    def rows(cls) -> Iterator[Option]:
        """The options, in the order of the help text."""
        return (Option(row.name, row.default, **row.metadata) for row in fields(cls) if row.metadata)

    @classmethod
    def groups(cls) -> dict[str, list[Option]]:
        """The options by what they are about."""
        found: dict[str, list[Option]] = {}
        for row in cls.rows():
            found.setdefault(row.about, []).append(row)
        return found

    @classmethod
    def read(cls, given: Mapping[str, object], root: Path) -> Settings:
        """Parse what was given by option name: a text, or a list of words as TOML has it; absent or None means the default.

        Raises:
            SettingsError: a value that is not allowed, with the option, the value and what is allowed.
        """
        values: dict[str, Any] = {}
        for row in cls.rows():
            if (said := given.get(row.name)) is None:
                continue
            text = (" ".join(map(str, said)) if isinstance(said, list) else str(said)).strip()
            if row.kind in _OF_WORDS:
                concealed(text.split(), root)  # known from here on: the text is repeated if it is wrong
            try:
                values[row.name] = row.kind.parse(text)
            except ValueError as error:
                detail = f"{error}; " if row.kind.explains else ""
                raise SettingsError(f"{row.key} = {text!r}: {detail}allowed is {row.allowed}") from None
            if row.kind in _OF_WORDS:
                values[row.name] = concealed(values[row.name], root, template=row.kind is not kinds.WORDS)
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
        if settings.order == IN_TURN and settings.several_at_once:
            raise SettingsError(
                f"exprun_order = {IN_TURN} trains one run after the other, and exprun_executor = {settings.executor} with exprun_jobs = "
                f"{settings.jobs} several at once: set exprun_executor = inprocess or exprun_jobs = 1"
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
            alone = next((row for row in self.groups()[COMMAND] if given.get(row.name)), None)
            if alone:
                raise SettingsError(f"{alone.key} is about the training command, but there is no exprun_command")
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
                if sets(word):
                    raise SettingsError(
                        f"exprun_{row} = {shlex.join(getattr(self, row))}: {word.partition('=')[0]} is reserved: the plugin sets --seed, "
                        "--output_dir and the budget itself; take it out (exprun_tokens or exprun_budget sets the budget)"
                    )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values without `root` and `home`, for a process that performs runs elsewhere."""
        values = {row.name: getattr(self, row.name) for row in self.rows()} | {"budget": vars(self.budget)}
        plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any], root: Path, home: Path | None = None) -> Settings:
        """Rebuild what `to_json` wrote.

        Raises:
            SettingsError: an option that this version does not know, as between two machines with different versions.
        """
        defaults = {row.name: row.default for row in cls.rows()}
        if unknown := set(data) - set(defaults):
            raise SettingsError(f"unknown option exprun_{min(unknown)}: is pytest-exprun the same version everywhere?")
        values = {name: _from_plain(value, defaults[name]) for name, value in data.items()}
        return cls(root=root, home=home, **values)

    def on_tree(self, root: Path) -> Settings:
        """Return the same settings for another state of the files, which lies in a folder of its own.

        What we write stays where it was, but for what runs write: below the root that would be new files in somebody's checkout.
        """
        checkpoints, store = self.path("checkpoint_dir"), self.path("store").resolve()
        return replace(
            self,
            root=root.resolve(),
            home=self.root,
            report_dir=self.path("report_dir"),
            store=store,
            checkpoint_dir=store / RUNS_ON_TREES if checkpoints.is_relative_to(self.root) else checkpoints,
        )

    @property
    def reserved(self) -> dict[str, str]:
        """The options that flags may not set, dashes as underscores, and what to say of each."""
        last = {
            name: f"exprun_command has {word} behind {{flags}}, where the last one wins: put it before {{flags}}"
            for name, word in options_last(self.command).items()
        }
        own = last | {name: f"exprun_command sets it by {words}" for name, words in options_set(self.command).items()}
        return {**dict.fromkeys(RESERVED, "the plugin sets it"), **own}

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

    def stops(self, gate: str, rule: str, min_effect: float) -> float | str:
        """Return the futility of an experiment: a gate about harm wants all seeds, and nobody is asked to stop what a low bar forbids.

        Raises:
            RefusedError: it is to be stopped seed by seed, by these settings, and its bar is too low for that.
        """
        is_automatic = self.futility == "auto"
        asked = SEED_BY_SEED if is_automatic and (self.tried or self.flags) else 0.0 if is_automatic else self.futility
        if asked != SEED_BY_SEED:
            return asked
        if gate in GATES_OF_HARM:
            return 0.0
        if (why_not := why_not_stopped(rule, min_effect)) and not is_automatic:
            raise RefusedError(f"exprun_futility = {why_not}")
        return 0.0 if why_not else asked

    @property
    def default_control(self) -> Variant:
        """The baseline that experiments without `baseline=` are compared with."""
        return Variant(self.baseline)

    @property
    def seeds_of_baselines(self) -> tuple[int, ...]:
        """Seeds of every baseline arm."""
        return baseline_seeds(self.baseline_seeds)

    def directions(self, metric: str, less: bool | None, fix: str) -> tuple[tuple[str, bool], ...]:
        """Return metric -> whether less of it is better, as declared here; `less` is what is said of `metric` beside.

        Raises:
            RefusedError: nobody says it of `metric`, and its name does not tell; `fix` is what to do.
        """
        declared = {**dict.fromkeys(self.lower_is_better, True), **dict.fromkeys(self.higher_is_better, False)}
        if less is not None:
            declared[metric] = less
        if lower_is_better(metric, declared) is None:
            raise RefusedError(f"nobody says whether more {metric} is better: {fix}")
        return tuple(sorted(declared.items()))

    def path(self, name: str) -> Path:
        """An option's path, absolute: `report_dir`, `store` or `checkpoint_dir`."""
        value: Path = getattr(self, name)
        return self.root / value


def why_not_stopped(rule: str, min_effect: float) -> str:
    """Return why an experiment cannot be stopped seed by seed; empty if it can."""
    fixed = RULES[rule]
    bar = min_effect if fixed is None else fixed
    return (
        ""
        if bar >= LEAST_BAR_TO_STOP
        else f"{SEED_BY_SEED} wants a bar of at least {LEAST_BAR_TO_STOP:g} baseline sigma: min_effect is {bar:g}; 'never' trains all seeds"
    )


def _from_plain(value: Any, default: Any) -> Any:
    if isinstance(value, dict):
        return Budget(**value)
    return type(default)(value) if isinstance(default, Path | tuple) else value
