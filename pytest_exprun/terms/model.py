"""The nouns of an experiment: what is trained, what came out, what was concluded. Standard library only.

Everything is frozen and converts to plain JSON values and back, so that a record, a report and an xdist message are the same data.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from pytest_exprun.terms.errors import NotComparable, RefusedError

SEEDS = (42, 137, 256, 512, 1024)
"""The protocol's seeds, in training order. The first three are an experiment's first look."""
FIRST_LOOK = 3
RESERVED = ("seed", "train_tokens", "train_steps", "train_seconds", "output_dir")
"""Options of a trainer that only the plugin sets."""
STANDARD_TOKENS = 1_000_000

Status = Literal["finished", "diverged", "crashed", "timeout"]


LOWER_IS_BETTER = frozenset({"loss", "perplexity", "ppl", "bpb", "error", "time"})
HIGHER_IS_BETTER = frozenset({"acc", "accuracy", "f1", "bleu", "auc", "reward"})


def lower_is_better(metric: str, declared: Mapping[str, bool]) -> bool | None:
    """Return whether less of a metric is better: as declared, else by the words of its name, else None (unknown)."""
    if metric in declared:
        return declared[metric]
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    lower, higher = bool(words & LOWER_IS_BETTER), bool(words & HIGHER_IS_BETTER) or metric == "tokens_per_second"
    return None if lower == higher else lower


class Verdict(StrEnum):
    """What the protocol says of an experiment."""

    WINNER = "WINNER"
    NEUTRAL = "NEUTRAL"
    LOSER = "LOSER"


def baseline_seeds(count: int) -> tuple[int, ...]:
    """Return `count` baseline seeds: the protocol's, then each the double of the one before.

    >>> baseline_seeds(7)
    (42, 137, 256, 512, 1024, 2048, 4096)
    """
    return (*SEEDS[:count], *(SEEDS[-1] * 2**more for more in range(1, count - len(SEEDS) + 1)))


@dataclass(frozen=True)
class Budget:
    """How much one run may train: `amount` of `unit`."""

    amount: int = STANDARD_TOKENS
    unit: str = "tokens"

    @property
    def suffix(self) -> str:
        """`1M`, `20K` or plain digits, as in the names of reports and checkpoints; another unit than tokens is appended."""
        number = str(self.amount)
        for size, letter in ((1_000_000, "M"), (1_000, "K")):
            if self.amount % size == 0:
                number = f"{self.amount // size}{letter}"
                break
        return number if self.unit == "tokens" else f"{number}-{self.unit}"

    @property
    def is_standard(self) -> bool:
        """Whether this is the protocol's scale, 1,000,000 tokens."""
        return self.unit == "tokens" and self.amount == STANDARD_TOKENS

    def __str__(self) -> str:
        return f"{self.suffix} {self.unit}" if self.unit == "tokens" else f"{self.amount} {self.unit}"


def slugify(text: str) -> str:
    """Lower case, other characters than `[a-z0-9._-]` as `-`, none at either end, at most 64."""
    return re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9._-]", "-", text.lower())).strip("-._")[:64].rstrip("-._")


def _option_groups(flags: Sequence[str]) -> list[tuple[str, ...]]:
    """Split a token list into options with their values, dashes in option names as underscores."""
    groups: list[list[str]] = []
    for token in flags:
        if token.startswith("--") and len(token) > len("--"):
            name, equals, value = token[2:].partition("=")
            groups.append([f"--{name.replace('-', '_')}{equals}{value}"])
        elif groups:
            groups[-1].append(token)
        else:
            groups.append([token])
    return [tuple(group) for group in groups]


def option_name(token: str) -> str:
    """Return the option a token sets, without dashes, value or a leading `no_`: `--no-rope` -> `rope`."""
    return token.lstrip("-").partition("=")[0].replace("-", "_").removeprefix("no_")


@dataclass(frozen=True)
class Variant:
    """What is trained: flags on a source tree (`ref` None = the working tree)."""

    flags: tuple[str, ...] = ()
    ref: str | None = None

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """The canonical token list. Options are sorted only if each is set once: the last of two settings wins, so order matters then."""
        groups = _option_groups(self.flags)
        names = [option_name(group[0]) for group in groups]
        if len(set(names)) == len(names):
            groups.sort()
        return tuple(token for group in groups for token in group)

    @cached_property
    def slug(self) -> str:
        """A readable folder name; two variants may share one, their keys tell them apart."""
        return slugify("-".join(token.lstrip("-") for token in self.identity)) or "baseline"

    def __str__(self) -> str:
        return " ".join(self.flags) or "no flags"


