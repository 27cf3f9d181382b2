"""What a ledger says of the ladder: which changes became the baseline, and what all of them gave together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pytest_exprun.trust.ledger.ledger import Ledger

PROMOTED = "promoted"
"""Kind of line: that a WINNER becomes the baseline."""
MEASURING = ("measure", "measured")
"""Kinds of lines: that the total is asked for, with its seeds; and what it gave."""
_NEEDED = {"question", "name", "flags", "tree", "key", "control_flags", "control_tree", "control_key", "base"}


def promotions(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the lines of all rungs in their order, each with its `id`; of one that two merged ledgers noted the first.

    It is the same rung if its numbers are the same and so is the change: an edit that changes no number makes no other one, and neither
    do two changes one that give the same numbers. A line that somebody wrote without what a rung has is left out.

    Raises:
        StoreError: the ledger cannot be read.
    """
    lines = [each for each in ledger.entries(f'"kind": "{PROMOTED}"') if each["kind"] == PROMOTED]
    found: dict[str, dict[str, Any]] = {}
    for each in lines:
        if each.keys() >= _NEEDED:
            found.setdefault(identity(each), {**each, "id": identity(each)})
    return list(found.values())


def identity(rung: Mapping[str, Any]) -> str:
    """Return what makes it the same rung: the numbers that it won by, and the change."""
    told = json.dumps([rung["question"], rung["flags"], rung["tree"]])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def totals(ledger: Ledger) -> list[dict[str, Any]]:
    """Return what measurements of the total gave, in their order.

    Raises:
        StoreError: the ledger cannot be read.
    """
    return [each for each in ledger.entries(f'"kind": "{MEASURING[1]}"') if each["kind"] == MEASURING[1]]
