"""`exprun ledger`: what was asked and what became of it; whether nothing of that was changed; and two ledgers made one, also for git."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exprun.commands.console import Console
from pytest_exprun.report.text import plain, signed
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import MissingRunError, RefusedError
from pytest_exprun.terms.whole_file import replace_file
from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger.confirmations import CONFIRMED, DRAWN, chosen, unfounded
from pytest_exprun.trust.ledger.ledger import LEDGER, Ledger
from pytest_exprun.trust.ledger.questions import ASKED, JUDGED, OUTCOME
from pytest_exprun.trust.store.store import Store

VALID, NOT_VALID = 0, 1
_SHOWN = 20
_FILES = 3
_HEAD = re.compile(r"[0-9a-f]{16,64}")
_PATCH_DIGITS = 7
_NEEDED = {"id", "name", "flags", "control_flags", "patch", "mode"}


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Do the action that is named.

    Raises:
        RefusedError: words that the action does not take, or ledgers that cannot be merged.
        StoreError: a ledger that cannot be read or written.
    """
    if len(arguments.files) != (_FILES if arguments.action == "merge" else 0):
        raise RefusedError(
            f"exprun ledger {arguments.action} takes {'BASE OURS THEIRS' if arguments.action == 'merge' else 'no file'}, and got "
            f"{' '.join(arguments.files) or 'none'}"
        )
    if arguments.head and (arguments.action != "verify" or not _HEAD.fullmatch(arguments.head.lower())):
        raise RefusedError(f"--head {arguments.head!r}: allowed is, of verify, a hash of 16 to 64 hexadecimal digits")
    return _ACTIONS[arguments.action](Ledger(settings.path("store")), arguments, console)


def _list(ledger: Ledger, _arguments: argparse.Namespace, console: Console) -> int:
    """List the questions, oldest first, with what became of each."""
    found, heads = _questions(ledger.entries()), ledger.verified().heads
    console.answer(ledger={"head": ledger.head, "lines": len(heads), "questions": found})
    if not found:
        console.show([f"nothing was asked yet, as far as {ledger.path} says"])
        return VALID
    if found[_SHOWN:]:
        console.show([f"the last {_SHOWN} of {len(found)} questions (--json lists all):"])
    console.show(
        f"{each['time'][:16].replace('T', ' ')}  {plain(each['name'])}: {_outcome(each)} ({_what(each)})"
        for each in found[-_SHOWN:]
    )
    console.show([f"{len(heads)} lines, head {ledger.head}"])
    return VALID


def _questions(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each asking with its outcome, None where there is none (yet)."""
    found: list[dict[str, Any]] = []
    last: dict[str, dict[str, Any]] = {}
    drawn: dict[str, dict[str, Any]] = {}
    for each in entries:
        said = {name: value for name, value in each.items() if name not in {"prev", "crc", "kind"}}
        if each["kind"] == ASKED and each.keys() >= _NEEDED:
            found.append({**said, "outcome": None})
            last[each["id"]] = found[-1]
        elif each["kind"] == OUTCOME and each.get("id") in last and "result" in each:
            last[each["id"]]["outcome"] = said
        elif each["kind"] == DRAWN and each.get("asked") in last:
            drawn[each.get("question", "")] = last[each["asked"]]
        elif each["kind"] == CONFIRMED and each.get("question") in drawn:
            drawn[each["question"]]["confirmation"] = said
    return found


def _outcome(question: Mapping[str, Any]) -> str:
    found = question["outcome"]
    if found is None:
        return "no outcome"
    if found["result"] != JUDGED:
        return f"{found['result']}: {plain(found.get('reason', ''))}"
    first = f"{found.get('verdict')}, {signed(found.get('sigmas'), 1)} sigmas on {len(found.get('seeds', ()))} seeds"
    if (fresh := question.get("confirmation")) is None:
        return first
    return f"{first}; {'CONFIRMED' if fresh.get('confirmed') else 'NOT CONFIRMED'}, {plain(fresh.get('reason', ''))}"


def _what(question: Mapping[str, Any]) -> str:
    """Return the change: the flags beside the control's, and the diff by the beginning of its hash."""
    flags = question["flags"][len(question["control_flags"]) :]
    diff = [f"diff {question['patch'][:_PATCH_DIGITS]}"] if question["patch"] else []
    return plain(" ".join([*flags, *diff]) or "nothing") + (", again" if question["mode"] == "refresh" else "")


def _verify(ledger: Ledger, arguments: argparse.Namespace, console: Console) -> int:
    """Check every line, and that a head which is known from elsewhere is among them.

    Raises:
        MissingRunError: there is no ledger.
    """
    if not arguments.head and not ledger.path.exists():
        raise MissingRunError(f"there is no ledger {ledger.path}: nothing was asked yet, or it was taken away")
    found = ledger.verified()
    data = ledger.read()
    faults = sorted([*found.faults, *chosen(data, Store(ledger.root).used_seeds("*")), *unfounded(data)])
    place = found.place_of(arguments.head) if arguments.head else None
    is_missing = bool(arguments.head) and place is None
    status = NOT_VALID if faults or is_missing else VALID
    told = {"valid": status == VALID, "lines": len(found.heads), "head": found.head}
    told["faults"] = [{"line": number, "what": what} for number, what in faults]
    console.answer(ledger={**told, "torn_bytes": found.torn, "line_of_head": place})
    for number, what in faults[:1]:
        more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
        console.show([f"NOT VALID: line {number}: {what}{more}"])
    if is_missing:
        console.show(
            [f"NOT VALID: no line has the hash {arguments.head}: lines were taken away, or it is another ledger"]
        )
    if found.torn:
        console.show([f"note: {found.torn} bytes behind the last line are no whole line: the next one sets them aside"])
    if status == VALID:
        since = "" if place is None else f"; {arguments.head} is line {place}, {len(found.heads) - place} have followed"
        console.show([f"valid: {len(found.heads)} lines, head {found.head}{since}"])
    return status


def _merge(_ledger: Ledger, arguments: argparse.Namespace, console: Console) -> int:
    """Write the lines of two ledgers to the first one.

    Raises:
        RefusedError: a file that cannot be read or written, or one that lacks a line of their common beginning.
        StoreError: a ledger that is not valid.
    """
    base, ours, theirs = (_bytes(name) for name in arguments.files)
    for data, name in ((ours, arguments.files[1]), (theirs, arguments.files[2])):
        kept = set(chain.lines_of(data)[0])
        gone = [number for number, line in enumerate(chain.lines_of(base)[0], 1) if line not in kept]
        if gone:
            raise RefusedError(
                f"{name} lacks line {gone[0]} of {arguments.files[0]}: a ledger only grows, so it was changed"
            )
    path = Path(arguments.files[1])
    merged = chain.merged(ours, theirs)
    held = Ledger(path.parent).held() if path.name == LEDGER else contextlib.nullcontext()
    try:
        with held:
            replace_file(path, merged)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror or error}") from None
    found = chain.verified(merged)
    console.answer(ledger={"head": found.head, "lines": len(found.heads)})
    console.show([f"merged: {len(found.heads)} lines, head {found.head}"])
    return VALID


def _bytes(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise RefusedError(f"{name} cannot be read: {error.strerror or error}") from None


_ACTIONS: Mapping[str, Callable[[Ledger, argparse.Namespace, Console], int]] = {
    "list": _list,
    "verify": _verify,
    "merge": _merge,
}
