"""What an executor that performs several runs at once is given together: everything selected, look by look.

One test after the other would keep a cluster waiting: an arm has three seeds. Verdicts do not change by it, and an error is raised by
the test that needs the run, as always.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_exprun.terms.errors import ExprunError
from pytest_exprun.terms.model import FIRST_LOOK, Experiment, Variant

if TYPE_CHECKING:
    from pytest_exprun.study.runs import Asked
    from pytest_exprun.study.study import Study


def train_ahead(study: Study, experiments: Sequence[Experiment]) -> None:
    """Train the runs of all first looks, then those that the undecided experiments need besides."""
    experiments = [each for each in experiments if each.variant.identity != each.control.identity]
    wanted = [(each.control, each.baseline_seeds, each) for each in experiments]
    wanted += [(each.variant, each.seeds[:FIRST_LOOK], each) for each in experiments]
    _train(study, wanted)
    wanted = []
    for each in experiments:
        with contextlib.suppress(ExprunError):
            needs = study.needs(each)
            if needs:
                wanted.append((each.variant, (*each.seeds[:FIRST_LOOK], *needs), each))
    _train(study, wanted)


def _train(study: Study, wanted: Sequence[tuple[Variant, Sequence[int], Experiment]]) -> None:
    """Train what is missing of these arms, in one go."""
    together: list[tuple[Asked, int]] = []
    known: dict[object, set[int]] = {}
    broken: set[str] = set()
    for variant, seeds, experiment in wanted:
        arm = known.setdefault((variant.identity, experiment.common_args, experiment.budget), set())
        if experiment.comparison_id not in broken and not arm.issuperset(seeds):
            try:
                asked, missing = study.missing(variant, seeds, experiment)
            except ExprunError:
                # Controls come first: without one nothing else of the comparison need be trained.
                broken.add(experiment.comparison_id)
                continue
            together += [(asked, seed) for seed in missing]
            arm.update(seeds)
    study.runs.train(together)
