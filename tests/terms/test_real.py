"""What counts as a real number."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from pytest_exprun.terms.real import real


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (1.5, 1.5),
        (-math.inf, -math.inf),
        (Fraction(1, 2), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.array(1.5), 1.5),
        (np.array([[1.5]]), 1.5),
    ],
)
def test_numbers_are_read(value, expected):
    """Python's own, numpy's, and arrays of one element."""
    found = real(value)
    assert (type(found), found) == (float, expected)


@pytest.mark.parametrize(
    "value", [True, np.bool_(1), None, "1.5", b"1", 1j, np.array(1j), [1.5], np.array("x"), {}, object()]
)
def test_anything_else_is_none(value):
    """A truth value is no number, text neither, whatever it says."""
    with pytest.raises(ValueError, match=r"^$"):
        real(value)


@pytest.mark.parametrize(
    ("value", "says"),
    [(np.ones(2), "an array of more than one element"), (10**400, "an integer too large for a float")],
)
def test_what_could_be_meant_as_a_number_is_told_apart(value, says):
    """The fix is another one."""
    with pytest.raises(ValueError, match=says):
        real(value)
