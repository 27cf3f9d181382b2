"""Logs of training scripts, read to their end."""

from __future__ import annotations

import re

from pytest_exprun.running.training.output_metrics import OutputMetrics, UnreadableOutput

PATTERN = r"val loss (?P<val_loss>[0-9.eE+-]+)"


NUMBERS = ["2.3456", "5.1e-05", "-0.5", "nan", "inf", "-inf", "3", "1E+3", ".5", "0.0000"]


def read(text: str, **how: str) -> float | str:
    """Return the metric at the end of a log, or `refused`."""
    heard = OutputMetrics(how.pop("metric", "val_loss"), **how)
    for line in re.split(r"[\r\n]", text):
        heard.hear(line)
    try:
        return heard.metrics()["val_loss"]
    except UnreadableOutput:
        return "refused"


def same(one: object, two: object) -> bool:
    """Whether two readings are the same number to the last bit, NaN included."""
    return repr(one) == repr(two)
