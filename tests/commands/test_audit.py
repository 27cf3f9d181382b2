"""`exprun audit`: a stored run is trained again."""

from __future__ import annotations

import pytest

from pytest_exprun.commands.audit import TOLERANCE
from pytest_exprun.verdict import stats
from tests.shell import (
    ROPE,
    edit,
    forge,
    losses,
    snapshot,
    train_baseline,
)


def test_audit_trains_one_stored_run_again(exprun, project):
    """An honest record comes back bit for bit, one run is trained, and the store is as before."""
    train_baseline()
    before = snapshot(project.pytester.path / ".exprun")
    exprun("audit", "--seed=137")
    assert "audit passed: seed 137 of no flags came back bit for bit." in exprun.flat()
    assert len(project.runs) == 11
    assert snapshot(project.pytester.path / ".exprun") == before
    assert not list((project.pytester.path / "checkpoints").glob("*"))


def test_audit_draws_a_run_at_random(exprun, project):
    """Without --seed and --slug any stored run may be drawn."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    for _ in range(12):
        exprun("audit")
    drawn = {tuple(line.split()[3:5]) for line in project.runs[8:]}
    # Twelve draws out of eight runs: that they are all the same has a probability of 8 ** -11.
    assert len(drawn) > 1


def test_audit_catches_a_forged_record(exprun, project):
    """A record that the code did not make is named: exit status 1, the record untouched, in plain words."""
    train_baseline()
    path = forge(project, 256, val_loss=1.5)
    data = path.read_bytes()
    exprun("audit", "--seed=256", status=1)
    assert "AUDIT FAILED: seed 256 of no flags did not come back: val_loss 1.5 and 1.98" in exprun.flat()
    assert path.read_bytes() == data
    exprun("audit", "--seed=42")


def test_audit_catches_a_trainer_that_is_not_reproducible(exprun, project):
    """The last bit counts."""
    train_baseline()
    forge(project, 42, val_loss=losses(project)[0] * (1 + 2e-16))
    exprun("audit", "--seed=42", status=1)
    assert "or the trainer is not reproducible" in exprun.flat()


@pytest.mark.parametrize(("sigmas", "status"), [(TOLERANCE * 0.9, 0), (TOLERANCE * 1.1, 1), (20.0, 1)])
def test_audit_on_another_machine_has_a_tolerance(exprun, project, sigmas, status):
    """Where the CPU differs, half a sigma of the arm is allowed and no more; which fact differs is said."""
    train_baseline()
    stored = losses(project, 10)
    # The forged value widens the arm's own spread a little; solve for the move in units of the spread that the audit sees.
    moved = next(
        stored[0] + step * 1e-5
        for step in range(1, 10**6)
        if step * 1e-5 / stats.describe([stored[0] + step * 1e-5, *stored[1:]]).std >= min(sigmas, 2.9)
    )
    forge(project, 42, {"cpu": "Abacus 9000"}, val_loss=moved)
    exprun("audit", "--seed=42", status=status)
    assert "cpu Abacus 9000 -> " in exprun.flat()
    assert ("within tolerance" in exprun.flat()) == (status == 0)


def test_audit_of_an_equal_run_needs_no_tolerance(exprun, project):
    """Bit for bit on another machine is bit for bit."""
    train_baseline()
    forge(project, 42, {"cpu": "Abacus 9000"})
    assert "came back bit for bit" in exprun("audit", "--seed=42")


def test_audit_of_one_arm(exprun, project):
    """--slug names an arm by its folder or its flags."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    for slug in ("rope", "--rope"):
        exprun("audit", f"--slug={slug}")
        assert "of --rope came back" in exprun.flat()
    assert "no such arm; there are: baseline, rope" in exprun.refused("audit", "--slug=qk")
    assert "has no such stored seed; there are: 42, 137, 256" in exprun.refused("audit", "--slug=rope", "--seed=7")
    assert "invalid int value: 'x'" in exprun.refused("audit", "--seed=x")


def test_audit_wants_runs_that_stand(exprun, project):
    """Runs of other code cannot come back, so they are no subject of an audit."""
    assert "nothing to audit" in exprun.refused("audit")
    train_baseline()
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    assert "nothing to audit" in exprun.refused("audit")


def test_audit_for_a_program(exprun, project):
    """Whether it came back, and the sentence."""
    train_baseline()
    assert exprun.told("audit", "--seed=42")["audited"]["passed"] is True
    forge(project, 42, val_loss=1.5)
    told = exprun.told("audit", "--seed=42", status=1)["audited"]
    assert (told["arm"], told["seed"], told["passed"]) == ("baseline", 42, False)
    assert told["reason"].startswith("AUDIT FAILED")
