"""`exprun try` and `run`: states of the code, or flags, judged without a test file; `log` and `apply`: what was tried, and put to use.

Underneath, a try is a session of pytest.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pytest_exprun.commands.console import Console
from pytest_exprun.report.files import read_reports
from pytest_exprun.report.values import answer, compared, is_open
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.diffs import HERE, patch_file
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.trust.trees.snapshot import Repository
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.sessions.chance import rank

KEEP, DROP, BROKEN, OPEN = 0, 1, 2, 3
"""The exit status: it passed its gate, it did not, it was refused or broke, it is undecided or was not confirmed."""


@dataclass
class _Listener:
    """A plugin that takes along what a session found, and why something was not judged."""

    session: Session | None = None
    errors: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def expected(self) -> int:
        """How many states somebody must have said something of."""
        plans = self.session is None or self.session.settings.mode == "plan"
        return 0 if plans or self.session is None else len(self.session.untested)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session.config.pluginmanager.getplugin("exprun-reporter").session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup" and report.failed:
            self.errors.append(report.longreprtext)
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped.append(report.longrepr[2].removeprefix("Skipped: "))


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Do what the command is called."""
    return _COMMANDS[arguments.command](settings, arguments, console)


def _try(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Judge each state that is named; without one the working tree."""
    return _judge(replace(settings, tried=tuple(arguments.refs) or (HERE,)), arguments, console)


def _run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Judge one experiment by flags."""
    if not arguments.change:
        raise RefusedError("exprun run takes the flags of the change behind --, as in: exprun run -- --lr=0.001")
    return _judge(replace(settings, flags=tuple(arguments.change)), arguments, console)


def _judge(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Judge what the settings ask for in place of tests.

    Raises:
        ExprunError: what is asked for cannot be, or pytest cannot begin.
    """
    # What no session could be told of is an error of this command, in its own words.
    _ = Session(replace(settings, mode="plan")).untested
    listener = _Listener()
    words = [
        *("-q", "--tb=no", "-rN", "-p", "no:cacheprovider"),
        *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # we are imported already
        *("--maxfail=0", "-k", "", "-m", ""),  # the ini file's are about tests
        f"--rootdir={settings.root}",
        *_given(arguments),
        *(f"--exprun-{name}={shlex.join(getattr(settings, name))}" for name in ("tried", "flags")),
        str(settings.root),
    ]
    status = int(pytest.main(words, plugins=[listener]))
    session, answers = listener.session, _answers(listener)
    assert session is not None
    console.answer(comparisons=answers, nothing_to_compare=listener.skipped)
    lines, head = session.ledger_now
    console.answer(errors=listener.errors, notices=session.notices, ledger={"head": head, "lines": lines})
    return _status(answers, listener, status)


def _given(arguments: argparse.Namespace) -> list[str]:
    """Return the settings that were given as pytest's command line has them."""
    given = [
        f"{row.flag}={value}" for row in Settings.rows() if (value := getattr(arguments, row.key, None)) is not None
    ]
    plan = ["--exprun-mode=plan"] if arguments.plan else []
    return [*given, *plan]


def _answers(listener: _Listener) -> list[dict[str, Any]]:
    if listener.session is None:
        raise RefusedError("pytest could not begin; what it said stands above")
    study = listener.session.study
    found = []
    for comparison in listener.session.comparisons.values():
        gate = study.gate(comparison, comparison.declaration.gate)
        judged = {"name": gate.name, "passed": gate.passed, "reason": gate.reason}
        found.append({**answer(comparison), "gate": judged, "open": is_open(comparison)})
    return found


def _status(answers: list[dict[str, Any]], listener: _Listener, status: int) -> int:
    """Return the worst of all: a program that tries one state wants to know of that one."""
    failed = [each for each in answers if not each["gate"]["passed"]]
    unconfirmed = [each for each in answers if each["confirmation"] and not each["confirmation"]["confirmed"]]
    heard = len(answers) + len(listener.skipped) >= listener.expected
    if listener.errors or not heard or status not in (0, 1) or bool(failed) != bool(status):
        return BROKEN
    if not failed:
        return OPEN if unconfirmed else KEEP
    return OPEN if all(each["open"] or each in unconfirmed for each in failed) else DROP


# What was tried.


def _log(settings: Settings, _arguments: argparse.Namespace, console: Console) -> int:
    """List what was tried, best first."""
    found = _tried(settings)
    console.answer(tried=[answer(each) for each in found])
    if not found:
        console.show([f"no diff was tried yet, as far as the reports in {settings.path('report_dir')} say: exprun try"])
    for each in found:
        diff = each.declaration.diff
        assert diff is not None
        console.show([f"{each.headline()} ({diff})", f"  {patch_file(settings, diff.patch)}"])
    return KEEP


def _tried(settings: Settings) -> list[Comparison]:
    found = read_reports(settings.path("report_dir")).comparisons.values()
    return sorted((each for each in found if each.declaration.diff is not None), key=rank)


def _apply(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Put a tried diff into a clean working tree.

    Raises:
        RefusedError: no such diff, changes that are in no commit, or it does not apply.
    """
    found = {each.name: each for each in _tried(settings)}
    if arguments.name not in found:
        raise RefusedError(f"{arguments.name!r} was not tried; there are: {', '.join(found) or 'none'} (exprun log)")
    diff = found[arguments.name].declaration.diff
    assert diff is not None
    path = patch_file(settings, diff.patch)
    try:
        patch = path.read_bytes()
    except OSError as error:
        raise RefusedError(f"the diff of {arguments.name} cannot be read: {error.strerror or error}: {path}") from None
    Repository.around(settings).apply(patch)
    console.answer(applied=arguments.name, compared=compared(found[arguments.name].declaration))
    console.show([f"applied {arguments.name} ({diff}): look at it with git diff, then commit it"])
    return KEEP


_COMMANDS = {"try": _try, "run": _run, "log": _log, "apply": _apply}
