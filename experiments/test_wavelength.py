"""How far rotary embeddings reach: the base sets the longest wavelength, 2 pi times the base in bytes.

The control has rotary embeddings too, so that only the base changes.
"""

import pytest

from pytest_exprun import experiment


@pytest.mark.parametrize("base", [100, 500])
@experiment("--rope_base={base}", baseline="--rope")
def test_wavelength(comparison, base):
    """Prediction: NEUTRAL or a small gain. With a context of 128 bytes most wavelengths of base 10,000 never turn once."""
    assert comparison.not_loser
