"""`exprun why`: what stands and what changed."""

from __future__ import annotations

import re
import shutil

import pytest

from pytest_exprun.commands.why import matches
from pytest_exprun.terms.errors import RefusedError
from tests.shell import (
    ROPE,
    edit,
    snapshot,
    train_baseline,
)


def test_why_of_an_empty_store(exprun, project):
    """Nothing stored is said, and nothing is made."""
    before = snapshot(project.pytester.path)
    assert "nothing is stored in" in exprun("why")
    assert snapshot(project.pytester.path) == before


def test_why_says_that_nothing_changed_or_what_did(exprun, project):
    """Right after a session every arm stands; a changed source is named with its old and new digest."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    exprun("why")
    assert re.search(r"^baseline \(no flags\) at 1M tokens$", exprun.out, re.MULTILINE)
    assert re.search(r"seeds 42, 137, 256, 512, 1024 of \S+: nothing changed: 5 seeds stand", exprun.flat())
    assert re.search(
        r"\(--rope\) at 1M tokens seeds 42, 137, 256 of \S+: nothing changed: 3 seeds stand", exprun.flat()
    )
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    before = snapshot(project.pytester.path)
    out = exprun("why")
    assert len(re.findall(r"^    source toy.py: [0-9a-f]{12} -> [0-9a-f]{12}$", out, re.MULTILINE)) == 2
    assert "nothing changed" not in out
    assert snapshot(project.pytester.path) == before
    assert len(project.runs) == 8


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import argparse", "import argparse  # a comment"),
        ("import math\n", "\n\nimport math\n\n"),
    ],
)
def test_why_agrees_with_a_session_on_harmless_changes(exprun, project, old, new):
    """What the fingerprint sees through is no change here either."""
    train_baseline()
    edit(project, old, new)
    assert "nothing changed: 10 seeds stand" in " ".join(exprun("why").split())


@pytest.mark.parametrize(
    ("stale", "consequence"),
    [
        ("verify", "the next session trains one seed again; if it is the same to the last bit, the others stand"),
        ("retrain", "the next session trains them again"),
        ("error", "the next session refuses them (exprun_stale = error)"),
        ("keep", "the next session judges from them all the same, and says so (exprun_stale = keep)"),
    ],
)
def test_why_says_what_the_next_session_does(exprun, project, stale, consequence):
    """The consequence follows exprun_stale."""
    train_baseline()
    edit(project, "SIGMA = 0.01", "SIGMA = 0.011")
    exprun("why", f"--stale={stale}")
    assert consequence in exprun.flat()


def test_why_after_a_verified_change(exprun, project):
    """A seed that came out the same lets the others stand; what changed is still shown."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    edit(project, "def main(argv):", "def unused():\n    return 3\n\n\ndef main(argv):\n    unused()")
    project.run().assert_outcomes(passed=1)
    assert len(project.seeds()) == 6
    exprun("why")
    assert "stand, because one trained again came out the same to the last bit" in exprun.flat()
    assert "source toy.py: " in exprun.out


def test_why_names_a_changed_setting_and_tells_scales_apart(exprun, project):
    """Budgets are questions of their own; another trainer is a change of all."""
    train_baseline(tokens=20_000)
    train_baseline()
    out = exprun("why")
    assert out.index("at 20K tokens") < out.index("at 1M tokens")
    assert exprun.flat().count("nothing changed: 10 seeds stand") == 2
    shutil.copy(project.pytester.path / "toy.py", project.pytester.path / "toy2.py")
    out = exprun("why", "--trainer=toy2:main")
    assert out.count("    trainer: toy:main -> toy2:main\n") == 2


@pytest.mark.usefixtures("project")
def test_why_shows_the_arguments_of_every_run(exprun):
    """What all runs were given stands in the arm's line, a blank before it."""
    train_baseline(args="--noise=0.5")
    assert exprun("why").startswith("baseline (no flags) at 1M tokens with --noise=0.5\n")


def test_why_of_one_arm(exprun, project):
    """-k chooses arms as it chooses tests; what matches nothing is said with what there is."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    assert "baseline" not in exprun("why", "-k", "rope")
    assert "--rope" not in exprun("why", "-k", "not rope")
    assert "no stored arm matches -k 'qk'; there are: rope, baseline" in exprun("why", "-k", "qk")
    assert "allowed are parts of a name" in exprun.refused("why", "-k", "rope and (")


@pytest.mark.parametrize(
    ("expression", "found"),
    [("rope", True), ("ROPE", True), ("not rope", False), ("rope and base", False), ("rope or base", True), ("not (base or x)", True),
     ("lr_scale=0.5", True), ("-3", False)],
)  # fmt: skip
def test_expressions_are_read_as_by_pytest(expression, found):
    """Names, and, or, not, brackets; in any case."""
    assert matches(expression, "rope-lr_scale=0.5") is found


@pytest.mark.parametrize("expression", ["", "rope rope", "(", "and", "not", "rope)"])
def test_expressions_that_cannot_be_read_are_refused(expression):
    """One line, and nothing is evaluated."""
    with pytest.raises(RefusedError, match="allowed are parts of a name"):
        matches(expression, "rope")


def test_why_names_damaged_records_and_leaves_them(exprun, project):
    """A record that cannot be believed is named with the reason; it stays for the next session to set aside."""
    train_baseline()
    path = next(project.pytester.path.glob(".exprun/baseline/*/seed-137.json"))
    data = path.read_bytes()
    path.write_bytes(data[:-9] + b"x" + data[-8:])
    exprun("why")
    assert "damaged: baseline/" in exprun.flat()
    assert "seed-137.json" in exprun.flat()
    assert "9 seeds stand" in exprun.flat()
    assert path.exists()


def test_why_follows_what_a_run_read(exprun, project):
    """A file that a run opened and that changed since makes just the runs that read it fall."""
    edit(
        project,
        "    time.sleep(args.slow)",
        "    (Path(__file__).parent / ('da' + 'ta.bin')).read_bytes()\n    time.sleep(args.slow)",
    )
    (project.pytester.path / "data.bin").write_bytes(b"1")
    train_baseline()
    exprun("why")
    assert "nothing changed: 10 seeds stand" in exprun.flat()
    (project.pytester.path / "data.bin").write_bytes(b"2")
    exprun("why")
    assert "no seed stands; files that a run read have changed" in exprun.flat()
    assert "seed 42 does not stand: file data.bin: " in exprun.flat()


def test_why_for_a_program(exprun, project):
    """What stands, what changed with both values whole, and what the next session does."""
    train_baseline()
    told = exprun.told("why")
    assert [(each["seeds"], each["standing"], each["changes"]) for each in told["arms"]] == [
        (told["arms"][0]["seeds"],) * 2 + ([],)
    ]
    assert told["arms"][0]["consequence"] is None
    edit(project, "loss = 2.0 +", "loss = 2.5 +")
    (arm,) = exprun.told("why")["arms"]
    assert arm["standing"] == []
    assert len(arm["changes"][0]["now"]) == 64
    assert "trains one seed again" in arm["consequence"]
    (damaged,) = (path for path in project.pytester.path.glob(".exprun/baseline/*/seed-42.json"))
    damaged.write_text("{", encoding="utf-8")
    assert list(exprun.told("why")["damaged"]) == [str(damaged.relative_to(project.pytester.path / ".exprun"))]
