"""Reading and turning the examples."""

from pathlib import Path

SEPARATOR = ","
ANGLE = 1


def parse_line(line):
    """Return inputs and target of one line."""
    *inputs, target = (float(word) for word in line.split(SEPARATOR))
    return inputs, target


def load(path):
    """Read all examples."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [parse_line(line) for line in lines if line.strip()]


def rotate(example):
    """Shift the inputs by one place."""
    inputs, target = example
    return inputs[ANGLE:] + inputs[:ANGLE], target
