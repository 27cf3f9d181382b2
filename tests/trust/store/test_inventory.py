"""What a store holds and what of it stands for a run of now; looking changes nothing."""

from __future__ import annotations

import pytest

from pytest_exprun.trust.store.inventory import Standing, standing_runs, stored_arms
from pytest_exprun.trust.store.store import Store
from tests.stored import BASELINE, KEY, ROPE, files, make_key, make_run

OLD = make_key(source="1" * 64)


@pytest.fixture
def moments(monkeypatch):
    """Let each record be stored a moment later than the one before."""
    times = iter(range(100, 200))
    monkeypatch.setattr("pytest_exprun.trust.store.store.now", lambda: str(next(times)))


def standing(store, now=KEY):
    """Return how the only stored arm stands beside a key of now."""
    (arm,), _ = stored_arms(store)
    return Standing.of(arm, store, lambda *_: now)


@pytest.mark.usefixtures("moments")
def test_arms_are_listed_newest_first_with_their_seeds_in_order(store):
    """One arm for each key; what it was given is read from its runs."""
    for seed in (137, 42):
        store.save(make_run(seed), ROPE.slug, OLD)
    store.save(make_run(variant=BASELINE), BASELINE.slug, make_key(BASELINE))
    store.save(make_run(256), ROPE.slug, KEY)
    arms, damaged = stored_arms(store)
    assert damaged == []
    assert [(arm.slug, arm.key, arm.seeds) for arm in arms] == [
        ("rope", KEY, (256,)),
        ("baseline", make_key(BASELINE), (42,)),
        ("rope", OLD, (42, 137)),
    ]
    assert (arms[2].variant, arms[2].budget, arms[2].common_args) == (ROPE, make_run().spec.budget, ())
    assert arms[2].stored_at == "101"


def test_what_cannot_be_believed_is_named_and_left_alone(store):
    """A rotten record and one in another's place, each with its reason; the good one beside them is listed."""
    good, rotten = (store.save(make_run(seed), ROPE.slug, KEY) for seed in (42, 137))
    rotten.write_bytes(b"rotten")
    misplaced = store.root / "other" / KEY.short / good.name
    misplaced.parent.mkdir(parents=True)
    misplaced.write_bytes(good.read_bytes())
    before = files(store.root)
    arms, damaged = stored_arms(store)
    assert [arm.seeds for arm in arms] == [(42,)]
    assert dict(damaged) == {
        rotten: "cut short, or no record of this plugin",
        misplaced: "it lies in another one's place",
    }
    assert files(store.root) == before


def test_records_that_were_set_aside_are_no_arms(store):
    """Superseded ones and those in quarantine, nor are other files of the folder."""
    store.save(make_run(), ROPE.slug, KEY)
    store.supersede(ROPE.slug, KEY)
    store.save(make_run(137), ROPE.slug, KEY).write_bytes(b"rotten")
    assert store.load(ROPE.slug, KEY, 137) is None
    (store.root / "notes.txt").write_text("mine", encoding="utf-8")
    assert stored_arms(store) == ([], [])


def test_an_arm_stands_for_its_own_key_or_for_one_that_a_seed_attests(store):
    """For any other none of its runs does."""
    for seed in (42, 137):
        store.save(make_run(seed), ROPE.slug, OLD)
    assert standing(store, OLD).runs == (make_run(42), make_run(137))
    assert not standing(store).attested
    assert standing(store).runs == ()
    store.attest(ROPE.slug, KEY, OLD, 42)
    assert standing(store).attested
    assert standing(store).runs == (make_run(42), make_run(137))


def test_a_seed_whose_run_read_something_else_does_not_stand(tmp_path):
    """It is named with what it read then and what is there now; the other seeds stand."""
    content = {"file a.txt": "1", "file b.txt": "1"}
    store = Store(tmp_path, content_of=lambda label: content[label])
    store.save(make_run(42), ROPE.slug, KEY, {"file a.txt": "1", "file b.txt": "1"})
    store.save(make_run(137), ROPE.slug, KEY, {"file b.txt": "1"})
    assert standing(store).stale_seeds == {}
    content["file a.txt"] = "2"
    assert standing(store).stale_seeds == {42: [("file a.txt", "1", "2")]}
    assert standing(store).runs == (make_run(137),)


def test_runs_that_stand_are_gathered_by_the_key_of_now(store):
    """Two arms that stand for one question are one, a seed counts once, and what does not stand is not there."""
    for seed in (137, 42):
        store.save(make_run(seed), ROPE.slug, OLD)
    store.save(make_run(256), ROPE.slug, KEY)
    store.save(make_run(42), ROPE.slug, KEY)
    store.save(make_run(variant=BASELINE), BASELINE.slug, make_key(BASELINE, source="3" * 64))
    store.attest(ROPE.slug, KEY, OLD, 42)
    arms, _ = stored_arms(store)
    found = standing_runs(Standing.of(arm, store, lambda variant, *_: make_key(variant)) for arm in arms)
    assert found == {KEY.digest: (make_run(42), make_run(137), make_run(256))}
