"""`exprun aa`: the baseline against itself, the first thing to run with a new trainer.

Five further seeds are trained and judged as an experiment would be. Nothing was changed, so the verdict must be NEUTRAL.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.evidence import evidence_lines
from pytest_exprun.report.text import percent, plain
from pytest_exprun.report.values import answer
from pytest_exprun.settings.declaration import declare_baseline
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.study.study import Study
from pytest_exprun.terms.model import SEEDS, Experiment, baseline_seeds
from pytest_exprun.terms.outcome import Verdict
from pytest_exprun.verdict.comparison import Comparison, compare
from pytest_exprun.verdict.rules import judge, rule_named
from pytest_exprun.verdict.sessions.chance import Relabelings, relabel

FAILED_STATUS = 1


def run(settings: Settings, _arguments: argparse.Namespace, console: Console) -> int:
    """Train what is missing and print the comparison; the exit status is 1 if the verdict is not NEUTRAL.

    Raises:
        ExprunError: a run cannot be trusted, or the numbers allow no verdict.
    """
    settings = replace(settings, mode="run")
    first = settings.baseline_seeds
    seeds = baseline_seeds(first + len(SEEDS))
    declared = declare_baseline(settings, seeds[:first], seeds[first:])
    session = Session(settings, say=console.say, live=console.live, writes_reports=False)
    session.study.declared = [replace(declared, baseline_seeds=seeds)]  # what is to come, for the outlook
    with console.training():
        runs = session.study.arm(settings.default_control, seeds, session.study.declared[0]).runs
    comparison = compare(declared, runs[:first], runs[first:])
    if console.has_said:
        console.say()
    console.show([_title(settings, comparison), "", *evidence_lines(comparison), "", _reading(comparison)])
    console.show(_wall_time(comparison))
    found = _relabelled(session.study, declared, settings)
    console.show(["", *(_rate_lines(*found, declared) if found else ["not relabelled: the runs could not be stored"])])
    console.answer(comparisons=[answer(comparison)], relabelled=vars(found[0]) if found else None)
    return 0 if comparison.verdict is Verdict.NEUTRAL else FAILED_STATUS


def _title(settings: Settings, comparison: Comparison) -> str:
    seeds = ", ".join(map(str, comparison.experiment.seeds))
    return f"A/A at {settings.budget}: the baseline ({plain(settings.default_control)}) against its own further seeds {seeds}"


def _reading(comparison: Comparison) -> str:
    if comparison.verdict is Verdict.NEUTRAL:
        return "A/A passed: NEUTRAL, as it must be, for nothing was changed."
    expected = rule_named(comparison.declaration.rule).chance(comparison.declaration.min_effect)
    return (
        f"A/A FAILED: {comparison.verdict} though nothing was changed. Chance alone does this in about {100 * expected.relabelled:.0f} % "
        "of A/A tests; a trainer does it whose results depend on more than the seed (the machine's state, the order of runs, the date). "
        "Look at the seeds before you trust any verdict."
    )


def _wall_time(comparison: Comparison) -> Iterator[str]:
    effect = comparison.effects.get("wall_time")
    if effect is not None and effect.raw_percent is not None:
        doubt = "" if effect.comparable else f" ({plain(effect.why_not)})"
        yield f"Wall time differs by {percent(effect.raw_percent)} with no change at all{doubt}: believe no smaller difference."


def _relabelled(study: Study, declared: Experiment, settings: Settings) -> tuple[Relabelings, int] | None:
    """Relabel every stored run of the baseline; return what came out and how many there are, None if some could not be stored."""
    key = study.fingerprinter.key(declared.control, declared.budget, declared.common_args)
    slug = declared.control.slug
    stored = [study.store.load(slug, key, seed) for seed in study.store.seeds(slug, key)]
    known = [run.metrics.get(settings.metric) for run in stored if run is not None]
    values = [value for value in known if value is not None]
    if len(values) < settings.baseline_seeds + len(SEEDS):
        return None
    return relabel(values, settings.baseline_seeds, lambda b, e: _verdict(declared, b, e)), len(values)


def _verdict(declared: Experiment, baseline: dict[int, float], experiment: dict[int, float]) -> Verdict:
    judgement = judge(
        baseline,
        experiment,
        rule=declared.rule,
        lower_is_better=declared.lower_is_better,
        min_effect=declared.min_effect,
        futility=declared.futility,
        plan=tuple(experiment),
    )
    assert judgement.verdict is not None, "all seeds of the plan are there"
    return judgement.verdict


def _rate_lines(found: Relabelings, n: int, declared: Experiment) -> Iterator[str]:
    which = f"all {found.count}" if found.complete else f"{found.count} random"
    yield (
        f"Relabelling: {which} ways to call the {n} stored baseline runs baseline and experiment gave a verdict in "
        f"{100 * found.rate:.1f} % (WINNER {100 * found.winners / found.count:.1f} %, LOSER {100 * found.losers / found.count:.1f} %)."
    )
    expected = rule_named(declared.rule).chance(declared.min_effect)
    low, high = (f"{100 * bound:.0f}" for bound in (expected.low, expected.high))
    yield (
        f"By simulation, ten normal seeds give a verdict in {100 * expected.relabelled:.0f} % on average, 95 % of such sets between "
        f"{low} and {high} %. Far more than that: seeds with outliers or a skew, for which rule tested is the safer one."
    )
