"""One stored run trained again: where it departs from the stored one, and when it is the same."""

from __future__ import annotations

import pytest

from pytest_exprun.study.arms.stale import Comparing, Differs, Verification
from pytest_exprun.terms.curves import MAX_OTHER_POINTS, MAX_POINTS
from pytest_exprun.terms.outcome import CurvePoint
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.past import Past
from tests.stored import make_run


def test_an_equal_run_is_confirmed():
    """The same progress lines and metrics, other times: nothing differs."""
    verification = Verification(make_run(), "val_loss")
    for point in make_run().curve:
        verification.hear(CurvePoint(point.step, {**point.values, "time": 9.0}))
    assert verification.outcome(make_run(metrics={"val_loss": 1.5, "wall_time": 7.0})) is None


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([CurvePoint(1, {"val_loss": 2.0000000000000004})], "val_loss at step 1 2.0 and 2.0000000000000004"),
        ([CurvePoint(2, {"val_loss": 2.0})], "step 1 and of step 2"),
        ([CurvePoint(1, {"train_loss": 2.0})], "val_loss at step 1 2.0 and None"),
        ([CurvePoint(1, {"val_loss": None})], "val_loss at step 1 2.0 and None"),
        ([*make_run().curve, CurvePoint(3, {"val_loss": 1.0})], "progress line 3, the stored run printed 2"),
    ],
)
def test_the_first_difference_stops_the_run(points, said):
    """It is raised as soon as it is heard."""
    verification = Verification(make_run(), "val_loss")
    for point in points[:-1]:
        verification.hear(point)
    with pytest.raises(Differs) as raised:
        verification.hear(points[-1])
    assert said in str(raised.value)


def test_no_handler_of_a_trainer_holds_it():
    """`except Exception` lets it pass."""
    assert not issubclass(Differs, Exception)


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"val_loss": 1.5000000000000002, "wall_time": 1.0}},
        {"metrics": {"wall_time": 1.0}},
        {"status": "diverged"},
        {"curve": make_run().curve[:1]},
        {"notes": {"data_sha256": "other"}},
    ],
)
def test_a_prefix_never_accepts(changes):
    """All progress lines equal, and still the end decides."""
    assert Verification(make_run(), "val_loss").outcome(make_run(**changes)) is not None


def test_a_zero_of_the_other_sign_differs():
    """Equality is to the last bit."""
    stored = make_run(metrics={"val_loss": 0.0})
    assert Verification(stored, "val_loss").outcome(make_run(metrics={"val_loss": -0.0})) == "val_loss 0.0 and -0.0"


def test_what_only_the_new_code_reports_does_not_differ():
    """A new metric, or a new value in a progress line, changes no old one."""
    verification = Verification(make_run(), "val_loss")
    verification.hear(CurvePoint(1, {"val_loss": 2.0, "grad_norm": 1.0}))
    curve = tuple(CurvePoint(point.step, {**point.values, "grad_norm": 1.0}) for point in make_run().curve)
    assert verification.outcome(make_run(curve=curve, metrics={"val_loss": 1.5, "bpb": 2.0})) is None


@pytest.mark.parametrize("older", [0, 20])
def test_of_a_long_curve_only_what_is_kept_is_compared(older):
    """Lines beyond it are heard, and do not differ; nor does a stored curve of a version that kept more."""
    line = [CurvePoint(step, {"val_loss": 2.0}) for step in range(MAX_POINTS + 20)]
    verification = Verification(make_run(curve=tuple(line[: MAX_POINTS + older])), "val_loss")
    for point in line[:-1]:
        verification.hear(point)
    assert verification.outcome(make_run(curve=tuple(line[:MAX_POINTS]))) is None
    short = Verification(make_run(curve=tuple(line[: MAX_POINTS - 1])), "val_loss")
    with pytest.raises(Differs):
        [short.hear(point) for point in line]
    assert short.outcome(make_run(curve=tuple(line[:MAX_POINTS]))) is not None


def test_the_metric_of_the_settings_says_what_is_kept():
    """An experiment may be judged by another one, of which the progress lines say nothing."""
    line = [CurvePoint(step, {"val_loss": 2.0}) for step in range(MAX_OTHER_POINTS + 2)]
    verification = Verification(make_run(curve=tuple(line)), "accuracy", "val_loss")
    for point in line[:-1]:
        verification.hear(point)
    with pytest.raises(Differs):
        verification.hear(CurvePoint(line[-1].step, {"val_loss": 3.0}))


OLD, NEW = (Past(Key({"source a.py": name})) for name in ("old", "new"))
OTHER = make_run(
    curve=(CurvePoint(1, {"val_loss": 3.0}), *make_run().curve[1:]), metrics={"val_loss": 2.5, "wall_time": 1.0}
)


def comparing(newest, older):
    """Return the comparison of a run with its twins of two states."""
    return Comparing([(NEW, Verification(newest, "val_loss")), (OLD, Verification(older, "val_loss"))])


def test_it_may_be_the_run_of_an_older_state():
    """An idea that came and went is the newest; the run goes on while one of them may be the same."""
    found = comparing(OTHER, make_run())
    for point in make_run().curve:
        found.hear(point)
    assert found.equal(make_run()) is OLD
    assert found.differs == "val_loss at step 1 3.0 and 2.0"


def test_of_several_that_are_the_same_the_newest():
    """There is nothing to choose between them."""
    assert comparing(make_run(), make_run()).equal(make_run()) is NEW


def test_it_stops_where_it_departs_from_all():
    """And says where it departs from the newest, at once or at its end."""
    found = comparing(OTHER, OTHER)
    with pytest.raises(Differs, match=r"val_loss at step 1 3\.0 and 2\.0"):
        found.hear(make_run().curve[0])
    found = comparing(make_run(), OTHER)
    assert found.equal(make_run(metrics={"val_loss": 9.0, "wall_time": 1.0})) is None
    assert "9.0" in found.differs
