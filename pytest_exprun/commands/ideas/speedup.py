"""`exprun speedup NAME`: better, or only slower? The compute with which the control reaches the experiment's loss."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.ideas.reported import reported, standing
from pytest_exprun.report.provenance import rate
from pytest_exprun.report.text import plain
from pytest_exprun.settings.settings import IN_TURN, Settings
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import RefusedError, SettingsError
from pytest_exprun.verdict.compute.costs import TIMES
from pytest_exprun.verdict.compute.speedup import Speedup, shown


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Train the control at half and twice the budget where it is missing, and say how fast the experiment gets to its loss; returns 0.

    Raises:
        RefusedError: no such experiment, runs that do not stand any more, or no speedup can be told.
        ExprunError: a run cannot be trusted.
    """
    declared = reported(settings, arguments.name).declaration
    settings = replace(settings, mode="run")
    if arguments.in_turn:
        settings = _in_turn(settings)
    else:
        standing(settings, declared)
    session = Session(settings, say=console.say, live=console.live)
    session.study.declared = [declared] if arguments.in_turn else []  # what is to come, for the outlook
    with console.training():
        found = session.study.compare(replace(declared, speedup=True)).speedup
    session.finish()
    assert found is not None
    if found.factor is None:
        again = (
            f"; train both arms again, in turn: exprun speedup {declared.name} --in-turn"
            if found.why_not.startswith(TIMES)
            else ""
        )
        raise RefusedError(f"{declared.name}: {found.headline}{again}")
    if console.has_said:
        console.show([""])
    console.show(speedup_lines(declared.name, found))
    if found.caution:
        hint = "" if arguments.in_turn else "; --in-turn compares them pair by pair"
        console.show([f"note: {found.caution}, which moves CPU times too{hint}"])
    console.answer(speedup={"name": declared.name, **found.to_json()}, notices=session.notices)
    return 0


def _in_turn(settings: Settings) -> Settings:
    """Return the settings of a session that trains again, one run after the other.

    Raises:
        SettingsError: the executor trains several at once in any case.
    """
    settings = replace(settings, mode="refresh", order=IN_TURN, jobs=1)
    if settings.several_at_once:
        raise SettingsError(
            f"--in-turn trains one run after the other, and exprun_executor = {settings.executor} several at once: "
            "add --executor=inprocess"
        )
    return settings


def speedup_lines(name: str, found: Speedup) -> Iterator[str]:
    """Return the answer, what it means, and what it stands on."""
    yield f"{plain(name)}: {plain(found.headline)}"
    yield found.reading
    if found.rates:
        control, experiment = map(rate, found.rates)
        yield f"{found.rate_unit}: baseline {control}, experiment {experiment}"
    seeds = ", ".join(f"{each.bound} {shown(each.factor)} ({each.seed})".strip() for each in found.seeds)
    yield f"by seed, in {found.unit}: {seeds}"
