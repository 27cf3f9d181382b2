"""Small comparisons with round numbers, for the tests of the reports. The figures expected of them are worked out by hand or with scipy."""

from __future__ import annotations

import math

from pytest_exprun.terms.model import SEEDS, Budget, Experiment, RunSpec, Variant
from pytest_exprun.terms.outcome import CurvePoint, RunResult
from pytest_exprun.verdict.comparison import Comparison, compare

# Mean 2, ddof-1 variance .001 / 4: s_b = .0158114.
BASELINE = (2.00, 2.01, 2.02, 1.99, 1.98)
# Mean 1.91, variance .0001. Welch t = -.09 / sqrt(.00005 + .0001/3) = -9.859, one-sided p = .0000314.
WINNER = (1.90, 1.91, 1.92)
# Mean 1.96, variance .0013: 2.53 sigmas, but Welch t = -1.82 on 2.5 degrees of freedom.
UNSURE = (1.92, 1.97, 1.99)
# The baseline shifted by +.05, a little noise added.
LOSER = (2.05, 2.061, 2.069)
# Half a sigma better at every seed, with noise.
NEUTRAL = (1.99, 2.003, 2.012, 1.985, 1.97)
HOSTILE = (
    "a|b `c` *d* <script>alert(1)</script> [x](http://evil.example) \x1b[31mred\x1b[0m\x00 \u202egpj\n# heading @you"
)
STANDARD, PLAIN = Budget(), Variant()
PLACE = {
    "python": "3.11.8",
    "torch": "2.13.0",
    "cpu": "Toy CPU",
    "threads": 1,
    "other_busy_cores": 0.25,
    "host": "secret-host",
}


def run(
    variant: Variant,
    seed: int,
    loss: float | None,
    *,
    budget: Budget = STANDARD,
    provenance: dict | None = None,
    metric: str = "val_loss",
    points: int = 4,
    seconds_a_loss: float = 0.0,
) -> RunResult:
    """Return a run that took 30 seconds, 1.5 more for each flag; or time in proportion to its loss."""
    end = 2.0 if loss is None else loss
    seconds = seconds_a_loss * end or 30.0 + len(variant.flags) * 1.5
    curve = tuple(
        CurvePoint(step, {metric: end + 1.0 / step + 0.01 * math.sin(step * seed), "tokens": 1000.0 * step})
        for step in range(1, points + 1)
    )
    metrics = {metric: loss, "wall_time": seconds, "cpu_time": seconds, "params": 1000.0}
    status = "diverged" if loss is None else "finished"
    notes = {"data_sha256": "d" * 64, "val_data_sha256": "e" * 64}
    return RunResult(RunSpec(variant, seed, budget), status, metrics, notes, curve, {**PLACE, **(provenance or {})})


def comparison(
    values: tuple[float | None, ...] = WINNER,
    *,
    name: str = "rope",
    flags: tuple[str, ...] = ("--rope",),
    control: Variant = PLAIN,
    budget: Budget = STANDARD,
    metric: str = "val_loss",
    provenance: dict | None = None,
    points: int = 4,
    seconds_a_loss: float = 0.0,
    **declared: object,
) -> Comparison:
    """Compare experiment values, in seed order, with `BASELINE`; a value of None diverged."""
    variant = Variant((*control.flags, *flags))
    same = {"budget": budget, "metric": metric, "points": points, "seconds_a_loss": seconds_a_loss}
    baseline = [run(control, seed, value, **same) for seed, value in zip(SEEDS, BASELINE, strict=True)]
    experiment = [
        run(variant, seed, value, **same, provenance=provenance) for seed, value in zip(SEEDS, values, strict=False)
    ]
    nodeids = (f"experiments/test_{name}.py::test_{name}",)
    declaration = Experiment(name, variant, control, budget=budget, metric=metric, nodeids=nodeids, **declared)
    return compare(declaration, baseline, experiment)


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """Read the tables back: heading -> rows of cells, the header row first; the first table under each heading."""
    found: dict[str, list[list[str]]] = {}
    heading, is_open = "", False
    for line in markdown.splitlines():
        if line.startswith("#"):
            heading, is_open = line.lstrip("# "), False
        elif line.startswith("|") and (heading not in found or is_open):
            is_open = True
            cells = [cell.strip() for cell in line.replace(r"\|", "\0").strip("|").split("|")]
            if set("".join(cells)) != set("-:") and set("".join(cells)) != set("-"):
                found.setdefault(heading, []).append(cells)
        else:
            is_open = False
    return found
