"""Arms of a few values: what is let in, moments that lose no digits, and tests that name their limits."""

import math

import numpy as np
import pytest

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict import samples


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.array([3.0]), np.array(3)])
def test_one_real_number_is_a_float(value):
    """Whatever type a trainer returns it in."""
    found = samples.real_number(value, "it")
    assert (found, type(found)) == (3.0, float)


@pytest.mark.parametrize("value", [True, np.True_, "3", None, 3j, np.array([1.0, 2.0]), 10**400])
def test_anything_else_is_refused_with_its_place(value):
    """The place stands at the front of the one line."""
    with pytest.raises(RefusedError, match=r"^seed 42 is"):
        samples.real_number(value, "seed 42")


def test_a_difference_of_means_keeps_its_digits_at_a_large_offset():
    """Both arms are shifted by one value before anything is summed."""
    offset = 2.0**52
    assert samples.difference([offset] * 3, [offset, offset, offset + 1]) == pytest.approx(1 / 3)


def test_pooling_weighs_by_degrees_of_freedom():
    """Variances 1 (four degrees) and 9 (two): sqrt((4 * 1 + 2 * 9) / 6)."""
    b, e = [1.0, -1.0, 1.0, -1.0, 0.0], [-3.0, 0.0, 3.0]
    assert samples.pooled_std(b, e) == pytest.approx(math.sqrt(22 / 6))


def test_a_scale_of_zero_is_named():
    """No division by zero comes through."""
    with pytest.raises(RefusedError, match=r"^the spread is 0: a difference of 2 has no size"):
        samples.divide(2.0, 0.0, "the spread")


def test_one_sided_p_counts_in_the_asked_direction():
    """The two directions share the whole; without a direction it is a half."""
    found = samples.welch([0.0, 1.0, 2.0], [4.0, 5.0, 7.0])
    assert found.one_sided(1) == pytest.approx(found.p_value / 2)
    assert found.one_sided(-1) == pytest.approx(1 - found.p_value / 2)
    assert found.one_sided(0) == 0.5
