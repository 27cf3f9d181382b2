"""The flags of everything selected: one question a session, and each experiment hears of its own only."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.running.executors.processes import Processes
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.flags import Flags
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import Budget, Experiment, Tree, Variant
from pytest_exprun.trust.trees.ground import Ground, Grounds

ROPE, TYPO, LATER = (
    Experiment(name, Variant((f"--{name}",)), budget=Budget(300, "steps"), common_args=("--nano",))
    for name in ("rope", "typo", "later")
)


class Trainer:
    """Stands in for an executor and for the observer: it rejects what it is told to, and notes what it was asked and told."""

    def __init__(self, error=None):
        self.asked, self.said, self.error = [], [], error

    def rejects(self, specs):
        """Reject every flag that is a typing error."""
        self.asked.append(list(specs))
        if self.error:
            raise self.error
        return ["has no option --typo" if "--typo" in spec.variant.flags else None for spec in specs]

    def say(self, text):
        """Note a line."""
        self.said.append(text)


def flags(trainer):
    """Return what checks flags with a trainer, which is the observer too."""
    return Flags(trainer, Grounds(Ground(Settings())), trainer, Variant())


def test_the_trainer_is_asked_once_about_everything_selected():
    """By the first run of each experiment, with its arguments and budget: importing a trainer takes seconds."""
    trainer = Trainer()
    check = flags(trainer)
    for _ in range(2):
        check.check(ROPE, [ROPE, LATER])
        check.check(LATER, [ROPE, LATER])
    (specs,) = trainer.asked
    assert [spec.variant for spec in specs] == [Variant(), ROPE.variant, LATER.variant]
    assert {(spec.seed, spec.budget, spec.common_args) for spec in specs} == {(42, Budget(300, "steps"), ("--nano",))}
    assert trainer.said == []


def test_the_wrong_flags_of_one_experiment_do_not_stop_the_others():
    """The error is said at once, before anything trains, and raised by its own experiment, each time."""
    trainer = Trainer()
    check = flags(trainer)
    check.check(ROPE, [ROPE, TYPO])
    why = "experiment typo (--typo): has no option --typo"
    assert trainer.said == [f"error ahead: {why}"]
    for _ in range(2):
        with pytest.raises(TrainerError) as raised:
            check.check(TYPO, [ROPE, TYPO])
        assert str(raised.value) == why
    check.check(ROPE, [ROPE, TYPO])
    assert len(trainer.asked) == len(trainer.said) == 1


def test_a_trainer_that_cannot_be_asked_is_an_error_of_every_experiment():
    """It is not asked again."""
    trainer = Trainer(TrainerError("trainer toy:main: cannot be imported"))
    check = flags(trainer)
    for experiment in (ROPE, TYPO):
        with pytest.raises(TrainerError, match="cannot be imported"):
            check.check(experiment, [ROPE, TYPO])
    assert len(trainer.asked) == 1


def test_a_tree_whose_trainer_cannot_be_asked_is_an_error_of_its_experiments_only(monkeypatch):
    """One branch with a wrong import must not stop the others."""
    good, bad = (
        Experiment(name, Variant((), Tree(name)), Variant((), Tree("base")), common_args=("--nano",))
        for name in ("good", "bad")
    )
    trainer = Trainer()
    check = Flags(trainer, Grounds(Ground(Settings()), lambda tree: Path(tree.id)), trainer, Variant())

    def rejects(self, specs):
        if self._settings.root.name == "bad":
            raise TrainerError("cannot be imported")
        return [None] * len(specs)

    trainer.notice = trainer.say
    monkeypatch.setattr(Processes, "rejects", rejects)
    check.check(good, [good, bad])
    with pytest.raises(TrainerError, match="cannot be imported"):
        check.check(bad, [good, bad])


def test_an_experiment_that_nobody_declared_is_asked_about_alone():
    """As `exprun aa` does, which selects nothing."""
    trainer = Trainer()
    flags(trainer).check(ROPE, [])
    assert [spec.variant for spec in trainer.asked[0]] == [Variant(), ROPE.variant]
