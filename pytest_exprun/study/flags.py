"""The flags of everything selected, checked by the trainer itself before the first run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_exprun.running.executors.contract import Executor, Surroundings
from pytest_exprun.running.executors.processes import Processes
from pytest_exprun.running.executors.reading import Reading
from pytest_exprun.study.arms.asked import RunObserver
from pytest_exprun.terms.errors import ExprunError, TrainerError, visible
from pytest_exprun.terms.model import Experiment, RunSpec, Tree, Variant
from pytest_exprun.trust.trees.ground import Grounds


@dataclass
class Flags:
    """Asks the trainer about everything selected in one go, and remembers what it said."""

    executor: Executor
    grounds: Grounds
    observer: RunObserver
    default: Variant
    _answers: dict[str, str | None] = field(default_factory=dict, init=False)
    _errors: dict[Tree | None, ExprunError] = field(default_factory=dict, init=False)

    def check(self, experiment: Experiment, declared: Sequence[Experiment]) -> None:
        """Refuse an experiment if its own flags are wrong; `declared` is everything selected, which is asked about together.

        Raises:
            TrainerError: the trainer does not take its flags, or cannot be asked.
        """
        if experiment.comparison_id not in self._answers:
            self._ask_trainer([*declared, experiment])
        for arm in (experiment.control, experiment.variant):
            if arm.tree in self._errors:
                raise self._errors[arm.tree]
        if why := self._answers[experiment.comparison_id]:
            raise TrainerError(why)

    def _ask_trainer(self, declared: Sequence[Experiment]) -> None:
        """Find out why experiments cannot run, by comparison; say so at once."""
        by_id = {each.comparison_id: each for each in declared}
        specs = list(dict.fromkeys(spec for each in by_id.values() for spec, _ in self._parts(each)))
        answers: dict[RunSpec, str | None] = dict.fromkeys(specs)
        for each in self._by_ground(specs):
            try:
                answers.update(self._answers_of(each))
            except ExprunError as error:  # on one tree: the trainers of the others can be asked all the same
                self._errors[each[0].variant.tree] = error
        told = {identity: self._cause(each, answers) for identity, each in by_id.items()}
        for text in dict.fromkeys(filter(None, told.values())):
            self.observer.say(f"error ahead: {text}")
        self._answers |= told

    def _by_ground(self, specs: Sequence[RunSpec]) -> Iterable[list[RunSpec]]:
        found: dict[Tree | None, list[RunSpec]] = {}
        for spec in specs:
            found.setdefault(spec.variant.tree, []).append(spec)
        return found.values()

    def _answers_of(self, specs: list[RunSpec]) -> Iterable[tuple[RunSpec, str | None]]:
        """Ask the trainer that these runs of one ground have; on a tree without flags there is nothing to ask."""
        ground = self.grounds.of(specs[0].variant)
        if not ground.is_tree:
            return zip(specs, self.executor.rejects(specs), strict=True)
        asked = [spec for spec in specs if spec.variant.flags or spec.common_args]
        plans = ground.settings.mode == "plan"
        apart = Reading(ground.settings) if plans else Processes(ground.settings, Surroundings(self.observer.notice))
        told = dict(zip(asked, apart.rejects(asked), strict=True)) if asked else {}
        return ((spec, told.get(spec)) for spec in specs)

    def _parts(self, each: Experiment) -> list[tuple[RunSpec, str]]:
        """Return runs with more and more of an experiment's flags, and where the last ones come from."""
        origin = "exprun_baseline" if each.control.flags == self.default.flags else "baseline"
        parts = [
            (Variant(tree=each.control.tree), f"exprun_args = {visible(shlex.join(each.common_args))}"),
            (each.control, f"{origin} = {visible(shlex.join(each.control.flags))}"),
            (each.variant, f"experiment {each.name} ({each.variant})"),
        ]
        return [(RunSpec(arm, each.seeds[0], each.budget, each.common_args), words) for arm, words in parts]

    def _cause(self, each: Experiment, answers: Mapping[RunSpec, str | None]) -> str | None:
        """Say why an experiment cannot run, and by which flags: the first part with which the answer is the same."""
        parts = self._parts(each)
        # On another tree the control's parser is another one.
        why = answers[parts[-1][0]] or answers[parts[-2][0]]
        return why and next(f"{words}: {why}" for spec, words in parts if answers[spec] == why)
