"""An experiment by its name in the reports: what commands are told that follow a verdict."""

from __future__ import annotations

from dataclasses import replace

from pytest_exprun.report.files import read_reports
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import MissingRunError, RefusedError, meant
from pytest_exprun.terms.model import Experiment
from pytest_exprun.verdict.comparison import Comparison


def reported(settings: Settings, name: str) -> Comparison:
    """Return what the reports say of an experiment at the settings' budget, or at the only one that it was judged at.

    Raises:
        RefusedError: no experiment has that name, or it was judged at several other budgets.
    """
    found = read_reports(settings.path("report_dir")).comparisons.values()
    named = [each for each in found if each.name == name]
    here = [each for each in named if each.declaration.budget == settings.budget] or named
    if len(here) == 1:
        return here[0]
    if here:
        budgets = ", ".join(str(each.declaration.budget) for each in here)
        raise RefusedError(f"{name} was judged at {budgets}: say which, as with --tokens or --budget")
    known = dict.fromkeys(each.name for each in found)
    raise RefusedError(
        f"no experiment {name!r} was judged, as far as {settings.path('report_dir')} says; "
        + (meant(name, tuple(known)) if known else "there is none yet: exprun try, exprun run, or pytest")
    )


def standing(settings: Settings, declared: Experiment) -> tuple[Session, Comparison]:
    """Return what is judged from stored runs alone, and the session that did; the reports stay as they are.

    Raises:
        RefusedError: the runs of the report are those of other code, or are gone.
    """
    session = Session(replace(settings, mode="frozen"), writes_reports=False)
    try:
        return session, session.study.compare(declared)
    except MissingRunError as error:
        raise RefusedError(
            f"what was judged as {declared.name} does not stand: {error}. Judge it again first"
        ) from None
