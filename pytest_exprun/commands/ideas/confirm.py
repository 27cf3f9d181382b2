"""`exprun confirm NAME`: a WINNER once more on seeds that nobody has used, both arms, judged once."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.ideas.reported import reported, standing
from pytest_exprun.report.terminal import confirmation_lines
from pytest_exprun.report.values import answer
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session

CONFIRMED, NOT_CONFIRMED = 0, 3


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Train what is missing, judge, and write the experiment's reports again; the exit status is 3 if it is not confirmed.

    Raises:
        RefusedError: no such experiment, none that is a WINNER, or one whose runs do not stand any more.
        ExprunError: a run cannot be trusted, or the ledger cannot be written.
    """
    declared = reported(settings, arguments.name).declaration
    standing(settings, declared)
    session = Session(replace(settings, mode="run"), say=console.say, live=console.live)
    with console.training():
        found = session.study.confirm(session.study.compare(declared))
    session.finish()
    if console.has_said:
        console.show([""])
    console.show(confirmation_lines(found))
    console.answer(comparisons=[answer(found)], notices=session.notices)
    assert found.confirmation is not None
    return CONFIRMED if found.confirmation.confirmed else NOT_CONFIRMED
