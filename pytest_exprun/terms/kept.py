"""Runs of other code that were judged all the same (`exprun_stale = keep`): marked, so that every report made from them says so.

The mark is set in memory, when a session takes such a run, and travels with it into reports. A record on disk never has it: whether a run
is stale depends on the session that asks.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_exprun.terms.outcome import Arm, RunResult

_MARK = "stale"


def marked(run: RunResult, why: str) -> RunResult:
    """Return a stored run with the mark; `why` says what has changed since it was trained."""
    return replace(run, provenance={**run.provenance, _MARK: why})


def staleness(arm: Arm) -> str:
    """Return `seeds 42, 137 of commit 1f3a9c0e (source train.py changed)` for an arm's marked runs; an empty text where there are none."""
    origins: dict[tuple[str, str], list[str]] = {}
    for run in arm:
        if _MARK in run.provenance:
            origin = str(run.provenance.get("commit") or "unknown"), str(run.provenance[_MARK])
            origins.setdefault(origin, []).append(str(run.spec.seed))
    return ", ".join(
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} of commit {commit} ({why})"
        for (commit, why), seeds in origins.items()
    )
