"""`exprun audit`: one stored run, picked at random, is trained again and must come back bit for bit. Nothing stored is changed."""

from __future__ import annotations

import argparse
import contextlib
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_exprun.commands.console import Console
from pytest_exprun.report.text import duration, plain
from pytest_exprun.running.executors.contract import Task, failure
from pytest_exprun.running.training.lines import declared_clocks
from pytest_exprun.settings.settings import Settings
from pytest_exprun.study.session import Session
from pytest_exprun.study.study import Study
from pytest_exprun.terms.errors import MissingRunError, RefusedError, TrainerError
from pytest_exprun.terms.outcome import RunResult, Summary
from pytest_exprun.terms.sameness import difference, with_clocks
from pytest_exprun.trust.files.stray_writes import changed_while_read
from pytest_exprun.trust.store.inventory import Standing, standing_runs, stored_arms

DIFFERS_STATUS = 1
TOLERANCE = 0.5
"""Sigmas of its own arm that a run may move on another kind of machine: sums are rounded in another order there, and training amplifies
that. Bit for bit is asked wherever the machine is the same."""
_MACHINE = ("cpu", "isa", "gpu", "threads", "torch", "numpy")
"""Facts of a run's provenance that decide how its sums are rounded."""


def run(settings: Settings, arguments: argparse.Namespace, console: Console) -> int:
    """Train one stored run again and compare; the exit status is 1 if it differs.

    Raises:
        ExprunError: no stored run to audit, or the new run cannot be trusted.
    """
    settings = replace(settings, mode="frozen")  # the store is read only: nothing is set aside, nothing overwritten
    session = Session(settings, say=console.say, live=console.live, writes_reports=False)
    study = session.study
    arm = _arm(study, arguments.slug)
    stored = _run(arm, arguments.seed)
    spec = stored.spec
    console.say(
        f"audit: training seed {spec.seed} of {plain(spec.variant)} at {spec.budget} again ({_took(stored)} when stored)"
    )
    with console.training():
        again = _trained(study, stored, session)
    passed, text = judge_again(stored, again, arm, settings.metric)
    console.show([text])
    console.answer(audited={"arm": spec.variant.slug, "seed": spec.seed, "passed": passed, "reason": text})
    return 0 if passed else DIFFERS_STATUS


def _trained(study: Study, stored: RunResult, session: Session) -> RunResult:
    """Perform a run past the store, which neither stands in for it nor takes it in.

    Raises:
        TrainerError: it cannot be trusted, or the sources changed meanwhile.
    """
    task = Task(stored.spec, study.role(stored.spec.variant, study.settings.default_control), study.grounds.here)
    with contextlib.closing(study.executor.run([task], session.run_progressed)) as results:
        again = next(results)
    why = failure(again)
    if why is not None:
        raise TrainerError(why)
    changed = study.fingerprinter.sources_changed() or changed_while_read(again, study.fingerprinter.root)
    if changed:
        raise TrainerError(f"{', '.join(changed)} changed while the audited run trained; start the audit again")
    return with_clocks(again, declared_clocks(study.settings))


def _took(stored: RunResult) -> str:
    seconds = stored.provenance.get("wall_time")
    return duration(seconds) if isinstance(seconds, int | float) else "time unknown"


def _arm(study: Study, slug: str | None) -> tuple[RunResult, ...]:
    """Return the runs of the arm to audit from: the one named, else one drawn in proportion to its runs.

    Raises:
        MissingRunError: nothing stored stands for a run of now.
        RefusedError: no such arm.
    """
    arms = list(
        standing_runs(
            Standing.of(arm, study.store, study.fingerprinter.key) for arm in stored_arms(study.store)[0]
        ).values()
    )
    if not arms:
        raise MissingRunError(
            f"no run in {study.store.root} stands for the present code and settings, so there is nothing to audit; "
            "`exprun why` says what changed"
        )
    if slug is not None:
        named = [runs for runs in arms if slug in (runs[0].spec.variant.slug, str(runs[0].spec.variant))]
        if not named:
            known = ", ".join(sorted({runs[0].spec.variant.slug for runs in arms}))
            raise RefusedError(f"--slug {slug!r}: no such arm; there are: {known}")
        arms = named
    return secrets.choice([runs for runs in arms for _ in runs])


def _run(arm: Sequence[RunResult], seed: int | None) -> RunResult:
    if seed is None:
        return secrets.choice(arm)
    found = next((run for run in arm if run.spec.seed == seed), None)
    if found is None:
        known = ", ".join(str(run.spec.seed) for run in arm)
        raise RefusedError(f"--seed {seed}: {arm[0].spec.variant} has no such stored seed; there are: {known}")
    return found


def judge_again(stored: RunResult, again: RunResult, arm: Sequence[RunResult], metric: str) -> tuple[bool, str]:
    """Compare a stored run with its repetition; return whether it came back, and a sentence.

    Args:
        stored: the record.
        again: the same run, trained now.
        arm: all runs of the arm, for the noise that a difference is measured by.
        metric: what is compared where the machine is another one.
    """
    name = f"seed {stored.spec.seed} of {plain(stored.spec.variant)}"
    differs = difference(stored, again, metric)
    if differs is None:
        return True, f"audit passed: {name} came back bit for bit."
    failed = f"AUDIT FAILED: {name} did not come back: {plain(differs)} (stored, then now)"
    machine = _machine_changes(stored.provenance, again.provenance)
    if not machine:
        return False, (
            f"{failed}. Code, settings and machine are the same, so the record was not made by this code, or the trainer is not "
            "reproducible. The record is untouched; run the audit of this seed twice: if the new value is another one each time, it is "
            "the trainer."
        )
    moved = _moved(stored, again, arm, metric)
    far = (
        "it cannot be measured in sigmas"
        if moved is None
        else f"{moved:.3g} sigmas of its arm (allowed: {TOLERANCE:g})"
    )
    if moved is not None and moved <= TOLERANCE:
        return True, f"audit passed within tolerance: {name} moved by {far} on another machine: {machine}."
    return False, (
        f"{failed}, {far}. The machine is another one ({machine}), but rounding does not explain so much. The record is untouched."
    )


def _machine_changes(stored: Mapping[str, object], again: Mapping[str, object]) -> str:
    """Say which facts of the machine differ; empty if none does. What a record does not tell is no excuse."""
    pairs = [(name, stored[name], again.get(name)) for name in _MACHINE if name in stored]
    return ", ".join(f"{name} {plain(old)} -> {plain(new)}" for name, old, new in pairs if old != new)


def _moved(stored: RunResult, again: RunResult, arm: Sequence[RunResult], metric: str) -> float | None:
    """How far the metric moved, in standard deviations of the arm's seeds; None where that is undefined."""
    old, new = stored.metrics.get(metric), again.metrics.get(metric)
    known = [value for run in arm if (value := run.metrics.get(metric)) is not None and math.isfinite(value)]
    sigma = Summary.of(known).std if len(known) > 1 else None
    return None if old is None or new is None or not sigma else abs(new - old) / sigma
