"""A WINNER once more, on seeds that nobody has used: drawn and noted, trained in both arms, judged once. Both ends of a ladder alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_exprun.study.arms.asked import ArmPlan, Asked
from pytest_exprun.study.arms.runs import Runs
from pytest_exprun.terms.errors import ExprunError, MissingRunError, RefusedError
from pytest_exprun.terms.model import SEEDS, Experiment, Variant
from pytest_exprun.terms.outcome import Arm, Verdict
from pytest_exprun.trust.ledger.confirmations import Confirmations, Drawn
from pytest_exprun.trust.ledger.questions import FAILED, JUDGED, Question
from pytest_exprun.trust.ledger.rungs import MEASURING
from pytest_exprun.verdict.comparison import Comparison, check_same_measurement
from pytest_exprun.verdict.confirmation import LEVEL, Confirmation, confirm
from pytest_exprun.verdict.sessions.chance import fingerprints
from pytest_exprun.verdict.sessions.spending import Spent, level, seeds_for

_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Confirming:
    """What a study needs to confirm.

    Attributes:
        confirmations: those of the ledger.
        runs: where runs come from.
        mode: the session's.
        asked: an arm as a comparison asks for it.
        question: what the ledger knows a comparison by.
        check: looks at an experiment's flags before anything is trained for it.
        announce: told what is about to be trained.
    """

    confirmations: Confirmations
    runs: Runs
    mode: str
    asked: Callable[[Variant, Experiment], Asked]
    question: Callable[[Experiment], Question]
    check: Callable[[Experiment], Callable[[], None]]
    announce: Callable[[Sequence[ArmPlan]], None]

    def known(self, found: Comparison) -> Comparison:
        """Return a comparison with what fresh seeds said of it, if it was confirmed before; nothing is trained."""
        if found.verdict is not Verdict.WINNER:
            return found
        drawn = self.confirmations.of(_judged_numbers(found))
        if drawn is None or any(self.runs.plan(asked, drawn.seeds).missing for asked in self._arms(found.declaration)):
            return found
        return self._judged(found, drawn)

    def confirm(self, found: Comparison) -> Comparison:
        """Return a WINNER with what fresh seeds say of it, after they are trained in both arms; a second time nothing is.

        Raises:
            RefusedError: it is no WINNER.
            MissingRunError: the session may train nothing.
            ExprunError: a run cannot be trusted, or the ledger cannot be written.
        """
        if found.verdict is not Verdict.WINNER:
            raise RefusedError(
                f"{found.name} is {found.verdict} ({found.reason}): only a WINNER is confirmed, for only what is kept can be kept by luck"
            )
        drawn = self._drawn(found)
        try:
            confirmed = self._judged(found, drawn)
        except ExprunError as error:
            self._note(drawn, {"result": FAILED, "confirmed": False, "reason": str(error)[:_MOST_CHARACTERS]})
            raise
        assert confirmed.confirmation is not None
        told = ("confirmed", "reason", "estimate", "ci_low", "ci_high", "sigmas", "p_value")
        data = confirmed.confirmation.to_json()
        self._note(drawn, {"result": JUDGED, **{name: data[name] for name in told}})
        return confirmed

    def measure(self, ends: Experiment, content: Mapping[str, Any], count: int) -> Confirmation:
        """Return how much better an experiment's arm is than its control's on fresh seeds, trained where they are missing, and note it.

        It is measured once: whoever asks again gets the same seeds. `content` is what the lines of the ledger say besides.

        Raises:
            ExprunError: a run cannot be trusted, or the ledger cannot be written.
        """
        draws = Confirmations(self.confirmations.ledger, MEASURING)
        drawn = draws.draw(self.question(ends).id, content, self._used(ends), lambda _: (LEVEL, count))
        try:
            arms = self._fresh(ends, drawn)
            check_same_measurement(*(arm.runs for arm in arms))
            found = _judge(ends, *arms, LEVEL)
        except ExprunError as error:
            draws.answer(drawn, {"result": FAILED, "reason": str(error)[:_MOST_CHARACTERS]})
            raise
        said = {name: value for name, value in found.to_json().items() if name not in {"confirmed", "reason", "alpha"}}
        draws.answer(drawn, {"result": JUDGED, **content, **said})
        return found

    def _drawn(self, found: Comparison) -> Drawn:
        numbers, question = _judged_numbers(found), self.question(found.declaration)
        if self.mode == "frozen":
            known = self.confirmations.of(numbers)
            if known is None:
                raise MissingRunError(f"{found.name} is not confirmed yet, and mode frozen trains nothing")
            return known
        content = {"name": found.name, "asked": question.id, "control_key": question.control_key}
        return self.confirmations.draw(numbers, content, self._used(found.declaration), _plan)

    def _note(self, drawn: Drawn, content: dict[str, Any]) -> None:
        if self.mode != "frozen":
            self.confirmations.answer(drawn, content)

    def _arms(self, declared: Experiment) -> list[Asked]:
        return [self.asked(variant, declared) for variant in (declared.control, declared.variant)]

    def _used(self, declared: Experiment) -> set[int]:
        """Return the seeds that nobody may draw: the protocol's, and those of any stored run by the name of either arm."""
        stored = (asked.ground.store.used_seeds(asked.variant.slug) for asked in self._arms(declared))
        return set().union(SEEDS, declared.seeds, declared.baseline_seeds, *stored)

    def _judged(self, found: Comparison, drawn: Drawn) -> Comparison:
        arms = self._fresh(found.declaration, drawn)
        check_same_measurement(*(arm.runs for arm in arms), found.experiment.runs)
        return replace(found, confirmation=_judge(found.declaration, *arms, drawn.alpha))

    def _fresh(self, declared: Experiment, drawn: Drawn) -> tuple[Arm, Arm]:
        """Return both arms on the seeds that were drawn, the control first; train what is missing, in one go."""
        arms, check = self._arms(declared), self.check(declared)
        plans = [self.runs.plan(asked, drawn.seeds) for asked in arms]
        if any(plan.missing for plan in plans):
            self.announce(plans)
        self.runs.train([(asked, seed) for asked in arms for seed in self.runs.missing(asked, drawn.seeds, check)])
        control, experiment = (Arm(each.variant, self.runs.get(each, drawn.seeds, check)) for each in arms)
        return control, experiment


def _judge(declared: Experiment, control: Arm, experiment: Arm, alpha: float) -> Confirmation:
    return confirm(
        control.values(declared.metric),
        experiment.values(declared.metric),
        lower_is_better=declared.lower_is_better,
        alpha=alpha,
    )


def _judged_numbers(found: Comparison) -> str:
    """Return what is confirmed: numbers and how they were judged. After an edit that changes none of them it is the same confirmation."""
    return fingerprints(found)[1]


def _plan(earlier: Sequence[Drawn]) -> tuple[float, int]:
    """Return the level of the next confirmation of a ledger, and how many fresh seeds a side it takes."""
    alpha = level([Spent(each.alpha, bool(each.confirmed)) for each in earlier])
    return alpha, seeds_for(alpha)
