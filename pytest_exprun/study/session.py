"""One session: builds the study from the settings, writes the reports the moment they are known, tells the terminal. Knows no pytest.

The plugin hands in two ways to speak (a line, and a line that the next one overwrites) and two hooks; `exprun` hands in `print`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.curves import LIVE_SECONDS
from pytest_exprun.terms.errors import StoreError, shown
from pytest_exprun.terms.model import Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import Arm, CurvePoint, RunResult

if TYPE_CHECKING:
    from pytest_exprun.settings.declaration import Register
    from pytest_exprun.study.arms.asked import ArmPlan
    from pytest_exprun.study.diffs import Diffs
    from pytest_exprun.study.outlook import Outlook
    from pytest_exprun.study.study import Study
    from pytest_exprun.trust.ledger.ledger import Ledger
    from pytest_exprun.verdict.comparison import Comparison


HEAD_DIGITS = 16
"""So much of a ledger's head is printed: to find other lines with these digits would take 2 to the 64 tries."""


def _mute(*_: Any) -> None:
    return None


@dataclass
class Session:
    """The study's observer."""

    settings: Settings
    say: Callable[[str], None] = _mute
    live: Callable[[str], None] = _mute
    markdown: Callable[[Comparison], str | None] = _mute
    run_hook: Callable[[RunResult], None] = _mute
    writes_reports: bool = True
    beside: int = 0
    identity: str = ""
    stderr: int | None = None
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    arms: dict[str, Arm] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    selected: list[str] = field(default_factory=list)
    unsaved: bool = False
    _outlook: Outlook | None = None
    _spoke_at: float = 0.0

    @cached_property
    def register(self) -> Register:
        """The declared experiments, filled while tests are collected."""
        from pytest_exprun.settings.declaration import Register

        return Register()

    @cached_property
    def untested(self) -> list[Experiment]:
        """The experiments that no test declares but the settings: by flags, and diffs; on a worker of xdist those of the controller."""
        settings = self.settings
        if not (settings.flags or settings.against or settings.tried):
            return []
        from pytest_exprun.settings.declaration import declare_flags

        by_flags = [declare_flags(settings)] if settings.flags else []
        return [*by_flags, *(self.diffs.declared() if settings.against or settings.tried else [])]

    @cached_property
    def diffs(self) -> Diffs:
        """The states of the files that are compared."""
        from pytest_exprun.study.diffs import Diffs

        return Diffs(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of what was asked, for reading."""
        from pytest_exprun.trust.ledger.ledger import Ledger

        return Ledger(self.settings.path("store"))

    @cached_property
    def study(self) -> Study:
        """The study, with the executor and store that the settings name. Built at the first use of a fixture."""
        from pytest_exprun.running.executors.contract import Deferred, Surroundings
        from pytest_exprun.running.executors.reading import Reading
        from pytest_exprun.study.study import Study
        from pytest_exprun.trust.trees.ground import Ground, Grounds

        settings = self.settings
        return Study(
            settings=settings,
            grounds=Grounds(Ground(settings), self.diffs.place),
            executor=Reading(settings)
            if settings.mode == "plan"
            else Deferred(settings, Surroundings(self.notice, self.beside, self.stderr)),
            observer=self,
            beside=self.beside,
            identity=self.identity,
        )

    def plan(self) -> int:
        """Print what a session would train, and what it would refuse; return how much that is."""
        from pytest_exprun.study.outlook import plan_lines

        refused = self.study.refusals()
        lines = [*self.study.differing_in_nothing(), *plan_lines(self.study.plans(), self.settings)]
        for line in lines or ([] if refused else ["no experiments selected: nothing to train"]):
            self.say(line)
        for doubt in self.study.seed_doubts() if lines else []:
            self.say(f"note: runs of all seeds may be one run: {doubt}")
        return len(refused)

    # What the study tells.

    def arm_incomplete(self, plan: ArmPlan) -> None:
        """Say what is about to be trained, and why stored runs do not stand."""
        if self._outlook is None:
            self.more_to_train(self.study.plans(of_broken=False))
        seeds = ", ".join(map(str, plan.missing))
        self.say(
            f"{plan}: training seed{'s' if len(plan.missing) > 1 else ''} {seeds} at {plan.budget or self.settings.budget}"
        )
        if plan.why:
            self.say(f"  stored runs do not stand: {plan.why}")
        elif plan.role != "exp" and not plan.stored and set(plan.missing) <= set(self.settings.seeds_of_baselines):
            self._say_report_without_runs(plan)

    def more_to_train(self, plans: Sequence[ArmPlan]) -> None:
        """Count what is missing of these arms among what is to come."""
        from pytest_exprun.study.outlook import Outlook

        if self._outlook is None:
            self._outlook = Outlook.of(plans, self.settings.jobs)
        else:
            self._outlook.expect(plans)

    def _say_report_without_runs(self, plan: ArmPlan) -> None:
        from pytest_exprun.report.text import baseline_stem

        path = (
            self.settings.path("report_dir") / f"{baseline_stem(plan.variant, plan.budget or self.settings.budget)}.md"
        )
        if path.exists():
            self.say(
                f"  {self._shown(path)} is there, but the runs behind it are not in {self._shown(self.settings.path('store'))}"
            )

    def run_progressed(self, spec: RunSpec, point: CurvePoint) -> None:
        """Overwrite the live line, a few times a second at most."""
        if time.monotonic() - self._spoke_at > LIVE_SECONDS:
            from pytest_exprun.report.terminal import live_line

            self._spoke_at = time.monotonic()
            self.live(live_line(self._name(spec.variant), spec, point))

    def run_finished(self, result: RunResult, role: str, old: RunResult | None) -> None:
        """Print the run's one line with the outlook."""
        from pytest_exprun.report.terminal import run_line

        if self._outlook is not None:
            self._outlook.finished(result)
        # Beside other workers of the session nobody knows what is left for this one.
        outlook = None if self.beside else self._outlook
        name = self._names["baseline"] if role == "baseline" else self._name(result.spec.variant)
        self.say(run_line(name, result, self.settings.metric, outlook, old))
        self.run_hook(result)

    def _name(self, variant: Variant) -> str:
        """Return what an arm is called in the lines of its runs; one that was not declared has the width of its own name."""
        from pytest_exprun.report.terminal import run_names

        return self._names.get(variant.label) or run_names([variant])[variant.label]

    @cached_property
    def _names(self) -> dict[str, str]:
        from pytest_exprun.report.terminal import run_names

        return run_names(arm for each in self.study.declared for arm in (each.control, each.variant))

    def arm_complete(self, arm: Arm, role: str) -> None:  # noqa: ARG002  # the protocol's signature
        """Write the baseline's report."""
        self.receive_arm(arm)

    def compared(self, comparison: Comparison) -> None:
        """Write the experiment's report; say what a diff costs."""
        if self._outlook is not None:
            self._outlook.decided(comparison.declaration.variant)
        is_new = comparison.declaration.comparison_id not in self.comparisons
        self.receive(comparison)
        from pytest_exprun.report.provenance import compute

        if is_new and (note := compute(comparison)):
            self.notice(note)

    def not_saved(self, text: str) -> None:
        """Say so, and let the session fail for it."""
        self.unsaved = True
        self.notice(text)

    def notice(self, text: str) -> None:
        """Print a notice now, and keep it for the summary."""
        text = shown(text)
        self.notices.append(text)
        self.say(f"note: {text}")

    # What is known, from the study or from an xdist worker.

    def receive(self, comparison: Comparison) -> None:
        """Take in a comparison and write its reports: once, and again when fresh seeds or its speed were asked."""
        identity = comparison.declaration.comparison_id
        known = self.comparisons.get(identity)
        if known is not None and (known.confirmation, known.speedup) == (comparison.confirmation, comparison.speedup):
            return
        self.comparisons[identity] = comparison
        self.receive_arm(comparison.baseline)
        if self.writes_reports:
            from pytest_exprun.report.files import write_experiment

            text = self.markdown(comparison)
            self.paths[comparison.name] = self._written(write_experiment, comparison, text)

    def receive_arm(self, arm: Arm) -> None:
        """Take in a baseline or control arm, once, and write its report."""
        identity = repr(arm.variant.identity)
        if identity not in self.arms:
            self.arms[identity] = arm
            if self.writes_reports:
                from pytest_exprun.report.files import write_baseline

                self._written(write_baseline, arm, None)

    def ended(self, status: int) -> None:
        """Note the exit status: nothing that a run left in this process may turn it into success."""
        if "study" in vars(self):
            from pytest_exprun.running.sandbox.escapes import ENDING

            ENDING.status = status

    def finish(self) -> list[Comparison]:
        """Write what depends on more than one experiment; return the comparisons that earlier reports in the folder hold."""
        from pytest_exprun.report.files import append_step_summary, read_reports, write_overview
        from pytest_exprun.study.ladder import ladder_page

        directory = self.settings.path("report_dir")
        try:
            ladder, pictures = ladder_page(self.ledger, self.settings) if self._ledger_is_readable else ([], [])
            write_overview(
                self.arms.values(),
                directory,
                self.settings,
                self.others,
                self.anchor,
                ladder=ladder,
                pictures=pictures,
            )
            append_step_summary(list(self.comparisons.values()), os.environ, self.others, self.anchor)
        except OSError as error:
            self._not_written(directory, error)
        return list(read_reports(directory).comparisons.values())

    def others(self, baseline: str, known: Collection[str]) -> Sequence[tuple[str, float]]:
        """Return what a baseline was asked besides, as the ledger has it (`verdict.sessions.chance.Others`)."""
        from pytest_exprun.trust.ledger.questions import others

        return others(self.ledger, baseline, known) if self._ledger_is_readable else ()

    @property
    def anchor(self) -> list[str]:
        """The line that ties a report to the ledger as it is now; none where there is no ledger."""
        lines, head = self.ledger_now
        return [f"ledger: {lines} line{'' if lines == 1 else 's'}, head {head[:HEAD_DIGITS]}"] if lines else []

    @property
    def ledger_now(self) -> tuple[int, str]:
        """How many lines the ledger has, and its head."""
        return (self.ledger.read().count(b"\n"), self.ledger.head) if self._ledger_is_readable else (0, "")

    @cached_property
    def _ledger_is_readable(self) -> bool:
        try:
            self.ledger.read()
        except StoreError as error:
            self.notice(str(error))
            return False
        return True

    def _written(self, write: Callable[..., Path], subject: Any, text: str | None) -> Path:
        """Write a report; a full disk is a notice, the verdict still counts."""
        directory = self.settings.path("report_dir")
        try:
            return write(subject, directory, self.settings, text)
        except OSError as error:
            self._not_written(directory, error)
            return directory

    def _not_written(self, directory: Path, error: OSError) -> None:
        self.notice(f"report not written to {self._shown(directory)}: {error.strerror or error}")
        self.unsaved = True

    def _shown(self, path: Path) -> str:
        """Return a path as the user would type it."""
        return str(path.relative_to(self.settings.root)) if path.is_relative_to(self.settings.root) else str(path)
