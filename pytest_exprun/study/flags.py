"""The flags of everything selected, checked by the trainer itself before the first run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_exprun.running.executors.contract import Executor
from pytest_exprun.study.asked import RunObserver
from pytest_exprun.terms.errors import ExprunError, TrainerError, visible
from pytest_exprun.terms.model import Experiment, RunSpec, Variant


@dataclass
class Flags:
    """Asks the trainer about everything selected in one go, and remembers what it said."""

    executor: Executor
    observer: RunObserver
    default: Variant
    _answers: dict[str, str | None] = field(default_factory=dict, init=False)
    _error: ExprunError | None = field(default=None, init=False)

    def check(self, experiment: Experiment, declared: Sequence[Experiment]) -> None:
        """Refuse an experiment if its own flags are wrong; `declared` is everything selected, which is asked about together.

        Raises:
            TrainerError: the trainer does not take its flags, or cannot be asked.
        """
        if self._error is None and experiment.comparison_id not in self._answers:
            try:
                self._ask_trainer([*declared, experiment])
            except ExprunError as error:
                self._error = error
        if self._error is not None:
            raise self._error
        if why := self._answers[experiment.comparison_id]:
            raise TrainerError(why)

    def _ask_trainer(self, declared: Sequence[Experiment]) -> None:
        """Find out why experiments cannot run, by comparison; say so at once."""
        by_id = {each.comparison_id: each for each in declared}
        specs = list(dict.fromkeys(spec for each in by_id.values() for spec, _ in self._parts(each)))
        answers = dict(zip(specs, self.executor.rejects(specs), strict=True))
        told = {identity: self._cause(each, answers) for identity, each in by_id.items()}
        for text in dict.fromkeys(filter(None, told.values())):
            self.observer.say(f"error ahead: {text}")
        self._answers |= told

    def _parts(self, each: Experiment) -> list[tuple[RunSpec, str]]:
        """Return runs with more and more of an experiment's flags, and where the last ones come from."""
        origin = "exprun_baseline" if each.control == self.default else "baseline"
        parts = [
            (Variant(), f"exprun_args = {visible(shlex.join(each.common_args))}"),
            (each.control, f"{origin} = {visible(shlex.join(each.control.flags))}"),
            (each.variant, f"experiment {each.name} ({each.variant})"),
        ]
        return [(RunSpec(arm, each.seeds[0], each.budget, each.common_args), words) for arm, words in parts]

    def _cause(self, each: Experiment, answers: Mapping[RunSpec, str | None]) -> str | None:
        """Say why an experiment cannot run, and by which flags: the first part with which the answer is the same."""
        parts = self._parts(each)
        why = answers[parts[-1][0]]
        return why and next(f"{words}: {why}" for spec, words in parts if answers[spec] == why)
