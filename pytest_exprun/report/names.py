"""What report files are called."""

from __future__ import annotations

from pytest_exprun.terms.model import Budget, Experiment, Variant

INDEX = "README.md"
"""The list of all experiments, under the name that code hosts show for a folder."""


def experiment_stem(declaration: Experiment) -> str:
    """Return the file name of an experiment's report without its ending: `experiment_rope_1M`."""
    return f"experiment_{declaration.name}_{declaration.budget.suffix}"


def baseline_stem(control: Variant, budget: Budget) -> str:
    """Return the file name of a baseline's report without its ending: `baseline_variance_1M`, `baseline_variance_rope_1M`."""
    arm = f"{control.slug}_" if control.flags else ""
    return f"baseline_variance_{arm}{budget.suffix}"