@dataclass(frozen=True)
class RunSpec:
    """One run to perform. `argv` is the one contract with every trainer and every executor."""

    variant: Variant
    seed: int
    budget: Budget = Budget()
    common_args: tuple[str, ...] = ()

    def argv(self, output_dir: str) -> list[str]:
        """Return the trainer's command line; the budget's option is named after its unit."""
        head = [f"--train_{self.budget.unit}", str(self.budget.amount), "--seed", str(self.seed)]
        return [*head, *self.common_args, *self.variant.flags, "--output_dir", output_dir]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "flags": list(self.variant.flags),
            "ref": self.variant.ref,
            "seed": self.seed,
            "budget": {"amount": self.budget.amount, "unit": self.budget.unit},
            "common_args": list(self.common_args),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSpec:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError, TypeError or ValueError."""
        return cls(
            Variant(tuple(data["flags"]), data["ref"]),
            data["seed"],
            Budget(**data["budget"]),
            tuple(data["common_args"]),
        )


@dataclass(frozen=True)
class CurvePoint:
    """One progress line of a run: `Step <step> | <name>: <value> | ...`. A non-finite value is None."""

    step: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class RunResult:
    """What one run gave. A non-finite metric is None and the status says `diverged`: records never hold a bare NaN."""

    spec: RunSpec
    status: Status
    metrics: Mapping[str, float | None]
    notes: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, no NaN among them."""
        return {
            "spec": self.spec.to_json(),
            "status": self.status,
            "metrics": dict(self.metrics),
            "notes": dict(self.notes),
            "curve": [[point.step, dict(point.values)] for point in self.curve],
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunResult:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError, TypeError or ValueError."""
        return cls(
            spec=RunSpec.from_json(data["spec"]),
            status=data["status"],
            metrics=data["metrics"],
            notes=data["notes"],
            curve=tuple(CurvePoint(step, values) for step, values in data["curve"]),
            provenance=data["provenance"],
        )


@dataclass(frozen=True)
class Summary:
    """Descriptive statistics of one metric over seeds. `std` has ddof = 1 and is None at n = 1: undefined, not 0."""

    n: int
    mean: float
    std: float | None
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Summarise finite values; the two-pass variance is exact to rounding even at offsets of 1e9.

        Raises:
            RefusedError: no values, or one that is not finite.
        """
        if not values:
            raise RefusedError("no values to describe: at least one is needed")
        if not all(map(math.isfinite, values)):
            raise RefusedError(f"cannot describe {list(values)}: a value is not finite")
        n = len(values)
        # Shifted by the first value, so that a large common offset costs no digits.
        shifted = [value - values[0] for value in values]
        centre = math.fsum(shifted) / n
        std = math.sqrt(math.fsum([(value - centre) ** 2 for value in shifted]) / (n - 1)) if n > 1 else None
        return cls(n, values[0] + centre, std, min(values), max(values))


@dataclass(frozen=True)
class Arm:
    """One variant over several seeds. It has no role: an experiment here may be the control there."""

    variant: Variant
    runs: tuple[RunResult, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds in training order."""
        return tuple(run.spec.seed for run in self.runs)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that every run has, in the first run's order."""
        return tuple(name for name in self.runs[0].metrics if all(name in run.metrics for run in self.runs))

    def values(self, metric: str) -> dict[int, float]:
        """Return seed -> value, a diverged value as NaN.

        Raises:
            RefusedError: a run lacks the metric.
        """
        found = {}
        for run in self.runs:
            if metric not in run.metrics:
                known = ", ".join(run.metrics) or "none"
                raise RefusedError(
                    f"seed {run.spec.seed} of {self.variant} has no metric {metric!r}; it returned: {known}"
                )
            value = run.metrics[metric]
            found[run.spec.seed] = math.nan if value is None else value
        return found

    def __getitem__(self, metric: str) -> Summary:
        """Summarise the finite seeds of one metric."""
        if metric not in self._summaries:
            self._summaries[metric] = Summary.of(
                [value for value in self.values(metric).values() if math.isfinite(value)]
            )
        return self._summaries[metric]

    @cached_property
    def _summaries(self) -> dict[str, Summary]:
        """What was asked for already: reports ask for the same figures many times."""
        return {}

    @cached_property
    def json_lines(self) -> tuple[str, ...]:
        """Each run as one line of JSON. A baseline's stand in the report of every experiment on it."""
        return tuple(json.dumps(run.to_json(), allow_nan=False) for run in self.runs)

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)


@dataclass(frozen=True)
class Experiment:
    """A declared comparison: one change on a control."""

    name: str
    variant: Variant
    control: Variant = Variant()
    common_args: tuple[str, ...] = ()
    metric: str = "val_loss"
    directions: tuple[tuple[str, bool], ...] = ()
    budget: Budget = Budget()
    seeds: tuple[int, ...] = SEEDS
    rule: str = "two_sigma"
    min_effect: float = 2.0
    futility: float = 0.0
    baseline_seeds: tuple[int, ...] = SEEDS
    gate: str = "not_loser"
    prediction: str = ""
    nodeids: tuple[str, ...] = ()

    @property
    def lower_is_better(self) -> bool:
        """The judged metric's direction; a declaration without a known direction is refused where it is made."""
        return lower_is_better(self.metric, dict(self.directions)) is not False

    @property
    def change(self) -> tuple[str, ...]:
        """The experiment's own flags, without the control's."""
        return self.variant.flags[len(self.control.flags) :]

    @cached_property
    def comparison_id(self) -> str:
        """What makes two tests ask the same question. Name, gate, prediction and nodeids do not."""
        parts = (
            self.variant.identity,
            self.control.identity,
            self.common_args,
            self.metric,
            self.lower_is_better,
            self.rule,
            self.min_effect,
            self.futility,
            self.seeds,
            self.baseline_seeds,
            self.budget.amount,
            self.budget.unit,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("variant", "control"):
            data[name] = {"flags": list(data[name].flags), "ref": data[name].ref}
        data["budget"] = {"amount": self.budget.amount, "unit": self.budget.unit}
        data["directions"] = dict(self.directions)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Experiment:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError, TypeError or ValueError."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        for name in ("variant", "control"):
            values[name] = Variant(tuple(data[name]["flags"]), data[name]["ref"])
        values["budget"] = Budget(**data["budget"])
        values["directions"] = tuple(data["directions"].items())
        return cls(**values)


@dataclass(frozen=True)
class Effect:
    """One metric compared. A field is None where it is undefined (no variance, one seed, a diverged seed).

    delta, percent, cohens_d, hedges_g and the interval are experiment minus baseline; improvement and sigmas are positive when better.
    """

    metric: str
    delta: float | None = None
    raw_percent: float | None = None
    improvement: float | None = None
    sigmas: float | None = None
    cohens_d: float | None = None
    hedges_g: float | None = None
    effect_class: str | None = None
    p_value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    comparable: bool = True
    why_not: str = ""

    @property
    def percent(self) -> float | None:
        """Change in percent of the baseline's mean.

        Raises:
            NotComparable: the two arms were not measured under like conditions; `raw_percent` has the figure all the same.
        """
        __tracebackhide__ = True  # the test's own line is what its reader must see
        if not self.comparable:
            raise NotComparable(f"{self.metric} of the two arms is not comparable: {self.why_not}")
        return self.raw_percent

    def __repr__(self) -> str:
        """Return what a failed assertion shows: the change with its size and interval, each where it is defined."""
        shown = {
            "": None if self.delta is None else f"{self.delta:+.4g}",
            "percent": None if self.raw_percent is None else f"{self.raw_percent:+.3g}",
            "sigmas": None if self.sigmas is None else f"{self.sigmas:+.3g}",
            "cohens_d": None if self.cohens_d is None else f"{self.cohens_d:+.3g}",
            "p": None if self.p_value is None else f"{self.p_value:.2g}",
            "ci": None if self.ci_low is None else f"({self.ci_low:+.4g}, {self.ci_high:+.4g})",
        }
        figures = ", ".join(f"{name} {text}".strip() for name, text in shown.items() if text is not None)
        return f"<Effect on {self.metric}: {figures or 'undefined'}>"

    @property
    def ci(self) -> tuple[float | None, float | None]:
        """The 95 % interval of delta."""
        return (self.ci_low, self.ci_high)
