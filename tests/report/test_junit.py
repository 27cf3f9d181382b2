"""A comparison as properties of a JUnit XML file."""

from __future__ import annotations

import math

import pytest

from pytest_exprun.report.junit import properties
from pytest_exprun.terms.model import Budget
from tests.report_toys import HOSTILE, comparison


def test_junit_properties_are_flat_and_plain():
    """Names with dots, values str or float: anything else crashes an xdist worker."""
    found = dict(properties(comparison()))
    assert {type(value) for value in found.values()} == {str, float}
    assert found["exprun.verdict"] == found["exprun.verdict_two_sigma"] == "WINNER"
    assert found["exprun.val_loss.cohens_d"] == pytest.approx(-0.09 / math.sqrt(0.000175))
    assert found["exprun.val_loss.experiment_mean"] == pytest.approx(1.91)
    assert found["exprun.wall_time.percent"] == pytest.approx(5.0)
    assert found["exprun.tokens"] == 1e6
    assert found["exprun.confirmed"] == "true"


def test_junit_leaves_out_what_is_undefined():
    """No None, no NaN: a diverged experiment has no p, a shaky time says why."""
    found = dict(properties(comparison((1.9, None, 1.92), provenance={"cpu": "Other"})))
    assert "exprun.p_value_one_sided" not in found
    assert found["exprun.kind"] == "diverged"
    assert found["exprun.wall_time.not_comparable"].startswith("cpu differs")
    assert all(value == value for value in found.values())  # noqa: PLR0124  # not NaN


def test_junit_text_is_xml():
    """Hostile flags come out printable."""
    assert all(str(part).isprintable() for pair in properties(comparison(flags=(f"--{HOSTILE}",))) for part in pair)


def test_a_budget_is_named_after_its_unit():
    """Only tokens have a name of their own."""
    found = dict(properties(comparison(budget=Budget(300, "seconds"))))
    assert found["exprun.budget"] == 300.0
    assert "exprun.tokens" not in found


def test_what_was_asked_stands_before_what_came_out():
    """Readers that show the first few properties show the verdict."""
    names = [name for name, _ in properties(comparison())]
    assert names[:3] == ["exprun.verdict", "exprun.verdict_two_sigma", "exprun.reason"]
    assert names.index("exprun.rule") < names.index("exprun.n_baseline") < names.index("exprun.val_loss.delta")
