"""`exprun why`: for each stored arm, whether its runs stand for runs of now, and if not which part of the key changed. Trains nothing."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pytest_exprun.commands.console import Console
from pytest_exprun.report.text import plain
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.study.study import Study
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import Variant
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.questions import states
from pytest_exprun.trust.store.inventory import Standing, StoredArm, stored_arms

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHORT = 12


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Print what stands and what changed; the exit status is 0.

    Raises:
        ExprunError: the trainer is not found, or -k is no expression.
    """
    settings = replace(settings, mode="frozen")
    study = Session(settings, say=console.say, writes_reports=False).study
    arms, damaged = stored_arms(study.store)
    chosen = [arm for arm in arms if not arguments.k or matches(arguments.k, _name(arm))]
    if not chosen:
        console.show([_nothing(study, arms, arguments.k)])
    questions, trained = _questions(study, settings, chosen), states(Ledger(study.store.root))
    for standings in questions:
        console.show(_block(standings, settings, trained))
    names = {str(path.relative_to(study.store.root)): reason for path, reason in damaged}
    for name, reason in names.items():
        console.show(
            [f"damaged: {plain(name)}: {plain(reason)}; the next session sets it aside and trains the seed again"]
        )
    found = [_told(each, settings.stale, trained) for standings in questions for each in standings]
    console.answer(arms=found, damaged=names)
    return 0


def _told(standing: Standing, stale: str, trained: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return what stands and what changed as plain JSON values."""
    arm, stands = standing.arm, [run.spec.seed for run in standing.runs]
    return {
        "arm": arm.slug,
        "flags": list(arm.variant.flags),
        "args": list(arm.common_args),
        "budget": str(arm.budget),
        "stored_at": arm.stored_at,
        "seeds": list(arm.seeds),
        "standing": stands,
        "states": trained.get(arm.key.short, []),
        "changes": [_changed(*change) for change in arm.key.changes(standing.now)],
        "read": {str(seed): [_changed(*each) for each in changed] for seed, changed in standing.stale_seeds.items()},
        "consequence": None if standing.attested else _consequence(standing, stale),
    }


def _changed(name: str, old: str, new: str) -> dict[str, str]:
    return {"what": name, "stored": old, "now": new}


def _nothing(study: Study, arms: Iterable[StoredArm], expression: str | None) -> str:
    names = ", ".join(dict.fromkeys(arm.slug for arm in arms))
    if names:
        return f"no stored arm matches -k {expression!r}; there are: {plain(names)}"
    return f"nothing is stored in {study.store.root}: the first session trains everything"


def _name(arm: StoredArm) -> str:
    return f"{arm.slug} {arm.variant}"


def matches(expression: str, text: str) -> bool:
    """Whether a text matches an expression such as pytest's -k: parts of it, joined by and, or, not and brackets, in any case.

    Raises:
        RefusedError: the expression cannot be read.
    """
    words = re.findall(r"[()]|[^\s()]+", expression)
    logic = " ".join(
        word if word in ("and", "or", "not", "(", ")") else str(word.lower() in text.lower()) for word in words
    )
    try:
        return _true(ast.parse(logic, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise RefusedError(
            f"-k {expression!r}: allowed are parts of a name joined by and, or, not and brackets, for instance 'rope and not base'"
        ) from None


def _true(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool(value)):
            return value
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _true(operand)
        case ast.BoolOp(op=op, values=values):
            found = [_true(value) for value in values]
            return all(found) if isinstance(op, ast.And) else any(found)
    raise ValueError


def _questions(study: Study, settings: Settings, arms: Iterable[StoredArm]) -> list[list[Standing]]:
    """Return the stored arms of each question that was ever asked, the default baseline's first, then by name."""
    questions: dict[tuple[str, ...], list[Standing]] = {}
    for arm in arms:
        standing = Standing.of(arm, study.store, study.fingerprinter.key)
        questions.setdefault(standing.now.question, []).append(standing)
    return sorted(questions.values(), key=lambda found: _order(found[0].arm, settings.default_control))


def _order(arm: StoredArm, control: Variant) -> tuple[object, ...]:
    return (arm.variant.identity != control.identity, arm.slug, arm.common_args, arm.budget.unit, arm.budget.amount)


def _block(standings: list[Standing], settings: Settings, trained: Mapping[str, list[str]]) -> list[str]:
    """Return the lines of one arm: what stands, or what has changed since the newest stored runs; older ones in a line each."""
    arm = standings[0].arm
    is_default = arm.variant.identity == settings.default_control.identity
    args = f" with {plain(' '.join(arm.common_args))}" if arm.common_args else ""
    lines = [f"{'baseline ' if is_default else ''}({plain(arm.variant)}) at {arm.budget}{args}"]
    # What stands comes first; then the newest, which is what a session would compare with.
    in_order = sorted(standings, key=lambda standing: not standing.attested)
    for number, standing in enumerate(in_order):
        if standing.attested:
            lines += _standing_lines(standing)
        elif number == 0:
            lines += _stale_lines(standing, settings.stale)
        else:
            lines.append(f"  {_seeds(standing)}: older, {plain(standing.arm.key.why(standing.now))}")
        lines += [f"    trained for {plain(text)}" for text in trained.get(standing.arm.key.short, [])]
    return lines


def _seeds(standing: Standing) -> str:
    seeds = standing.arm.seeds
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} of {standing.arm.stored_at[:10]}"


def _standing_lines(standing: Standing) -> Iterator[str]:
    changes, opened = standing.arm.key.changes(standing.now), standing.stale_seeds
    count = len(standing.runs)
    stand = {0: "no seed stands", 1: "1 seed stands"}.get(count, f"{count} seeds stand")
    if not changes and not opened:
        yield f"  {_seeds(standing)}: nothing changed: {stand}"
        return
    proof = ", because one trained again came out the same to the last bit" if changes and count else ""
    files = "; files that a run read have changed" if opened else ""
    yield f"  {_seeds(standing)}: {stand}{proof}{files}"
    yield from (f"    {change_line(*change)}" for change in changes)
    for seed, changed in opened.items():
        yield from (f"    seed {seed} does not stand: {change_line(*change)}" for change in changed)


def _stale_lines(standing: Standing, stale: str) -> Iterator[str]:
    changes = standing.arm.key.changes(standing.now)
    yield f"  {_seeds(standing)} do not stand: {_consequence(standing, stale)}"
    yield from (f"    {change_line(*change)}" for change in changes)


def _consequence(standing: Standing, stale: str) -> str:
    """Say what the next session does with stored runs of another key, as `exprun_stale` has it."""
    if stale == "error":
        return "the next session refuses them (exprun_stale = error)"
    if stale == "keep":
        return "the next session judges from them all the same, and says so (exprun_stale = keep)"
    if stale == "verify" and standing.arm.key.may_be_equal(standing.now):
        return "the next session trains one seed again; if it is the same to the last bit, the others stand"
    return "the next session trains them again"


def change_line(name: str, old: str, new: str) -> str:
    """Return a component with its old and new value; of a digest the first twelve digits."""
    return f"{plain(name)}: {_value(old)} -> {_value(new)}"


def _value(text: str) -> str:
    return text[:_SHORT] if _DIGEST.fullmatch(text) else plain(text)
