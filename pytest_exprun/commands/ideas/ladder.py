"""`exprun ladder`: the changes that became the baseline, one after the other, and what all of them give together."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import replace

from pytest_exprun.commands.console import Console
from pytest_exprun.report.sessions.ladder import ladder_lines, to_json
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.ladder import looked_at, measure, read_ladder
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import ExprunError, RefusedError
from pytest_exprun.verdict.sessions.ladder import Ladder


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Show the ladder, after the total is measured where that is asked for; the exit status is 0.

    Raises:
        RefusedError: nothing was promoted, or nothing differs, and the total is asked for.
        ExprunError: a run cannot be trusted, or the ledger cannot be read or written.
    """
    session = Session(replace(settings, mode="run"), say=console.say, live=console.live)
    ladder = read_ladder(session.ledger)
    if arguments.measure:
        ladder = _measured(session, ladder, console)
    if ladder is not None:
        with contextlib.suppress(ExprunError):  # the trail needs no code: nobody can tell then
            ladder = looked_at(session.study, ladder)
    console.show(ladder_lines(ladder) if ladder else ["no change became the baseline yet: exprun promote NAME"])
    console.answer(ladder=to_json(ladder))
    return 0


def _measured(session: Session, ladder: Ladder | None, console: Console) -> Ladder | None:
    if ladder is None:
        raise RefusedError("no change became the baseline yet, so there is nothing to measure: exprun promote NAME")
    with console.training():
        measure(session.study, ladder)
    session.finish()
    if console.has_said:
        console.show([""])
    return read_ladder(session.ledger)
