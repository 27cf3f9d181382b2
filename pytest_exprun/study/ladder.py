"""The ladder between the ledger, which keeps its lines, and what is shown of it: a rung's line, both ends, the measured total."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_exprun.report.plots import Drawing
from pytest_exprun.report.sessions.ladder import section
from pytest_exprun.report.sessions.steps import steps
from pytest_exprun.running.executors.contract import check_trees
from pytest_exprun.settings.declaration import declare_baseline
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.diffs import Diffs
from pytest_exprun.study.study import Study
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import SEEDS, Experiment, Tree, Variant
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.questions import Question
from pytest_exprun.trust.ledger.rungs import promotions, totals
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.confirmation import Confirmation
from pytest_exprun.verdict.sessions.chance import fingerprints
from pytest_exprun.verdict.sessions.ladder import Ladder, Rung, Total

LEAST_SEEDS = 10
"""Fresh seeds a side of the total, or as many as the most of a rung: so the total is never known worse than what it is compared with.

Ten are those of a ledger's first confirmation. Without any correlation of the arms they give the total to one sigma either way (95 %:
t(.975, 9) * sqrt(2 / 10) = 1.01), with a correlation of .9 to a third of it.
"""
_OF_FRESH = ("estimate", "ci_low", "ci_high", "sigmas", "p_value", "alpha", "seeds")


def rung_line(found: Comparison, question: Question, control_tree: Tree | None) -> dict[str, Any]:
    """Return what the ledger keeps of a change that becomes the baseline: enough to show it without any report.

    `control_tree` is the state of the control's code, where the change is one of code.
    """
    declared, first = found.declaration, replace(found, confirmation=None).quoted
    fresh = found.confirmation.to_json() if found.confirmation else None
    said = question.content()
    return {
        "question": fingerprints(found)[1],
        "asked": question.id,
        **{name: said[name] for name in ("name", "flags", "tree", "key", "control_flags", "control_key", "patch")},
        "control_tree": control_tree.id if control_tree else None,
        "base": declared.diff.base if declared.diff else None,
        "what": declared.what,
        **{name: said[name] for name in ("metric", "lower_is_better", "common_args")},
        "budget": str(declared.budget),
        "confirmed": fresh is not None and fresh["confirmed"],
        "claim": {
            "improvement": first.improvement,
            "sigmas": first.sigmas,
            "ci_low": first.low,
            "ci_high": first.high,
            "seeds": list(found.experiment.seeds),
        },
        "fresh": {name: fresh[name] for name in _OF_FRESH} if fresh else None,
    }


def read_ladder(ledger: Ledger) -> Ladder | None:
    """Return what a ledger says of its ladder; None where nothing was promoted. Lines that say too little are passed over.

    Raises:
        StoreError: the ledger cannot be read.
    """
    rungs: list[Rung] = []
    for line in promotions(ledger):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            rungs.append(Rung.of(line, rungs[-1] if rungs else None))
    return Ladder(tuple(rungs), next(_totals(ledger), None)) if rungs else None


def _totals(ledger: Ledger) -> Iterator[Total]:
    """Yield the measurements, the last one first."""
    for line in reversed(totals(ledger)):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            yield Total.of(line)


def ladder_page(ledger: Ledger, settings: Settings) -> tuple[list[list[str]], list[Drawing]]:
    """Return the sections of the folder's list about the ladder, and its picture; nothing where nothing was promoted.

    Raises:
        StoreError: the ledger cannot be read.
    """
    ladder = read_ladder(ledger)
    if ladder is None:
        return [], []
    drawing = steps(ladder) if settings.plots == "auto" else None
    return section(ladder, drawing.picture if drawing else None), [drawing] if drawing else []


def measure(study: Study, ladder: Ladder) -> Confirmation:
    """Return how much better today's baseline is than the first one, on fresh seeds of both, training what is missing.

    Raises:
        RefusedError: nothing differs between the two.
        SettingsError: the executor cannot train another state of the code.
        ExprunError: a run cannot be trusted, or the ledger cannot be written.
    """
    ends = both_ends(study, promotions(Ledger(study.store.root)))
    if ends.control.tree:
        check_trees(study.settings)
    question = study.question(ends)
    if None not in question.keys and question.keys[0] == question.keys[1]:
        raise RefusedError(
            "today's baseline is the first one, so there is nothing to measure: the last rung is not in the ini file or not merged"
        )
    said = question.content()
    names = ("flags", "tree", "key", "control_flags", "control_tree", "control_key", "metric", "lower_is_better")
    content = {name: said[name] for name in names} | {"budget": str(ends.budget), "after": ladder.rungs[-1].id}
    return study.measure(ends, content, max([LEAST_SEEDS, *(rung.fresh_seeds for rung in ladder.rungs)]))


def looked_at(study: Study, ladder: Ladder) -> Ladder:
    """Return a ladder that knows whether its total is of today's two ends; as it is where nobody can tell, as their code cannot be read.

    Raises:
        ExprunError: the first baseline's code is not here, or nobody says which direction of the metric is better.
    """
    if ladder.total is None:
        return ladder
    question = study.question(both_ends(study, promotions(Ledger(study.store.root))))
    return ladder if None in question.keys else replace(ladder, is_of_today=question.id == ladder.total.question)


def both_ends(study: Study, lines: Sequence[Mapping[str, Any]]) -> Experiment:
    """Return an experiment whose control is the first baseline, and whose variant is today's.

    The first one has the first rung's flags. Where a rung changed code, it has the code before that too; else today's.
    """
    settings = study.settings
    flags = tuple(lines[0]["control_flags"])
    tree = next((_state(study, line) for line in lines if line["control_tree"]), None)
    alike = declare_baseline(settings, settings.seeds_of_baselines, SEEDS)
    return replace(alike, name="ladder", control=Variant(flags, tree), variant=settings.default_control)


def _state(study: Study, line: Mapping[str, Any]) -> Tree:
    """Return the code before a rung. Of a commit git makes it again where the store was made anew."""
    base = str(line["base"] or "")
    if base:
        with contextlib.suppress(RefusedError):
            repository = Diffs(study.settings).repository
            repository.tree_of(repository.commit(base))
    return Tree(line["control_tree"], base[:7] or "first")
