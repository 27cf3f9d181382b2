"""What a session puts into the ledger: each question before a run is trained for it, and what became of it.

A question is open from its line `asked` to its line `outcome`, whoever writes that: workers of one session ask it once, and one that was
killed is taken up again. What the store answers as it did before adds nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import ExprunError, StoreError
from pytest_exprun.terms.model import Experiment, Variant
from pytest_exprun.terms.secrets import conceal_all
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.ledger.ledger import Ledger

ASKED, OUTCOME = "asked", "outcome"
JUDGED, FAILED, REFUSED, STOPPED = "judged", "error", "refused", "stopped"
"""What became of a question: a verdict; runs without one; no run at all; the session was interrupted. None of them: it was killed."""
_OF_THE_LINE = frozenset({"prev", "crc", "kind", "time"})
_MOST_CHARACTERS = 500
_DIGITS = 7
"""Of a commit, a tree or a diff that is named."""


@dataclass(frozen=True)
class Question:
    """An experiment and the keys of its arms, the control's first; None where what an arm depends on cannot be told."""

    experiment: Experiment
    keys: tuple[Key | None, Key | None]

    @property
    def id(self) -> str:
        """What makes it the same question: the content of both arms, and how they are judged. Names of tests and branches do not."""
        asked = self.experiment
        arms = [key.digest if key else variant.identity for variant, key in self._arms]
        how = (asked.metric, asked.lower_is_better, asked.rule, asked.min_effect, asked.futility)
        text = json.dumps([arms, how, asked.seeds, asked.baseline_seeds])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def control_key(self) -> str:
        """The control's key, as the folder of its runs is called; empty where there is none."""
        return self.keys[0].short if self.keys[0] else ""

    @property
    def _arms(self) -> tuple[tuple[Variant, Key | None], ...]:
        return (self.experiment.control, self.keys[0]), (self.experiment.variant, self.keys[1])

    def content(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        asked = self.experiment
        arms = {
            f"{role}{name}": value
            for role, (variant, key) in zip(("control_", ""), self._arms, strict=True)
            for name, value in _arm(variant, key).items()
        }
        same = ("metric", "lower_is_better", "rule", "min_effect", "futility", "gate", "seeds", "baseline_seeds")
        return {
            "id": self.id,
            "name": asked.name,
            **arms,
            "patch": asked.diff.patch if asked.diff else None,
            **({"commits": [asked.diff.base, asked.diff.tip]} if asked.diff else {}),
            "common_args": list(asked.common_args),
            "budget": f"{asked.budget.amount} {asked.budget.unit}",
            **{name: getattr(asked, name) for name in same},
        }


def _arm(variant: Variant, key: Key | None) -> dict[str, Any]:
    return {
        "flags": list(variant.flags),
        "tree": variant.tree.id if variant.tree else None,
        "key": key.short if key else "",
    }


@dataclass
class Questions:
    """The questions of one process of a session."""

    ledger: Ledger
    settings: Settings
    _asked: set[str] = field(default_factory=set)
    _open: dict[str, Question] = field(default_factory=dict)

    @property
    def _writes(self) -> bool:
        return self.settings.mode in {"run", "refresh"}

    def notices(self) -> list[str]:
        """Return, once, what the user should hear of the ledger."""
        told, self.ledger.notices = self.ledger.notices, []
        return told

    def ask(self, question: Question) -> None:
        """Note, before a run is trained for it, that it is asked. A question that is open already is asked no second time.

        Raises:
            StoreError: the ledger cannot be written: nothing may be trained.
        """
        if not self._writes or question.id in self._asked:
            return
        with self.ledger.held():
            if not self._is_open(question):
                self._append_asked(question)
        self._asked.add(question.id)
        self._open[question.id] = question

    def waits(self, question: Question) -> bool:
        """Whether this process asked a question and has not noted what became of it."""
        return question.id in self._open

    def answer(self, question: Question, found: Mapping[str, Any]) -> None:
        """Note what became of a question, unless that is what the ledger says last.

        Raises:
            StoreError: the ledger cannot be written.
        """
        if not self._writes:
            return
        outcome = self._outcome(question, found)
        self._open.pop(question.id, None)
        with self.ledger.held():
            last = self._last(question)
            if {name: value for name, value in last.items() if name not in _OF_THE_LINE} == outcome:
                return
            if last.get("kind") != ASKED:
                self._append_asked(question)
            self.ledger.append(OUTCOME, outcome)

    def fail(self, question: Question, error: ExprunError) -> None:
        """Note that there is no verdict: nothing was trained for it (refused), or what was cannot be judged.

        Raises:
            StoreError: the ledger cannot be written.
        """
        result = FAILED if question.id in self._asked else REFUSED
        self.answer(question, {"result": result, "reason": str(error)[:_MOST_CHARACTERS]})

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """If the block is left by anything that is no error of ours (Ctrl-C), note that what is open was stopped."""
        try:
            yield
        except ExprunError:
            raise
        except BaseException as error:
            with contextlib.suppress(StoreError):
                for question in filter(self._is_open, list(self._open.values())):
                    self.answer(question, {"result": STOPPED, "reason": type(error).__name__})
            raise

    def _outcome(self, question: Question, found: Mapping[str, Any]) -> dict[str, Any]:
        content = {"id": question.id, "control_key": question.control_key, **found}
        plain: dict[str, Any] = json.loads(json.dumps(conceal_all(content)))
        return plain

    def _append_asked(self, question: Question) -> None:
        how = {"mode": self.settings.mode, "stale": self.settings.stale, "version": metadata.version("pytest-exprun")}
        self.ledger.append(ASKED, conceal_all({**question.content(), **how}))

    def _is_open(self, question: Question) -> bool:
        return self._last(question).get("kind") == ASKED

    def _last(self, question: Question) -> dict[str, Any]:
        lines = [each for each in self.ledger.entries(question.id) if each.get("id") == question.id]
        return lines[-1] if lines else {}


def states(ledger: Ledger) -> dict[str, list[str]]:
    """Return the folder of a key -> which states of the code were trained under it, as questions named them; flags alone are none.

    Raises:
        StoreError: the ledger cannot be read.
    """
    found: dict[str, dict[str, None]] = {}
    for each in ledger.entries('"patch": "'):
        commits = each.get("commits") or ["", ""]
        for role, commit in zip(("control_", ""), commits, strict=True):
            of = f"{'control of ' if role else ''}{each['name']}"
            tree = f"tree {str(each.get(f'{role}tree'))[:_DIGITS]}"
            diff = "" if role else f", diff {each['patch'][:_DIGITS]}"
            text = f"{of} (commit {commit[:_DIGITS]}, {tree}{diff})" if commit else f"{of} ({tree}{diff})"
            found.setdefault(str(each.get(f"{role}key")), {})[text] = None
    return {key: list(texts) for key, texts in found.items()}


def others(ledger: Ledger, baseline: str, known: Collection[str]) -> list[tuple[str, float]]:
    """Return the rule and the bar of every other question that a baseline was asked, whatever became of it.

    Left out are what was refused, and flags without any effect: chance had no say there.

    Args:
        ledger: where they stand.
        baseline: the digest of the baseline's values, as outcomes have it.
        known: digests of the comparisons that are counted already.

    Raises:
        StoreError: the ledger cannot be read.
    """
    judged = [each for each in ledger.entries(baseline) if each.get("baseline") == baseline]
    keys, ids = ({str(each.get(name)) for each in judged} for name in ("control_key", "id"))
    lines = [each for key in sorted(keys) for each in ledger.entries(key) if each.get("control_key") == key]
    asked = {each["id"]: each for each in lines if each["kind"] == ASKED and "id" in each}
    outcomes: dict[str, list[dict[str, Any]]] = {each: [] for each in asked}
    for each in lines:
        if each["kind"] == OUTCOME and each.get("id") in outcomes:
            outcomes[each["id"]].append(each)
    metrics = {asked[each].get("metric") for each in ids & set(asked)}
    return [
        (str(question.get("rule")), float(question.get("min_effect", 0)))
        for identity, question in asked.items()
        if question.get("metric") in metrics
        for _ in range(_chances(outcomes[identity], baseline, known))
    ]


def _chances(outcomes: list[dict[str, Any]], baseline: str, known: Collection[str]) -> int:
    """Return how often chance had a say in a question, other than in what is known."""
    judged = {each.get("judged"): each for each in outcomes if each.get("result") == JUDGED}
    if not judged:
        return 0 if outcomes and outcomes[-1].get("result") == REFUSED else 1
    return sum(
        each.get("baseline") == baseline and not each.get("no_effect") and digest not in known
        for digest, each in judged.items()
    )
