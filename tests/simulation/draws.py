"""Seeds to simulate with: normal, heavy-tailed, skewed, contaminated, of unequal variance, and real training losses. Lower is better."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from twin import Floats

BASELINE, EXPERIMENT = 5, 5
MIN_POOL = BASELINE + EXPERIMENT
REAL_LOSSES = Path(__file__).parent.parent / "data" / "real_val_losses.json"

SHAPES = ("normal", "twice the noise", "heavy tails", "skewed", "contaminated", "real losses")
_MEAN = {"skewed": math.exp(0.5), "contaminated": 0.5}
MEANING = {
    "normal": "both arms normal, equal variance",
    "twice the noise": "normal, the experiment's standard deviation is twice the baseline's",
    "heavy tails": "Student's t with 3 degrees of freedom",
    "skewed": "right-skewed losses, exp(N(0, 1))",
    "contaminated": "normal, 10 % of the seeds 5 sigma worse",
    "real losses": "ten of the repeated runs of one public training configuration, drawn without replacement",
}
_SIGMA = {
    "heavy tails": math.sqrt(3),
    "skewed": math.sqrt((math.e - 1) * math.e),
    "contaminated": math.sqrt(1 + 25 * 0.1 * 0.9),
}


def arms(
    rng: np.random.Generator, rows: int, shape: str = "normal", *, improvement: float = 0.0, rho: float = 0.0
) -> tuple[Floats, Floats]:
    """Draw baselines and experiments, (rows, 5) each.

    Args:
        rng: the source of randomness.
        rows: number of comparisons.
        shape: one of SHAPES.
        improvement: by how many standard deviations of one baseline seed the experiment is truly better.
        rho: correlation of the arms at the same seed; normal seeds only.
    """
    if shape == "real losses":
        return _real(rng, rows, improvement)
    both = noise(rng, (rows, BASELINE + EXPERIMENT), shape)
    baseline, own = both[:, :BASELINE], both[:, BASELINE:]
    if shape == "twice the noise":
        own = 2 * own
    return baseline, rho * baseline + math.sqrt(1 - rho**2) * own - improvement


def noise(rng: np.random.Generator, size: tuple[int, ...], shape: str) -> Floats:
    """Draw seeds of a baseline: one sigma wide, of any mean. Twice the noise is the experiment's alone."""
    if shape == "heavy tails":
        return rng.standard_t(3, size) / _SIGMA[shape]
    normal = rng.standard_normal(size)
    if shape == "skewed":
        return np.exp(normal) / _SIGMA[shape]
    if shape == "contaminated":
        return (normal + 5 * (rng.random(size) < 0.1)) / _SIGMA[shape]
    return normal


def centred(rng: np.random.Generator, size: tuple[int, ...], shape: str) -> Floats:
    """Draw seeds of a baseline around their true mean, 0."""
    return noise(rng, size, shape) - _MEAN.get(shape, 0.0) / _SIGMA.get(shape, 1.0)


def _real(rng: np.random.Generator, rows: int, improvement: float) -> tuple[Floats, Floats]:
    """Every configuration with enough runs has the same share; a baseline without any variance is drawn again by nobody, it is left out."""
    pools = list(_pools())
    drawn = np.concatenate([_split(rng, rows // len(pools) + 1, pool) for pool in pools])
    scale = np.repeat([pool.std(ddof=1) for pool in pools], rows // len(pools) + 1)
    keep = np.ptp(drawn[:, :BASELINE], axis=1) > 0
    drawn, scale = drawn[keep], scale[keep]
    return drawn[:, :BASELINE], drawn[:, BASELINE:] - improvement * scale[:, None]


def _pools() -> Iterator[Floats]:
    losses = json.loads(REAL_LOSSES.read_text())["losses"].values()
    return (np.array(pool) for pool in losses if len(pool) >= MIN_POOL)


def largest_pool() -> Floats:
    """Return the losses of the configuration that was run most often."""
    return max(_pools(), key=len)


def _split(rng: np.random.Generator, rows: int, pool: Floats) -> Floats:
    order = rng.random((rows, len(pool))).argpartition(MIN_POOL - 1, axis=1)[:, :MIN_POOL]
    return rng.permuted(pool[order], axis=1)


def families(rng: np.random.Generator, rows: int, experiments: int) -> tuple[Floats, Floats]:
    """Baselines (rows, 5) and for each several harmless, unrelated experiments (rows, experiments, 5)."""
    return rng.standard_normal((rows, BASELINE)), rng.standard_normal((rows, experiments, EXPERIMENT))
