"""Rules of other tools, mirrored from their documentation, so that their rates stand beside ours. Not their code.

They were made for timing, with many values a side and a stable machine; here they judge five training runs a side. Each returns
1 (better), 0 or -1 (worse) a row; lower is better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr
from twin import Floats, harm_statistic


def pyperf(baseline: Floats, experiment: Floats) -> NDArray[np.int8]:
    """`pyperf compare_to`: Student's two-sample, two-tailed t test at the 95 % level; no minimal size."""
    t = harm_statistic(baseline, experiment)
    significant = 2 * stdtr(baseline.shape[1] + experiment.shape[1] - 2, -np.abs(t)) < 0.05
    return np.where(significant, -np.sign(t), 0).astype(np.int8)


def asv(baseline: Floats, experiment: Floats) -> NDArray[np.int8]:
    """`asv compare --no-stats`: the ratio of medians beyond a factor of 1.1, either way.

    Without --no-stats it also asks for significance (Mann-Whitney p < .002), which five values a side cannot reach.
    """
    ratio = np.median(experiment, axis=1) / np.median(baseline, axis=1)
    return ((ratio < 1 / 1.1).astype(np.int8) - (ratio > 1.1)).astype(np.int8)


def pytest_benchmark(baseline: Floats, experiment: Floats) -> NDArray[np.int8]:
    """`--benchmark-compare-fail=mean:5%`: fails where the mean got worse by more than 5 %; has no word for better."""
    return -(experiment.mean(axis=1) > 1.05 * baseline.mean(axis=1)).astype(np.int8)
