"""What programs read of a comparison: properties of a JUnit XML file, and an object."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from pytest_exprun.report import values
from pytest_exprun.report.values import answer, compared, is_open, next_step, properties, recorded
from pytest_exprun.terms.model import Budget, Diff, Experiment, Tree, Variant
from pytest_exprun.verdict.compute.speedup import Speedup
from pytest_exprun.verdict.sessions.chance import fingerprints
from tests.report_toys import BASELINE, HOSTILE, LOSER, NEUTRAL, WINNER, comparison

SCHEMA = json.loads(Path(values.__file__).with_name("answer.schema.json").read_text(encoding="utf-8"))
DIFF = Diff("a" * 40, "b" * 40, uncommitted=True, files=(("model.py", 3, 1), ("data.bin", -1, -1)), patch="c" * 64)


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


def test_it_is_plain_and_complete():
    """Numbers are finite JSON, what to do next stands beside the verdict."""
    found = answer(comparison())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["verdict"] == "WINNER"
    assert found["experiment_mean"] < found["baseline_mean"]
    assert found["lower_is_better"] is True
    assert found["compared"] is None


@pytest.mark.parametrize(
    "found",
    [
        comparison(),
        comparison(LOSER),
        comparison(NEUTRAL),
        comparison((None, None, None)),
        comparison((1.9, None, 1.92)),
    ],
)
def test_it_is_as_the_schema_says(found):
    """Also where seeds diverged and there is no mean."""
    jsonschema.validate({"exit_status": 0, "tried": [answer(found)]}, SCHEMA)


def test_the_schema_can_refuse():
    """What it does not know, and what is missing."""
    found = answer(comparison())
    for wrong in (
        {**found, "more": 1},
        {name: value for name, value in found.items() if name != "verdict"},
        {**found, "next": "buy"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"exit_status": 0, "comparisons": [wrong]}, SCHEMA)


def test_an_arm_without_any_finite_seed_has_no_mean():
    """All seeds diverged: a LOSER, and an answer all the same."""
    found = answer(comparison((None, None, None)))
    assert (found["verdict"], found["experiment_mean"], found["sigmas_better"]) == ("LOSER", None, None)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(("values", "step"), [(WINNER, "confirm"), (LOSER, "discard")])
def test_what_to_do_next(values, step):
    """A winner is confirmed, a loser discarded."""
    assert next_step(comparison(values)) == step


def test_what_is_open_needs_more_seeds():
    """Of the NEUTRALs those that further seeds may decide."""
    found = comparison(NEUTRAL)
    assert next_step(found) == ("train more seeds" if is_open(found) else "discard")
    assert is_open(found) is (found.judgement.kind in {"suggestive", "inconclusive"})


def test_which_states_were_compared():
    """Commits, trees, names, the files and the diff's hash."""
    declared = Experiment("idea", Variant((), Tree("2" * 40, "idea")), Variant((), Tree("1" * 40, "main")), diff=DIFF)
    assert compared(declared) == {
        "base": {"commit": "a" * 40, "tree": "1" * 40, "name": "main"},
        "tip": {"commit": "b" * 40, "tree": "2" * 40, "name": "idea", "uncommitted": True},
        "files": {"model.py": [3, 1], "data.bin": [-1, -1]},
        "patch": "c" * 64,
    }


def test_what_a_ledger_keeps_is_plain_and_short():
    """The verdict, the seeds it stands on, the estimate with its interval, and digests of the numbers."""
    found = recorded(comparison())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["result"], found["verdict"], found["seeds"]) == ("judged", "WINNER", [42, 137, 256])
    assert found["delta"] == pytest.approx(-0.09)
    assert found["interval"][0] < found["delta"] < found["interval"][1] < 0
    assert (found["baseline"], found["judged"]) == fingerprints(comparison())
    assert (found["stale"], found["no_effect"]) == (False, False)
    assert recorded(comparison(BASELINE, points=0))["no_effect"]
    assert recorded(comparison((1.9, None, 1.92)))["p_value"] is None


def test_a_speedup_is_told_where_it_is_known():
    """As properties, and in the answer; without one nothing is."""
    found = replace(comparison(), speedup=Speedup(1.25, 1.1, 1.4, unit="FLOPs"))
    told = {name: value for name, value in properties(found) if "speedup" in name}
    assert told == {
        "exprun.speedup": 1.25,
        "exprun.speedup_low": 1.1,
        "exprun.speedup_high": 1.4,
        "exprun.speedup_unit": "FLOPs",
    }
    assert answer(found)["speedup"]["headline"].startswith("1.25 times as fast")
    assert "speedup" not in answer(comparison())
