"""What a ledger says of confirmations: the fresh seeds of each, drawn so that nobody chooses them, its level, and what came out."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_exprun.terms.secrets import conceal_all
from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.rungs import MEASURING, PROMOTED

DRAWN, CONFIRMED = "confirm", "confirmation"
"""Kinds of lines: that a confirmation is asked for, with its seeds; and what it gave."""
_SEEDS = 1_000_000
"""Seeds are below this: trainers add to their seed and multiply it."""


@dataclass(frozen=True)
class Drawn:
    """A confirmation that was asked for.

    Attributes:
        question: what is confirmed: the digest of the numbers of a WINNER and of how they were judged.
        seeds: the fresh seeds, of both arms.
        alpha: its one-sided level.
        confirmed: what came out; None as long as nothing did.
    """

    question: str
    seeds: tuple[int, ...]
    alpha: float
    confirmed: bool | None = None


Plan = Callable[[Sequence[Drawn]], tuple[float, int]]
"""From all confirmations before, in the ledger's order, to the level of the next one and how many seeds it takes."""


@dataclass(frozen=True)
class Confirmations:
    """The confirmations of a ledger, or what else takes fresh seeds: `kinds` are those of its two lines."""

    ledger: Ledger
    kinds: tuple[str, str] = (DRAWN, CONFIRMED)

    def all(self) -> list[Drawn]:
        """Return them in the ledger's order.

        Raises:
            StoreError: the ledger cannot be read.
        """
        drawn_kind, answered = self.kinds
        found: dict[tuple[str, str], Drawn] = {}  # after a merge lines of two branches may follow one and the same line
        for each in self.ledger.entries(f'"kind": "{drawn_kind}'):
            question = str(each.get("question"))
            identity = str(each.get("of")), question
            if each["kind"] == drawn_kind and isinstance(each.get("seeds"), list):
                drawn = Drawn(question, tuple(each["seeds"]), float(each.get("alpha", 0)))
                found.setdefault((each["prev"], question), drawn)
            elif each["kind"] == answered and identity in found:
                found[identity] = replace(found[identity], confirmed=bool(each.get("confirmed")))
        return list(found.values())

    def of(self, question: str) -> Drawn | None:
        """Return the first confirmation of what was judged: there is one, however often it is asked for.

        Raises:
            StoreError: the ledger cannot be read.
        """
        return next((each for each in self.all() if each.question == question), None)

    def draw(self, question: str, content: Mapping[str, Any], used: Collection[int], plan: Plan) -> Drawn:
        """Return the confirmation of a question, after its seeds are drawn and noted where it was never asked for.

        Args:
            question: the digest of what was judged.
            content: what else the line says, plain JSON values.
            used: seeds that a stored run of either arm had.
            plan: gives the level and the number of seeds.

        Raises:
            StoreError: the ledger cannot be read or written: nothing may be trained.
        """
        with self.ledger.held():
            known = self.of(question)
            if known is None:
                alpha, count = plan(self.all())
                skipped: list[int] = []
                seeds = fresh_seeds(self.ledger.head or chain.FIRST, question, used, count, skipped)
                drawn = {"question": question, **content, "seeds": list(seeds), "skipped": skipped, "alpha": alpha}
                self.ledger.append(self.kinds[0], conceal_all(drawn))
                known = Drawn(question, seeds, alpha)
        return known

    def answer(self, drawn: Drawn, content: Mapping[str, Any]) -> None:
        """Note what a confirmation gave, unless that is noted already.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        with self.ledger.held():
            lines = self.ledger.entries(drawn.question)
            asked = next(each for each in lines if each["kind"] == self.kinds[0] and each["question"] == drawn.question)
            line = {"question": drawn.question, "of": asked["prev"], **content}
            last = [each for each in lines if each["kind"] == self.kinds[1] and each.get("of") == asked["prev"]][-1:]
            if not any(line.items() <= each.items() for each in last):
                self.ledger.append(self.kinds[1], conceal_all(line))


def fresh_seeds(
    head: str, question: str, used: Collection[int], count: int, skipped: list[int] | None = None
) -> tuple[int, ...]:
    """Return seeds that follow from the ledger's head and the change on trial: SHA-256 of both and a running number, below a million.

    Args:
        head: the hash of the last line before, which holds everything that was asked.
        question: the digest of what was judged.
        used: seeds that are none, as a stored run had them.
        count: how many.
        skipped: takes in those that were drawn and had been used.
    """
    found: dict[int, None] = {}
    for number in itertools.count():
        digest = hashlib.sha256(f"{head} {question} {number}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big") % _SEEDS
        if seed in used:
            if skipped is not None:
                skipped.append(seed)
        else:
            found[seed] = None
        if len(found) == count:
            break
    return tuple(found)


def chosen(data: bytes, used: Collection[int]) -> Iterator[tuple[int, str]]:
    """Yield the lines of a ledger whose seeds are not those that their place draws: number from 1, and what is wrong.

    `used` are the seeds that a run may have had: one that is passed over and none of them was passed over to get another.
    """
    for number, line in enumerate(chain.lines_of(data)[0], 1):
        with contextlib.suppress(chain.BrokenLine, KeyError, TypeError):
            said = chain.read(line)
            if said["kind"] in (DRAWN, MEASURING[0]):
                drawn = fresh_seeds(said["prev"], said["question"], said["skipped"], len(said["seeds"]))
                if drawn != tuple(said["seeds"]):
                    yield number, "its seeds are not those that follow from the line before: somebody chose them"
                elif unknown := sorted(set(said["skipped"]) - set(used)):
                    yield (
                        number,
                        f"it passes over seed {unknown[0]} as used, and no stored run has it: somebody chose the others",
                    )


def unfounded(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the lines of a ledger that call a rung confirmed where no line before them did: number from 1, and what is wrong."""
    confirmed: set[object] = set()
    for number, line in enumerate(chain.lines_of(data)[0], 1):
        with contextlib.suppress(chain.BrokenLine, KeyError, TypeError):
            said = chain.read(line)
            if said["kind"] == CONFIRMED and said["confirmed"] is True:
                confirmed.add(said["question"])
            elif said["kind"] == PROMOTED and said["confirmed"] is True and said["question"] not in confirmed:
                yield number, "it calls a rung confirmed, and no line before it says that fresh seeds did"
