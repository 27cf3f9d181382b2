"""How an arm is asked for, and how a plan for one reads."""

from __future__ import annotations

from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.arms.asked import ArmPlan, Asked
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.trust.trees.ground import Ground
from tests.stored import BASELINE, KEY, ROPE


def test_an_arm_is_asked_for_seed_by_seed():
    """Each run has the arm's flags, arguments and budget; the role is none of its business."""
    asked = Asked(Ground(Settings()), KEY, ROPE, ("--size", "nano"), Budget(300, "steps"), "val_loss", "control")
    assert asked.spec(137) == RunSpec(ROPE, 137, Budget(300, "steps"), ("--size", "nano"))


def test_arms_and_plans_are_called_by_role_and_flags():
    """The same words stand in lines, in errors and in the list of a plan; no flags are called so."""
    asked = Asked(Ground(Settings()), KEY, Variant(("--rope", "--base", "5")), (), Budget(), "val_loss", "exp")
    assert str(asked) == "exp (--rope --base 5)"
    assert str(ArmPlan(BASELINE, "baseline", (), (42,))) == "baseline (no flags)"


def test_a_plan_promises_nothing_that_it_was_not_told():
    """Without stored runs no duration is known, no reason is given, and all that is missing is needed."""
    plan = ArmPlan(ROPE, "exp", (), (42, 137))
    assert (plan.why, plan.seconds, plan.optional) == ("", None, 0)
