"""Two runs are the same computation where all but declared clocks agree to the last bit."""

from __future__ import annotations

import pytest

from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.terms.sameness import difference, is_one_run, point_difference, with_clocks
from tests.stored import make_run

LOOK_LIKE_CLOCKS = [
    "ms_ssim",
    "peak_snr",
    "memory_acc",
    "dt_error",
    "lifetime_mae",
    "eta_r2",
    "step_ms",
    "tokens_per_second",
    "time_loss",
]


@pytest.mark.parametrize("name", LOOK_LIKE_CLOCKS)
def test_a_name_says_nothing(name):
    """A metric is compared whatever it is called, and the message says how to declare a clock; the judged one needs no such words."""
    one, two = make_run(metrics={name: 1.0, "val_loss": 1.5}), make_run(metrics={name: 2.0, "val_loss": 1.5})
    hint = "; if a clock or the machine measured it, name it in exprun_clocks"
    assert difference(one, two, "val_loss") == f"{name} 1.0 and 2.0{hint}"
    assert difference(one, two, name) == f"{name} 1.0 and 2.0"


@pytest.mark.parametrize("name", ["wall_time", "cpu_time", "time"])
def test_what_the_plugin_itself_measures_may_differ(name):
    """Unless it is judged."""
    one, two = make_run(metrics={name: 1.0}), make_run(metrics={name: 2.0})
    assert difference(one, two, "val_loss") is None
    assert difference(one, two, name) is not None


def test_declared_clocks_may_differ():
    """It is enough that one of the two runs says so: the other may have been stored before it was declared."""
    one, two = make_run(metrics={"mfu": 1.0}), make_run(metrics={"mfu": 2.0})
    declared = with_clocks(with_clocks(two, ["mfu"]), ["mfu", "dt"])
    assert declared.provenance["clocks"] == ["dt", "mfu"]
    assert difference(one, declared, "val_loss") is None
    assert difference(declared, one, "val_loss") is None
    assert difference(one, declared, "mfu") is not None


def test_without_clocks_a_run_stays_as_it_is():
    """No empty list is stored with every run."""
    assert with_clocks(make_run(), []) == make_run()


def test_progress_lines():
    """Step, values and their presence count; -0.0 is not 0.0; what only the second line says does not."""
    point = CurvePoint(1, {"val_loss": 0.0, "dt": 3.0})
    assert point_difference(point, CurvePoint(1, {"val_loss": 0.0, "dt": 4.0, "new": 1.0}), {"dt"}, "val_loss") is None
    for other in (
        CurvePoint(2, point.values),
        CurvePoint(1, {"val_loss": -0.0, "dt": 3.0}),
        CurvePoint(1, {"dt": 3.0}),
    ):
        assert point_difference(point, other, {"dt"}, "val_loss")


@pytest.mark.parametrize("note", ["data_sha256", "val_data_sha256", "device", "dtype"])
def test_what_was_measured_on_must_agree(note):
    """Data and device are part of a result."""
    assert difference(make_run(notes={note: "a"}), make_run(notes={note: "b"}), "val_loss") == f"{note} 'a' and 'b'"


def run_of(seed, metrics, curve=()):
    """Return a run."""
    points = tuple(CurvePoint(step, dict(values)) for step, values in curve)
    return RunResult(RunSpec(Variant(), seed), "finished", metrics, curve=points)


@pytest.mark.parametrize(
    ("metrics", "curve", "needed"),
    [
        ({"val_loss": 2.123456789012}, (), 2),
        ({"val_loss": 2.1234}, (), 4),
        ({"val_loss": 2.1234, "val_acc": 0.5}, (), 3),
        ({"val_loss": 2.1234, "params": 100.0, "wall_time": 3.0}, (), 4),
        ({"val_loss": 2.1234}, [(1, {"val_loss": 4.1}), (2, {"val_loss": 3.2}), (3, {"val_loss": 2.1234})], 2),
        ({"val_loss": None}, (), None),
    ],
)
def test_how_many_equal_seeds_are_no_chance(metrics, curve, needed):
    """Two losses of sixteen digits, or three numbers that tell what was learnt; counts and clocks tell nothing."""
    runs = [run_of(seed, metrics, curve) for seed in range(5)]
    assert next((count for count in range(1, 6) if is_one_run(runs[:count], "val_loss")), None) == needed
    assert not is_one_run([*runs[:1], run_of(9, {**metrics, "train_loss": 1.0}, curve)], "val_loss")
