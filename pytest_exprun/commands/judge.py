"""`exprun judge BASELINE EXPERIMENT`: a verdict on numbers that exist already. Trains nothing and needs no project."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.evidence import evidence_lines, labelled
from pytest_exprun.commands.measurements import Measurements, read_measurements
from pytest_exprun.report.values import answer
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.judged_at import REPORTED_AT, Place
from pytest_exprun.terms.model import Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, RunResult, Verdict
from pytest_exprun.verdict.comparison import Comparison, compare

_Found = tuple[float, Place | None]
LOSER_STATUS = 1
_BASELINE, _EXPERIMENT = Variant(), Variant(("--experiment",))


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Print the comparison. The exit status is 1 for a LOSER, else 0.

    Raises:
        RefusedError: the numbers cannot be read, or allow no verdict.
    """
    if len(arguments.numbers) != 2:  # noqa: PLR2004
        raise RefusedError(
            f"judge takes two arguments, BASELINE and EXPERIMENT, and was given {len(arguments.numbers)}; quote a glob, so that the "
            "shell leaves it alone: exprun judge 'base/*.log' 'rope/*.log'"
        )
    arms = [read_measurements(source, settings.metric, arguments.column) for source in arguments.numbers]
    comparison = judged(settings, *arms, direction=arguments.lower_is_better)
    common = _common_seeds(*arms)
    console.answer(comparisons=[answer(comparison)], report=comparison.to_json())
    console.answer(origins=[arm.origin for arm in arms], paired_seeds=list(common))
    facts = {
        "baseline": arms[0].origin,
        "experiment": arms[1].origin,
        "pairing": _pairing(comparison, common, arms),
    }
    console.show(line for label, text in facts.items() for line in labelled(label, text))
    console.show(["", *evidence_lines(comparison)])
    return LOSER_STATUS if comparison.verdict is Verdict.LOSER else 0


def judged(
    settings: Settings, baseline: Measurements, experiment: Measurements, *, direction: bool | None = None
) -> Comparison:
    """Compare two batches of numbers in one look at level .025, paired over common seeds where both arms have seeds.

    Args:
        settings: rule, metric and bar.
        baseline: at least five numbers.
        experiment: at least three.
        direction: whether less is better; None means as the settings or the metric's name say.

    Raises:
        RefusedError: the numbers allow no verdict, or nobody says which direction is better.
    """
    metric, common = settings.metric, _common_seeds(baseline, experiment)
    arms = (
        _arm(_BASELINE, metric, _by_seed(baseline, 1, paired=bool(common))),
        _arm(_EXPERIMENT, metric, _by_seed(experiment, len(baseline.values) + 1, paired=bool(common))),
    )
    declaration = Experiment(
        name="experiment",
        variant=_EXPERIMENT,
        metric=metric,
        directions=settings.directions(
            metric, direction, "add --higher-is-better or --lower-is-better, or name the metric with --metric"
        ),
        budget=settings.budget,
        seeds=arms[1].seeds,
        baseline_seeds=arms[0].seeds,
        rule=settings.rule,
        min_effect=settings.min_effect,
    )
    # The looks of a session are those of training; numbers that lie there all at once are one look.
    return compare(declaration, *arms, looks=1)


def _common_seeds(baseline: Measurements, experiment: Measurements) -> tuple[int, ...]:
    """Return the seeds to pair by, ascending; a single one pairs nothing."""
    common = sorted(set(baseline.seeds or ()) & set(experiment.seeds or ()))
    return tuple(common) if len(common) > 1 else ()


def _by_seed(arm: Measurements, first: int, *, paired: bool) -> dict[int, _Found]:
    """Return seed -> value, ascending; or with numbers that the other arm does not have, so that nothing is paired."""
    found = list(zip(arm.values, arm.places or [None] * len(arm.values), strict=True))
    if paired:
        assert arm.seeds is not None, "arms without seeds have none in common"
        return {seed: found[at] for seed, at in sorted(zip(arm.seeds, range(len(found)), strict=True))}
    return dict(enumerate(found, first))


def _arm(variant: Variant, metric: str, found: Mapping[int, _Found]) -> Arm:
    return Arm(variant, tuple(_run(RunSpec(variant, seed), metric, *each) for seed, each in found.items()))


def _run(spec: RunSpec, metric: str, value: float, place: Place | None) -> RunResult:
    finite = math.isfinite(value)
    known = {} if place is None else {REPORTED_AT: {metric: [place.unit, place.at, place.last]}}
    return RunResult(spec, "finished" if finite else "diverged", {metric: value if finite else None}, provenance=known)


def _pairing(comparison: Comparison, common: Sequence[int], arms: Sequence[Measurements]) -> str:
    if common:
        few = "" if comparison.judgement.test == "paired" else "; too few for a paired test"
        return f"by seed, {len(common)} in common ({', '.join(map(str, common))}){few}"
    without = [name for name, arm in zip(("baseline", "experiment"), arms, strict=True) if arm.seeds is None]
    if without:
        return f"none: {' and '.join(without)} {'carry' if len(without) > 1 else 'carries'} no seeds"
    return "none: the arms have fewer than two seeds in common"
