"""`exprun confirm NAME`: a WINNER once more on seeds that nobody has used, both arms, judged once."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.ideas.reported import reported
from pytest_exprun.report.terminal import confirmation_lines
from pytest_exprun.report.values import answer
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import MissingRunError, RefusedError
from pytest_exprun.terms.model import Experiment

CONFIRMED, NOT_CONFIRMED = 0, 3


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Train what is missing, judge, and write the experiment's reports again; the exit status is 3 if it is not confirmed.

    Raises:
        RefusedError: no such experiment, none that is a WINNER, or one whose runs do not stand any more.
        ExprunError: a run cannot be trusted, or the ledger cannot be written.
    """
    declared = reported(settings, arguments.name).declaration
    _check_stands(settings, declared)
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


def _check_stands(settings: Settings, declared: Experiment) -> None:
    """Refuse to confirm what was not judged: the runs of the report are those of other code, or are gone."""
    session = Session(replace(settings, mode="frozen"), writes_reports=False)
    try:
        session.study.compare(declared)
    except MissingRunError as error:
        raise RefusedError(
            f"what was judged as {declared.name} does not stand: {error}. Judge it again first"
        ) from None
