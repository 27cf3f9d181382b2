"""What a ledger says of the ladder: which changes became the baseline, and what all of them gave together."""

from __future__ import annotations

from typing import Any

from pytest_exprun.trust.ledger.ledger import Ledger

PROMOTED = "promoted"
"""Kind of line: that a WINNER becomes the baseline."""
MEASURING = ("measure", "measured")
"""Kinds of lines: that the total is asked for, with its seeds; and what it gave."""
_NEEDED = {"question", "name", "flags", "tree", "key", "control_flags", "control_tree", "control_key", "base"}


def promotions(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the lines of all rungs in their order; of a change that two ledgers promoted before they were merged the first one.

    A line that somebody wrote without what a rung has is left out.

    Raises:
        StoreError: the ledger cannot be read.
    """
    lines = [each for each in ledger.entries(f'"kind": "{PROMOTED}"') if each["kind"] == PROMOTED]
    whole = [each for each in lines if each.keys() >= _NEEDED]
    return list({each["question"]: each for each in reversed(whole)}.values())[::-1]


def totals(ledger: Ledger) -> list[dict[str, Any]]:
    """Return what measurements of the total gave, in their order.

    Raises:
        StoreError: the ledger cannot be read.
    """
    return [each for each in ledger.entries(f'"kind": "{MEASURING[1]}"') if each["kind"] == MEASURING[1]]
