"""What a trainer gave is sorted, and what cannot be judged is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_exprun.running.training.results import check_tokens, real_number, require_metric, sort_returned, status_of
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult


def test_numbers_are_metrics_and_the_rest_are_notes():
    """Non-finite numbers are None; bool, text and larger arrays are notes; a key must be text."""
    metrics, notes = sort_returned({"a": 1, "b": math.nan, "c": True, "d": "x", "e": [1.0], "f": 10**400})
    assert metrics == {"a": 1.0, "b": None}
    assert set(notes) == {"c", "d", "e", "f"}
    assert real_number(2 + 0j) is None
    with pytest.raises(TrainerError, match="returned the key 1"):
        sort_returned({1: 2.0})


def test_arrays_of_one_element_and_scalars_of_libraries_are_numbers():
    """What frameworks return for a loss; a boolean of theirs is no number either, and a long array is told by its text."""
    metrics, notes = sort_returned(
        {"a": np.float32(0.5), "b": np.array([1.5]), "c": np.int64(3), "d": np.bool_(1), "e": np.ones(2)}
    )
    assert metrics == {"a": 0.5, "b": 1.5, "c": 3.0}
    assert notes == {"d": "np.True_", "e": "array([1., 1.])"}


def test_a_metric_that_is_not_finite_makes_a_diverged_run():
    """Any of them does."""
    assert status_of({"a": 1.0, "b": None}) == "diverged"
    assert status_of({"a": 1.0}) == "finished"


def test_a_budget_that_was_not_kept_is_refused():
    """A run that says nothing of its budget is believed, and so is one that diverged before its end."""
    for metrics in ({"train_tokens": 7.0}, {"val_loss": 1.0}, {"train_tokens": 3.0, "val_loss": None}):
        check_tokens(metrics, 7)
    with pytest.raises(TrainerError, match="reports train_tokens = 8, asked for 7"):
        check_tokens({"train_tokens": 8.0}, 7)


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ({"val_loss": "low"}, "t: seed 42 of --x: val_loss is 'low', no real number; return a float"),
        ({"text": "x"}, r"t: seed 42 of --x: returned no val_loss; it returned: acc, text. Return it, or name another"),
    ],
)
def test_a_run_without_the_metric_cannot_be_judged(notes, message):
    """What it returned in its place is shown."""
    result = RunResult(RunSpec(Variant(("--x",)), 42), "finished", {"acc": 0.5}, notes)
    require_metric(result, "acc", "t")
    with pytest.raises(TrainerError, match=message):
        require_metric(result, "val_loss", "t")
