"""`exprun promote NAME`: a confirmed WINNER becomes the baseline. Its flags go into the ini file; a diff is the user's to merge.

First the ledger has the rung, then the file has the flags. Who is killed in between has a rung that does not stand yet: the next call
goes on.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.ideas.reported import reported, standing
from pytest_exprun.report.text import plain
from pytest_exprun.settings.ini_file import Edit, edit_key
from pytest_exprun.settings.project import Project, find_project
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.ladder import rung_line
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import RefusedError, SettingsError, TrainerError
from pytest_exprun.terms.model import Variant, revealed
from pytest_exprun.terms.outcome import Verdict
from pytest_exprun.terms.secrets import conceal_all
from pytest_exprun.trust.ledger.confirmations import Confirmations, Drawn
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.questions import Question
from pytest_exprun.trust.ledger.rungs import PROMOTED, identity, promotions
from pytest_exprun.trust.trees.snapshot import Commit
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.sessions.chance import fingerprints

_COMMIT = 12
"""Digits of a commit that is to be merged: its branch may have moved since it was judged."""


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Note the rung, then write the ini file or say how to merge; the exit status is 0.

    Raises:
        RefusedError: no such experiment, no WINNER, not confirmed, judged on another baseline than today's, or promoted already.
        SettingsError: the ini file cannot be written, or something else sets the baseline.
        StoreError: the ledger cannot be written: nothing was done.
    """
    session, found = standing(settings, reported(settings, arguments.name).declaration)
    ledger = Ledger(settings.path("store"))
    _check_confirmed(found, Confirmations(ledger).of(fingerprints(found)[1]), unconfirmed=arguments.unconfirmed)
    step = _Step(session, found, _is_merged(session, found))
    with ledger.held():  # of two at once the second one finds the first one's rung and file
        project = _project(arguments.rootdir)
        edit = step.edit(project)
        number = step.number(promotions(ledger), is_done=edit is None and step.is_merged)
        if edit:
            edit.check_writable()
        if number is None:
            ledger.append(PROMOTED, conceal_all(step.line))
            number = len(promotions(ledger))
        if edit:
            edit.write()
    console.show(step.lines(edit, number))
    console.answer(promoted=step.to_json(edit, number))
    Session(settings).finish()
    return 0


def _project(rootdir: str | None) -> Project:
    root = Path(rootdir).expanduser().absolute() if rootdir else None
    return find_project(root or Path.cwd(), os.environ, root)


def _check_confirmed(found: Comparison, drawn: Drawn | None, *, unconfirmed: bool) -> None:
    """Refuse what should not be kept; `drawn` is what the ledger says of its confirmation, whose runs may be gone.

    Raises:
        RefusedError: it says why, and what to do.
    """
    if found.verdict is not Verdict.WINNER:
        raise RefusedError(f"{found.name} is {found.verdict} ({found.reason}): only a WINNER becomes the baseline")
    if found.stale:
        raise RefusedError(f"{found.name} was judged on runs that do not stand any more: judge it again first")
    fresh = found.confirmation
    if fresh is None and drawn is not None and drawn.confirmed is False:
        raise RefusedError(
            f"{found.name} is NOT CONFIRMED, as the ledger says; exprun confirm {found.name} says what fresh seeds gave"
        )
    if fresh is None and not unconfirmed:
        raise RefusedError(
            f"{found.name} is not confirmed, and a WINNER may be luck: exprun confirm {found.name} asks fresh seeds; with --unconfirmed it "
            "is promoted all the same, and the ladder says so for ever"
        )
    if fresh is not None and not fresh.confirmed:
        raise RefusedError(f"{found.name} is NOT CONFIRMED ({fresh.reason}): fresh seeds say that it was luck")


def _is_merged(session: Session, found: Comparison) -> bool:
    """Whether the change of code is in the files here; where there is none it is.

    Raises:
        RefusedError: they are neither the control's nor the change's.
    """
    declared, study = found.declaration, session.study
    if not (declared.variant.tree or declared.control.tree):
        return True
    for arm, is_merged in ((declared.control, False), (declared.variant, True)):
        key = study.grounds.of(arm).fingerprinter.key(arm, declared.budget, declared.common_args)
        if key == study.fingerprinter.key(Variant(arm.flags), declared.budget, declared.common_args):
            return is_merged
    raise RefusedError(
        f"{found.name} was judged on {declared.control}, and the files here are another state: it would be a jump between ladders. Bring "
        "it onto them, and judge it there"
    )


