"""The nouns of an experiment: what is trained, on which seeds, how long, against what. Standard library only.

Everything is frozen and converts to plain JSON values and back, so that a record, a report and an xdist message are the same data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pytest_exprun.terms.errors import TrainerError, visible
from pytest_exprun.terms.secrets import true_value

SEEDS = (42, 137, 256, 512, 1024)
"""The protocol's seeds, in training order. The first three are an experiment's first look."""
FIRST_LOOK = 3
SEED_BY_SEED = "seeds"
"""The futility of an experiment that is asked after every seed whether more of them are worth it."""
RESERVED = ("seed", "train_tokens", "train_steps", "train_seconds", "output_dir")
"""Options of a trainer that only the plugin sets."""
STANDARD_TOKENS = 1_000_000
_SHORT = 7


LOWER_IS_BETTER = frozenset(
    {"loss", "perplexity", "ppl", "bpb", "nll", "error", "mse", "rmse", "mae", "wer", "cer", "fid", "time"}
)
HIGHER_IS_BETTER = frozenset(
    {"acc", "accuracy", "f1", "bleu", "rouge", "auc", "auroc", "reward", "return", "r2", "recall", "miou", "psnr"}
)


def lower_is_better(metric: str, declared: Mapping[str, bool]) -> bool | None:
    """Return whether less of a metric is better: as declared, else by the words of its name, else None (unknown)."""
    if metric in declared:
        return declared[metric]
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    lower, higher = bool(words & LOWER_IS_BETTER), bool(words & HIGHER_IS_BETTER) or metric == "tokens_per_second"
    return None if lower == higher else lower


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


def sets(token: str, options: Collection[str] = RESERVED) -> str | None:
    """Return which of these options a token sets: `--train-steps=3`, `--no_seed`, or `--seed 3` in one token."""
    name = _spelled(token)
    return name if name in options else None


def shortens(token: str, options: Collection[str] = RESERVED) -> str | None:
    """Return which of these options a token may set though it is not spelled out: argparse takes `--see=3` for `--seed=3`."""
    name = _spelled(token)
    return next((full for full in options if name and full != name and full.startswith(name)), None)


def _spelled(token: str) -> str:
    """Return the option of a token up to a blank or `=`, as `option_name`; nothing for a value."""
    return option_name(re.split(r"\s", token, maxsplit=1)[0]) if token.startswith("--") else ""


@dataclass(frozen=True)
class Tree:
    """A state of the project's files: what git calls it, and what the user does."""

    id: str
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return visible(self.name) or self.id[:_SHORT]

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Tree | None:
        """Rebuild what `vars` gave; None is the working tree of the session."""
        return None if data is None else cls(data["id"], data["name"])


@dataclass(frozen=True)
class Variant:
    """What is trained: flags on a state of the files (`tree` None: the files of the session's root, as they are)."""

    flags: tuple[str, ...] = ()
    tree: Tree | None = None

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The canonical flags. Options are sorted only if each is set once: the last of two settings wins, so order matters then."""
        groups = _option_groups(self.flags)
        names = [option_name(group[0]) for group in groups]
        if len(set(names)) == len(names):
            groups.sort()
        return tuple(token for group in groups for token in group)

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """What makes two arms of one session the same question."""
        return self.tokens if self.tree is None else (f"tree {self.tree.id}", *self.tokens)

    @cached_property
    def slug(self) -> str:
        """A readable folder name in the store. Variants may share one, on another tree all do: their keys tell them apart."""
        return slugify("-".join(token.lstrip("-") for token in self.tokens)) or "baseline"

    @cached_property
    def label(self) -> str:
        """A readable file name for reports: the slug, and the tree if there is one."""
        return self.slug if self.tree is None else slugify(f"{self.tree}-{self.slug}".removesuffix("-baseline"))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; without a tree as always."""
        return {"flags": list(self.flags)} | ({"tree": vars(self.tree)} if self.tree else {"ref": None})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Variant:
        """Rebuild what `to_json` wrote."""
        return cls(tuple(data["flags"]), Tree.from_json(data.get("tree")))

    def __str__(self) -> str:
        flags = " ".join(map(visible, self.flags))
        return (flags or "no flags") if self.tree is None else " ".join(filter(None, [str(self.tree), flags]))


def revealed(words: Iterable[str]) -> list[str]:
    """Return words as the run itself gets them, secrets in clear. They are for the run and for nothing else.

    Raises:
        TrainerError: one has a secret that this session was not told, as from a stored run.
    """
    found = []
    for word in words:
        try:
            found.append(true_value(word))
        except KeyError:
            raise TrainerError(
                f"{word}: only a digest of this secret is stored; name its value again, on the marker or in exprun_args"
            ) from None
    return found


