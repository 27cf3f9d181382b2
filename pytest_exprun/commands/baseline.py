"""The default baseline as the commands ask for it: declared like any arm, with the project's metric, budget and arguments."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_exprun.study.study import Study
from pytest_exprun.terms.errors import MissingRunError, RefusedError
from pytest_exprun.terms.model import Arm, Experiment, lower_is_better
from pytest_exprun.terms.settings import Settings


def declared_baseline(settings: Settings, seeds: Sequence[int], experiment_seeds: Sequence[int]) -> Experiment:
    """Return a declaration whose both arms are the baseline: what the study needs to find or train it.

    Raises:
        RefusedError: nobody says which direction of the metric is better.
    """
    directions = {**dict.fromkeys(settings.lower_is_better, True), **dict.fromkeys(settings.higher_is_better, False)}
    if lower_is_better(settings.metric, directions) is None:
        raise RefusedError(
            f"nobody says whether more {settings.metric} is better: name it in exprun_higher_is_better or exprun_lower_is_better"
        )
    return Experiment(
        name="aa",
        variant=settings.default_control,
        control=settings.default_control,
        common_args=settings.args,
        metric=settings.metric,
        directions=tuple(sorted(directions.items())),
        budget=settings.budget,
        seeds=tuple(experiment_seeds),
        rule=settings.rule,
        min_effect=settings.min_effect,
        futility=settings.futility,
        baseline_seeds=tuple(seeds),
    )


def stored_baseline(study: Study, settings: Settings) -> Arm:
    """Return the stored baseline; trains nothing (the settings' mode is `frozen`).

    Raises:
        MissingRunError: a seed of it is not stored, or does not stand.
    """
    seeds = settings.seeds_of_baselines
    declared = declared_baseline(settings, seeds, seeds)
    try:
        return study.arm(settings.default_control, seeds, declared)
    except MissingRunError:
        plan = study.plan(settings.default_control, seeds, declared)
        why = f"; stored runs do not stand: {plan.why}" if plan.why else ""
        raise MissingRunError(
            f"the baseline ({settings.default_control}) at {settings.budget} is not stored: missing seed "
            f"{', '.join(map(str, plan.missing))} in {settings.path('store')}{why}. `pytest` on your experiments or `exprun aa` trains it"
        ) from None
