"""Where numbers come from: the machine and versions of the runs, their data, and the command that trains one again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from pytest_exprun.report.text import DASH, code, code_block, markdown, number, shell_word, table
from pytest_exprun.terms.model import Experiment, RunSpec
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict.comparison import Comparison

MOST_FILES = 20
MUCH_MORE, LEAST_SECONDS = 1.3, 1.0
"""How many times the baseline's CPU time a diff's runs may take without a word, and what is too short to be compared."""
ENVIRONMENT = ("python", "torch", "numpy", "platform", "cpu", "isa", "gpu", "device", "dtype", "threads", "concurrency")
"""What could change a result or a time. The host's name and the time of day are left in the JSON: they say nothing about a result."""


def stale_note(stale: Mapping[str, str]) -> list[str]:
    """Return the mark of a report that was made from stale runs, by the arm's name (`Comparison.stale`); nothing where there are none."""
    if not stale:
        return []
    arms = " ".join(f"{name.capitalize()}: {markdown(text)}." for name, text in stale.items())
    return [
        f"> **Stale runs** (`exprun_stale = keep`): what they depend on had changed since they were trained. {arms}"
    ]


def environment(arms: Sequence[Arm]) -> list[str]:
    """Return a table with one row a fact, one column an arm; where runs of an arm differ, all their values."""
    rows = [*([name, *(_values(name, arm) for arm in arms)] for name in ENVIRONMENT), _busy(arms)]
    known = [row for row in rows if any(cell != DASH for cell in row[1:])]
    if not known:
        return ["The runs recorded nothing about the machine they ran on."]
    return table(("", *("Baseline", "Experiment")[: len(arms)]), known)


def _values(name: str, arm: Arm) -> str:
    found = [run.provenance.get(name, run.notes.get(name)) for run in arm]
    return ", ".join(dict.fromkeys(markdown(value) for value in found if value is not None)) or DASH


def _busy(arms: Sequence[Arm]) -> list[str]:
    """Return how busy the rest of the machine was at most: it explains times that do not repeat."""
    found = [[run.provenance.get("other_busy_cores") for run in arm] for arm in arms]
    cells = [max((value for value in values if isinstance(value, int | float)), default=None) for values in found]
    return ["other busy cores, at most", *(number(cell, 1) for cell in cells)]


def data(runs: Iterable[RunResult]) -> list[str]:
    """Return what the runs were trained and measured on, and what follows from it."""
    runs = list(runs)
    trained, measured = (_hashes(name, runs) for name in ("data_sha256", "val_data_sha256"))
    if not trained:
        return ["The trainer reports no `data_sha256`: compare these losses with nothing but each other."]
    lines = [f"Losses compare only at equal `data_sha256`: {', '.join(map(code, trained))}."]
    if measured:
        lines.append(f"All runs were measured on `val_data_sha256` {', '.join(map(code, measured))}.")
    return lines


def _hashes(name: str, runs: Sequence[RunResult]) -> list[str]:
    return list(dict.fromkeys(str(run.notes[name]) for run in runs if run.notes.get(name) is not None))


def compute(found: Comparison) -> str:
    """Say that the runs of a diff took much more CPU time than the baseline's, by our clock and not the trainer's; nothing if they did not.

    A state on trial says itself how much it trained.
    """
    arms = [[run.provenance.get("cpu_time") for run in arm] for arm in (found.baseline, found.experiment)]
    base, own = ([value for value in values if isinstance(value, int | float)] for values in arms)
    if found.declaration.diff is None or not base or not own:
        return ""
    before, now = sum(base) / len(base), sum(own) / len(own)
    if before < LEAST_SECONDS or now <= MUCH_MORE * before:
        return ""
    times = f"{now / before:.1f} times the CPU time of the baseline's ({before:.1f} -> {now:.1f} s)"
    return f"a run of {found.name} took {times}: was it as much training?"


def states(declared: Experiment) -> list[str]:
    """Return which states of the code were compared: commits, trees, the files that differ; nothing where only flags were."""
    if declared.diff is None:
        return []
    diff, rows = declared.diff, []
    for arm, commit, variant in (("Baseline", diff.base, declared.control), ("Experiment", diff.tip, declared.variant)):
        more = " with changes that are in no commit" if diff.uncommitted and arm == "Experiment" else ""
        named = (
            [code(variant.tree, cell=True), code(variant.tree.id, cell=True)]
            if variant.tree
            else ["the files as they were", DASH]
        )
        rows.append([arm, named[0], code(commit, cell=True) + more, named[1]])
    files = sorted(diff.files, key=lambda file: -sum(file[1:]))
    changed = [[code(name, cell=True), *map(_lines, counts)] for name, *counts in files[:MOST_FILES]]
    left = [f"And {len(files) - MOST_FILES} more."] if files[MOST_FILES:] else []
    return [
        "## What was compared",
        "",
        *table(("", "Name", "Commit", "Tree"), rows),
        "",
        f"They differ in {diff}; the diff is stored as {code(f'diffs/{diff.patch}.patch')} beside the runs.",
        "",
        *table(("File", "Added", "Deleted"), changed),
        *left,
    ]


def _lines(count: int) -> str:
    return DASH if count < 0 else str(count)


def reproduction(comparison: Comparison, trainer: str | None) -> list[str]:
    """Return the commands that train one run of the experiment again, and that judge the experiment again."""
    known = "One run, here the experiment's first:"
    first = comparison.experiment.runs[0]
    recorded = first.provenance.get("command")
    lines = [
        known if trainer or recorded else "The trainer's arguments for the experiment's first run:",
        "",
        *code_block([_exact(str(recorded)) if recorded else command(first.spec, trainer)]),
    ]
    if again := _again(comparison.declaration):
        lines += ["", "The whole experiment, with its control:", "", *code_block([again])]
    return lines


def _again(declared: Experiment) -> str | None:
    """Return the command that asks for the experiment again; None where what was compared is kept nowhere."""
    budget, diff = declared.budget, declared.diff
    scale = f"tokens={budget.amount}" if budget.unit == "tokens" else f"budget='{budget}'"
    if diff is not None and not diff.uncommitted:
        return f"exprun try {diff.tip[:12]} --against {diff.base[:12]} --{scale}"
    if declared.nodeids:
        return f"pytest {shell_word(declared.nodeids[0])} --exprun-{scale}"
    return None if diff else " ".join([f"exprun run --{scale} --", *map(shell_word, declared.change)])


def _exact(recorded: str) -> str:
    """Return a recorded command as one line that a shell reads as the same words."""
    try:
        return recorded if recorded.isprintable() else " ".join(map(shell_word, shlex.split(recorded)))
    except ValueError:
        return recorded


def command(spec: RunSpec, trainer: str | None) -> str:
    """Return a shell command that performs a run as the plugin does: `main` of a module by `python -m`, another function by name."""
    arguments = " ".join(map(shell_word, spec.words("checkpoints/again")))
    if trainer is None:
        return arguments
    module, _, function = trainer.partition(":")
    if function == "main":
        return f"python -m {module} {arguments}"
    return (
        f"python -c {shlex.quote(f'import sys; from {module} import {function}; {function}(sys.argv[1:])')} {arguments}"
    )