@dataclass(frozen=True)
class RunSpec:
    """One run to perform. `argv` is the one contract with every trainer and every executor."""

    variant: Variant
    seed: int
    budget: Budget = Budget()
    common_args: tuple[str, ...] = ()

    def argv(self, output_dir: str) -> list[str]:
        """Return the trainer's command line, secrets in clear."""
        return revealed(self.words(output_dir))

    def words(self, output_dir: str) -> list[str]:
        """Return the command line as it may be shown; the budget's option is named after its unit."""
        head = [f"--train_{self.budget.unit}", str(self.budget.amount), "--seed", str(self.seed)]
        return [*head, *self.common_args, *self.variant.flags, "--output_dir", output_dir]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            **self.variant.to_json(),
            "seed": self.seed,
            "budget": {"amount": self.budget.amount, "unit": self.budget.unit},
            "common_args": list(self.common_args),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSpec:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError, TypeError or ValueError."""
        return cls(
            Variant.from_json(data),
            data["seed"],
            Budget(**data["budget"]),
            tuple(data["common_args"]),
        )


@dataclass(frozen=True)
class Diff:
    """What an experiment's files are beside the control's.

    Attributes:
        base, tip: the commits that both grew from, an empty one where there is none.
        uncommitted: the tip has changes that are in no commit.
        files: those that differ, with lines added and deleted, -1 where lines cannot be counted.
        patch: SHA-256 of the diff's text, by which it is stored.
        refused: why the tip may not be judged; empty if it may.
    """

    base: str
    tip: str
    uncommitted: bool
    files: tuple[tuple[str, int, int], ...]
    patch: str
    refused: str = ""

    def __str__(self) -> str:
        """Its size, as git has it: `3 files, +12 -4`."""
        added, deleted = (sum(max(0, each[place]) for each in self.counts) for place in (0, 1))
        return f"{len(self.files)} file{'' if len(self.files) == 1 else 's'}, +{added} -{deleted}"

    @property
    def counts(self) -> list[tuple[int, int]]:
        """Lines added and deleted, a file each."""
        return [(added, deleted) for _, added, deleted in self.files]

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Diff | None:
        """Rebuild what `vars` gave."""
        return None if data is None else cls(**{**data, "files": tuple(map(tuple, data["files"]))})


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
    futility: float | str = 0.0
    baseline_seeds: tuple[int, ...] = SEEDS
    gate: str = "not_loser"
    prediction: str = ""
    nodeids: tuple[str, ...] = ()
    diff: Diff | None = None
    confirm: bool = False
    """Whether a WINNER is to be confirmed on fresh seeds at once."""
    speedup: bool = False
    """Whether it is to be told how fast it gets to its loss."""

    @property
    def lower_is_better(self) -> bool:
        """The judged metric's direction; a declaration without a known direction is refused where it is made."""
        return lower_is_better(self.metric, dict(self.directions)) is not False

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The seeds that are trained before anything is asked of them: one of an experiment that may be stopped after any, else three."""
        return self.seeds[: 1 if self.futility == SEED_BY_SEED else FIRST_LOOK]

    @property
    def change(self) -> tuple[str, ...]:
        """The experiment's own flags, without the control's."""
        return self.variant.flags[len(self.control.flags) :]

    @property
    def what(self) -> str:
        """The change in a few words: its flags, the size of its diff, or both."""
        return " ".join([*self.change, *([str(self.diff)] if self.diff else [])])

    @cached_property
    def comparison_id(self) -> str:
        """What makes two tests ask the same question. Name, gate, prediction, nodeids, confirm and speedup do not."""
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
            data[name] = data[name].to_json()
        data["budget"] = {"amount": self.budget.amount, "unit": self.budget.unit}
        data["directions"] = dict(self.directions)
        data["diff"] = vars(self.diff) if self.diff else None
        del data["confirm"], data["speedup"]  # what was asked for shows in what came out
        return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Experiment:
        """Rebuild what `to_json` wrote; a malformed mapping raises KeyError, TypeError or ValueError."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        for name in ("variant", "control"):
            values[name] = Variant.from_json(data[name])
        values["budget"] = Budget(**data["budget"])
        values["directions"] = tuple(data["directions"].items())
        values["diff"] = Diff.from_json(data.get("diff"))
        return cls(**values)
