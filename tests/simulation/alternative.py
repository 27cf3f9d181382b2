"""A rule proposed beside `tested`: at the second look, the paired test or Welch's. Prints the table of its decision page.

python tests/simulation/alternative.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from draws import SHAPES, arms
from twin import Bools, Floats, paired, welch

TRIALS = 400_000
FIRST = 0.0096
TESTED, EITHER = (0.0196, 0.0), (0.018, 0.009)
"""Levels of the paired and of Welch's test at the second look."""
SETTINGS = [
    *((f"normal, rho = {rho:g}", {"rho": rho}) for rho in (0.0, 0.3, 0.5, 0.9)),
    *((shape, {"shape": shape}) for shape in SHAPES if shape != "normal"),
]


def winners(baseline: Floats, experiment: Floats, bar: float, levels: tuple[float, float]) -> Bools:
    """Rows called WINNER; bar 0 is the test alone."""
    s_b, better = baseline.std(axis=1, ddof=1), np.ones(len(baseline))
    early, pair, late = welch(baseline, experiment[:, :3]), paired(baseline, experiment), welch(baseline, experiment)
    first, first_worse = (
        (early.p_for(sign * better) <= FIRST) & (sign * early.estimate >= bar * s_b) for sign in (1, -1)
    )
    shown = (pair.p_for(better) <= levels[0]) | (late.p_for(better) <= levels[1])
    return first | (~first & ~first_worse & shown & (pair.estimate >= bar * s_b))


def rows() -> Iterator[str]:
    """One line a setting, bar and effect: both rules' share of WINNER, the difference and its standard error."""
    for name, options in SETTINGS:
        for effect, bars in ((0.0, (0, 1, 2)), (1.0, (1, 2)), (2.0, (1, 2))):
            pair = arms(np.random.default_rng(1), TRIALS, improvement=effect, **options)
            for bar in bars:
                old, new = (winners(*pair, bar, levels) for levels in (TESTED, EITHER))
                change = new.astype(float) - old
                error = change.std() / np.sqrt(len(change))
                cells = (name, f"{effect:g}", f"{bar}", *(f"{100 * share.mean():.2f} %" for share in (old, new)))
                yield f"| {' | '.join(cells)} | {100 * change.mean():+.2f} | {100 * error:.2f} |"


def main() -> None:
    """Print the table."""
    print("| seeds | true effect, sigma | bar | tested | either test | difference | standard error |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
