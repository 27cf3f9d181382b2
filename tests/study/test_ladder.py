"""The ladder between the ledger and what is shown: both ends, and how many seeds measure the total."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from pytest_exprun.settings.project import find_project
from pytest_exprun.study.ladder import LEAST_SEEDS, both_ends, measure, read_ladder
from pytest_exprun.study.session import Session
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.rungs import MEASURING, PROMOTED, promotions
from tests.states import Checkout

INI = "[pytest]\nexprun_trainer = toy:main\nexprun_plots = off\nexprun_baseline = --rope --shift=-2\n"


def line(question, control, flags, *, tree=None, base=None, seeds=10):
    """Return what a rung says."""
    fresh = {"estimate": 0.1, "ci_low": 0.09, "ci_high": 0.11, "seeds": list(range(seeds))}
    return {
        "question": question,
        "name": question,
        "what": " ".join(flags),
        "flags": flags,
        "tree": "t" if tree else None,
        "key": f"after {question}",
        "patch": None,
        "control_flags": control,
        "control_tree": tree,
        "control_key": f"before {question}",
        "base": base,
        "metric": "val_loss",
        "lower_is_better": True,
        "budget": "1M tokens",
        "common_args": [],
        "confirmed": True,
        "claim": {"improvement": 0.2, "sigmas": 3.0},
        "fresh": fresh,
    }


@pytest.fixture
def climbed(toy_project):
    """Return the study of a project with two rungs, both of flags, and its ledger."""
    root = toy_project.pytester.path
    (root / "pytest.ini").write_text(INI, encoding="utf-8")
    ledger = Ledger(root / ".exprun")
    ledger.append(PROMOTED, line("a", [], ["--rope"]))
    ledger.append(PROMOTED, line("b", ["--rope"], ["--rope", "--shift=-2"], seeds=13))
    return Session(find_project(root, {}).settings({}), writes_reports=False).study, ledger


def test_the_first_end_has_the_first_rungs_flags(climbed):
    """On today's code, where every rung is one of flags."""
    study, ledger = climbed
    ends = both_ends(study, promotions(ledger))
    assert (ends.control.identity, ends.variant.identity) == ((), ("--rope", "--shift=-2"))
    assert (ends.control.tree, ends.variant.tree) == (None, None)


def test_as_many_seeds_as_the_most_of_a_rung(climbed):
    """At least ten: the total is never known worse than what it is compared with."""
    study, ledger = climbed
    found = measure(study, read_ladder(ledger))
    assert len(found.seeds) == 13 > LEAST_SEEDS
    assert found.estimate == pytest.approx(0.12)
    assert read_ladder(ledger).total.seeds == 13


def test_a_rung_that_stands_on_another_ones_key(climbed):
    """Flags, code and surroundings are in the key: another one is a gap."""
    _, ledger = climbed
    assert [rung.follows for rung in read_ladder(ledger).rungs] == [True, False]


def test_the_first_end_has_the_code_before_the_first_diff(toy_project):
    """Also where flags were promoted before it; git makes the tree again where the store is a new one."""
    root = toy_project.pytester.path
    checkout = Checkout(root)
    first = checkout.commit("first", **{"pytest.ini": INI, ".gitignore": ".exprun/\n.traces/\n"})
    study = Session(find_project(root, {}).settings({}), writes_reports=False).study
    tree = checkout.git("rev-parse", f"{first}^{{tree}}")
    text = (root / "toy.py").read_text(encoding="utf-8")
    checkout.commit("second", **{"toy.py": text.replace("2.0 +", "1.9 +")})
    ledger = Ledger(root / ".exprun")
    ledger.append(PROMOTED, line("a", [], ["--rope"]))
    ledger.append(PROMOTED, line("b", ["--rope"], ["--rope"], tree=tree, base=first))
    shutil.rmtree(root / ".exprun/trees", ignore_errors=True)
    ends = both_ends(study, promotions(ledger))
    assert (ends.control.flags, ends.control.tree.id, ends.variant.tree) == ((), tree, None)
    assert (study.grounds.of(ends.control).settings.root / "toy.py").read_text(encoding="utf-8") == text
    keys = study.question(ends).keys
    assert keys[0] != keys[1]


def test_an_executor_that_trains_no_other_code(climbed):
    """It is refused before anything is drawn, as by `exprun try`."""
    study, ledger = climbed
    checkout = Checkout(study.settings.root)
    first = checkout.commit("first")
    ledger.append(
        PROMOTED, line("c", ["--rope", "--shift=-2"], [], tree=checkout.git("rev-parse", "HEAD^{tree}"), base=first)
    )
    settings = replace(study.settings, executor="tests.study.test_ladder:Mine")
    study = Session(settings, writes_reports=False).study
    with pytest.raises(SettingsError, match="trains the files of the session, no other states of them"):
        measure(study, read_ladder(ledger))
    assert not ledger.entries(MEASURING[0])


class Mine:
    """An executor that knows no trees."""

    def run(self, tasks, on_point):
        """Never asked."""

    def rejects(self, specs):
        """Never asked."""


def test_no_ladder(tmp_path):
    """Nothing was promoted."""
    assert read_ladder(Ledger(tmp_path)) is None
