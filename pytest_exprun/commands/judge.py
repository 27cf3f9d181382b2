"""`exprun judge BASELINE EXPERIMENT`: a verdict on numbers that exist already. Trains nothing and needs no project."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence

from pytest_exprun.commands.console import Console
from pytest_exprun.commands.evidence import evidence_lines, labelled

# The looks of `compare` are those of training; numbers that lie there all at once are one look.
from pytest_exprun.comparison import Comparison, _effects, _evidence
from pytest_exprun.errors import RefusedError
from pytest_exprun.measurements import Measurements, read_measurements
from pytest_exprun.model import Arm, Experiment, RunResult, RunSpec, Variant, Verdict, lower_is_better
from pytest_exprun.rules import Judgement, judge
from pytest_exprun.settings import Settings

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
    if arguments.json:
        data = {**comparison.to_json(), "origins": [arm.origin for arm in arms], "paired_seeds": list(common)}
        console.print_data(json.dumps(data, indent=2, allow_nan=False))
    else:
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
    metric = settings.metric
    declared = {**dict.fromkeys(settings.lower_is_better, True), **dict.fromkeys(settings.higher_is_better, False)}
    if direction is not None:
        declared[metric] = direction
    if lower_is_better(metric, declared) is None:
        raise RefusedError(
            f"nobody says whether more {metric} is better: add --higher-is-better or --lower-is-better, or name the metric with --metric"
        )
    by_seed = bool(_common_seeds(baseline, experiment))
    arms = [
        _arm(variant, metric, arm, _seeds(arm, by_seed=by_seed, first=first))
        for variant, arm, first in ((_BASELINE, baseline, 1), (_EXPERIMENT, experiment, len(baseline.values) + 1))
    ]
    declaration = Experiment(
        name="experiment",
        variant=_EXPERIMENT,
        metric=metric,
        directions=tuple(sorted(declared.items())),
        seeds=arms[1].seeds,
        baseline_seeds=arms[0].seeds,
        rule=settings.rule,
        min_effect=settings.min_effect,
    )
    judgement = _one_look(declaration, arms, settings.rule)
    paired = judgement.test == "paired"
    return Comparison(
        declaration=declaration,
        baseline=arms[0],
        experiment=arms[1],
        judgement=judgement,
        two_sigma=_one_look(declaration, arms, "two_sigma"),
        effects=_effects(declaration, *arms, paired=paired),
        evidence=_evidence(metric, *arms, paired=paired),
    )


def _one_look(declaration: Experiment, arms: Sequence[Arm], rule: str) -> Judgement:
    baseline, experiment = (arm.values(declaration.metric) for arm in arms)
    return judge(
        baseline,
        experiment,
        rule=rule,
        lower_is_better=declaration.lower_is_better,
        min_effect=declaration.min_effect,
        looks=1,
    )


def _common_seeds(baseline: Measurements, experiment: Measurements) -> tuple[int, ...]:
    """Return the seeds to pair by; a single one pairs nothing."""
    if baseline.seeds is None or experiment.seeds is None:
        return ()
    common = tuple(seed for seed in experiment.seeds if seed in baseline.seeds)
    return common if len(common) > 1 else ()


def _seeds(arm: Measurements, *, by_seed: bool, first: int) -> tuple[int, ...]:
    """Return the seeds, or numbers that the other arm does not have, so that nothing is paired."""
    if by_seed:
        assert arm.seeds is not None
        return arm.seeds
    return tuple(range(first, first + len(arm.values)))


def _arm(variant: Variant, metric: str, arm: Measurements, seeds: Sequence[int]) -> Arm:
    runs = []
    for seed, value in zip(seeds, arm.values, strict=True):
        finite = math.isfinite(value)
        runs.append(
            RunResult(RunSpec(variant, seed), "finished" if finite else "diverged", {metric: value if finite else None})
        )
    return Arm(variant, tuple(runs))


def _pairing(comparison: Comparison, common: Sequence[int], arms: Sequence[Measurements]) -> str:
    if common:
        few = "" if comparison.judgement.test == "paired" else "; too few for a paired test"
        return f"by seed, {len(common)} in common ({', '.join(map(str, common))}){few}"
    without = [name for name, arm in zip(("baseline", "experiment"), arms, strict=True) if arm.seeds is None]
    if without:
        return f"none: {' and '.join(without)} {'carry' if len(without) > 1 else 'carries'} no seeds"
    return "none: the arms have fewer than two seeds in common"
