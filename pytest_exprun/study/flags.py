"""The flags of everything selected, checked by the trainer itself before the first run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_exprun.running.executors.contract import Executor
from pytest_exprun.study.asked import RunObserver
from pytest_exprun.terms.errors import ExprunError, TrainerError
from pytest_exprun.terms.model import Experiment, RunSpec


@dataclass
class Flags:
    """Asks the trainer once a session, and remembers what it said."""

    executor: Executor
    observer: RunObserver
    _rejected: dict[str, str] | ExprunError | None = field(default=None, init=False)

    def check(self, experiment: Experiment, declared: Sequence[Experiment]) -> None:
        """Refuse an experiment if its own flags are wrong; `declared` is everything selected, which is asked about together.

        Raises:
            TrainerError: the trainer does not take its flags, or cannot be asked.
        """
        if self._rejected is None:
            try:
                self._rejected = self._ask_trainer(declared or [experiment])
            except ExprunError as error:
                self._rejected = error
        if isinstance(self._rejected, ExprunError):
            raise self._rejected
        if experiment.comparison_id in self._rejected:
            raise TrainerError(self._rejected[experiment.comparison_id])

    def _ask_trainer(self, declared: Sequence[Experiment]) -> dict[str, str]:
        """Return why experiments cannot run, by comparison; says so at once."""
        specs = [RunSpec(each.variant, each.seeds[0], each.budget, each.common_args) for each in declared]
        answers = zip(declared, self.executor.rejects(specs), strict=True)
        rejected = {
            each.comparison_id: f"experiment {each.name} ({each.variant}): {why}" for each, why in answers if why
        }
        for text in rejected.values():
            self.observer.say(f"error ahead: {text}")
        return rejected