@dataclass(frozen=True)
class _Step:
    """A change that is to become the baseline; `is_merged` says whether its code is here already."""

    session: Session
    found: Comparison
    is_merged: bool

    def edit(self, project: Project) -> Edit | None:
        """Return what the ini file lacks; None if nothing.

        Raises:
            RefusedError: today's baseline is neither the control's nor the change's, or holds a secret that nobody told.
            SettingsError: something else sets the baseline, or the file is not changed safely.
        """
        declared, settings = self.found.declaration, project.settings({})
        if declared.common_args != settings.args:
            raise RefusedError(
                f"{self.found.name} was judged with exprun_args = {plain(shlex.join(declared.common_args))}, and today it is "
                f"{plain(shlex.join(settings.args))}: it would be a jump between ladders. Judge it with today's arguments"
            )
        today = settings.default_control
        wanted = Variant(declared.variant.flags).tokens
        if today.tokens == wanted:
            return None
        if today.tokens != declared.control.tokens:
            raise RefusedError(
                f"{self.found.name} was judged on {Variant(declared.control.flags)}, and today's baseline is {today}: it would be a jump "
                "between ladders. Judge it on today's baseline"
            )
        if "baseline" in project.overridden:
            raise SettingsError(
                "exprun_baseline is set by addopts or PYTEST_ADDOPTS, which win over the ini file's key: take it out there first"
            )
        try:
            return edit_key(project, "baseline", shlex.join(revealed(wanted)))
        except TrainerError:
            raise RefusedError(
                f"{self.found.name} has a secret of which only a digest is stored, so it cannot be written: set exprun_baseline by hand, "
                "then promote it"
            ) from None

    def number(self, rungs: Sequence[Mapping[str, Any]], *, is_done: bool) -> int | None:
        """Return which rung it is, where whoever noted that did not come to the end; None if it is none yet.

        Raises:
            RefusedError: it is one, and there is nothing left to do, or others stand on it.
        """
        asked = self.question.content()
        alike = [
            each for each in rungs if all(each[name] == asked[name] for name in ("flags", "tree", "control_flags"))
        ]
        same = [each for each in rungs if each["id"] == identity(self.line)] or (alike if is_done else [])
        if not same:
            return None
        number = rungs.index(same[-1]) + 1
        if is_done:
            raise RefusedError(
                f"{self.found.name} is the baseline already: rung {number} of {len(rungs)} (exprun ladder)"
            )
        if number < len(rungs):
            raise RefusedError(
                f"{self.found.name} is rung {number} already, and {rungs[-1]['name']} stands on top of it: to go back to it, set "
                "exprun_baseline or the code by hand"
            )
        return number

    @cached_property
    def question(self) -> Question:
        """What the ledger knows it by."""
        return self.session.study.question(self.found.declaration)

    @cached_property
    def line(self) -> dict[str, Any]:
        """Return the rung as the ledger has it."""
        declared = self.found.declaration
        tree = declared.control.tree
        if tree is None and declared.variant.tree and declared.diff:  # a patch on the files here
            repository = self.session.diffs.repository
            base = Commit(declared.diff.base, declared.diff.base[:_COMMIT])
            tree = repository.tree_of(base) if self.is_merged else repository.working_tree()
        return rung_line(self.found, self.question, tree)

    @property
    def merge(self) -> str:
        """The command that puts the change of code into the files here; empty where it is there."""
        declared = self.found.declaration
        if self.is_merged or declared.diff is None or declared.variant.tree is None:
            return ""
        tip = Commit(declared.diff.tip, declared.diff.tip[:_COMMIT])
        is_commit = self.session.diffs.repository.tree_of(tip).id == declared.variant.tree.id
        return f"git merge {tip.name}" if is_commit else f"exprun apply {declared.name}"

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds that a baseline has and the change was not trained on yet."""
        declared = self.found.declaration
        return self.session.study.plan(declared.variant, self.session.settings.seeds_of_baselines, declared).missing

    def lines(self, edit: Edit | None, number: int) -> Iterator[str]:
        """Yield what was done, and what the user has to do."""
        found, declared = self.found, self.found.declaration
        fresh = f"CONFIRMED, {found.confirmation.reason}" if found.confirmation else "not confirmed by fresh seeds"
        yield f"promoted {plain(found.name)} ({plain(declared.what)}), rung {number}: {plain(fresh)}"
        yield from edit.diff() if edit else ()
        if declared.diff is not None:
            yield (
                f"to merge it: {self.merge}"
                if self.merge
                else "its code is here already: commit it, if it is in no commit"
            )
        if self.missing:
            seeds = ", ".join(map(str, self.missing))
            yield f"its runs are the new baseline's; the next session trains what they lack: seed {seeds}"
        old = shlex.join(declared.control.flags)
        for test in declared.nodeids if declared.change else ():
            yield f'{plain(test)} now adds its flags to a baseline that has them: give it baseline="{plain(old)}", or remove it'

    def to_json(self, edit: Edit | None, number: int) -> dict[str, Any]:
        """Return the same as plain JSON values."""
        told = {
            "name": self.found.name,
            "rung": number,
            "confirmed": self.found.confirmation is not None,
            "file": str(edit.file) if edit else None,
            "diff": edit.diff() if edit else [],
            "merge": self.merge or None,
            "missing_seeds": list(self.missing),
        }
        plain_values: dict[str, Any] = conceal_all(told)
        return plain_values
