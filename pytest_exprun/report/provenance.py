"""Where numbers come from: the machine and versions of the runs, their data, and the command that trains one again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from pytest_exprun.report.text import DASH, code, code_block, markdown, number, shell_word, table
from pytest_exprun.terms.model import Experiment, RunSpec
from pytest_exprun.terms.outcome import Arm, RunResult
from pytest_exprun.verdict.comparison import Comparison
from pytest_exprun.verdict.compute.speedup import Speedup, shown

MOST_FILES = 20
MUCH_MORE = 1.3
"""How many times what the baseline's runs took a diff's runs may take without a word."""
_LEAST = {"cpu_time": 1.0, "training_seconds": 0.5, "train_seconds": 0.5}
"""What tells how much a run trained, and how much of it can be compared: our clock, which starting Python may fill, and what is printed."""
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
    """Say that the runs of a diff took much more than the baseline's: CPU time by our clock, or what they print; nothing if they did not.

    A state on trial says itself how much it trained. Of steps and tokens the budget's own count: in as many tokens there may be more steps.
    """
    unit = found.declaration.budget.unit
    for measure in [*_LEAST, unit] if found.declaration.diff else []:
        before, now = (_mean(_amount(run, measure) for run in arm) for arm in (found.baseline, found.experiment))
        if before is None or now is None or before < _LEAST.get(measure, 1) or now <= MUCH_MORE * before:
            continue
        what = "CPU seconds" if measure == "cpu_time" else measure
        more = f"{now / before:.1f} times as many {what} as one of the baseline's ({before:.3g} -> {now:.3g})"
        return f"a run of {found.name} took {more}: was it as much training?"
    return ""


def _amount(run: RunResult, measure: str) -> object:
    last = run.curve[-1] if run.curve else None
    told = {
        "cpu_time": run.provenance.get(measure),
        "steps": last and last.step,
        "tokens": last and last.values.get(measure),
    }
    return told.get(measure, run.metrics.get(measure))


def _mean(values: Iterable[object]) -> float | None:
    known = [value for value in values if isinstance(value, int | float)]
    return sum(known) / len(known) if known else None


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


def speed(found: Speedup | None) -> list[str]:
    """Return how fast a change gets to its loss, and tokens a second of both arms; nothing if nobody asked."""
    if found is None:
        return []
    caution = f" The machine was busy ({found.caution}), which moves CPU times too." if found.caution else ""
    lines = [
        "## Better, or only slower?",
        "",
        f"**{markdown(found.headline[:1].upper() + found.headline[1:])}.** {found.reading}{caution}".rstrip(),
    ]
    if found.rates:
        lines += ["", *table(("", "Baseline", "Experiment"), [(found.rate_unit, *map(rate, found.rates))])]
    if found.seeds:
        rows = [(str(each.seed), f"{each.bound} {shown(each.factor)}".strip()) for each in found.seeds]
        lines += ["", *table(("Seed", "Times as fast"), rows)]
        lines += [
            "",
            f"The {found.unit} with which the control reaches the experiment's loss, over those that the experiment took. {_HOW}",
        ]
    return lines


_HOW = (
    "The control was trained at half, once and twice the budget; between these its loss is taken as linear in the logarithm of the "
    "compute, seed by seed, and nothing is said beyond them."
)


def rate(value: float) -> str:
    """Return how much a second: whole numbers, small ones with four digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"  # noqa: PLR2004  # four digits
