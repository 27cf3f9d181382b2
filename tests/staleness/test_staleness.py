"""No edit that changes a result lets stored runs stand; harmless ones rarely cost more than a look, never a wrong one."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from tests.staleness import edits
from tests.staleness.lab import Lab, judge_all

# Every so many edits of the long lists; the slow form takes all.
SAMPLE = 32


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return a project with both arms stored."""
    return Lab(tmp_path_factory.mktemp("lab"))


def check_changes(lab, corpus):
    """No stale run is accepted; return how many edits changed a result."""
    outcomes = judge_all(lab, corpus)
    assert [str(outcome.edit) for outcome in outcomes if outcome.stale] == []
    return len({id(outcome.edit) for outcome in outcomes if outcome.changed})


def test_no_change_is_accepted(lab):
    """A sample of the generated changes."""
    assert check_changes(lab, list(edits.generated())[::SAMPLE]) > 0.7 * len(list(edits.generated())) / SAMPLE


@pytest.mark.parametrize("kind", sorted({edit.kind for edit in edits.written()}))
def test_no_written_change_is_accepted(lab, kind):
    """Data, configuration, packages, evaluation, late schedule, import-time effects, branches, callees, defaults: all are noticed."""
    assert check_changes(lab, [edit for edit in edits.written() if edit.kind == kind]) > 0


@pytest.mark.slow
def test_no_change_of_the_whole_corpus_is_accepted(lab):
    """All generated and written changes: at least 300 of them change a result, none is accepted."""
    assert check_changes(lab, chain(edits.generated(), edits.written())) >= 300


def test_what_one_seed_cannot_show(lab):
    """The known limit: an edit that acts on another seed than the verified one passes; one that acts on the verified seed does not."""
    outcomes = judge_all(lab, edits.seed_specific())
    assert {outcome.decision for outcome in outcomes} == {"verified", "retrained"}
    for outcome in outcomes:
        assert outcome.stale == (outcome.decision == "verified" and bool(outcome.changed))
        assert outcome.seed not in outcome.changed or outcome.decision == "retrained"


def check_harmless(lab, corpus):
    """Nothing changed; return the decisions."""
    outcomes = judge_all(lab, corpus)
    assert [str(outcome.edit) for outcome in outcomes if outcome.changed] == []
    return Counter(outcome.decision for outcome in outcomes)


def test_harmless_edits_cost_little(lab):
    """A sample of everyday edits: hardly any arm is trained anew, and what only comments or lays out costs nothing."""
    decisions = check_harmless(lab, list(edits.harmless())[::10])
    assert decisions["retrained"] <= 0.1 * decisions.total()
    assert decisions["stands"] >= 0.3 * decisions.total()


@pytest.mark.slow
def test_all_harmless_edits_cost_little(lab):
    """All hundred and more everyday edits."""
    decisions = check_harmless(lab, edits.harmless())
    assert decisions.total() >= 2 * 100
    assert decisions["retrained"] <= 0.02 * decisions.total()
    assert decisions["stands"] >= 0.3 * decisions.total()


def test_the_proof_can_fail(lab, monkeypatch):
    """A fingerprint that leaves the sources out accepts changes, and the corpus finds it."""
    from pytest_exprun.trust.identity.fingerprint import Fingerprinter

    monkeypatch.setattr(Fingerprinter, "_sources", {})
    blind = Lab.__new__(Lab)
    vars(blind).update(vars(lab))
    with blind._session():
        blind.keys = {arm: blind._key(arm) for arm in lab.keys}
    some = list(edits.generated())[::80]
    with pytest.raises(AssertionError):
        check_changes(blind, some)
