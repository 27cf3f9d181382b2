"""A repository to take states from."""

from __future__ import annotations

import pytest

from tests.states import Checkout


@pytest.fixture
def checkout(tmp_path):
    """Return a repository with one commit."""
    root = tmp_path / "project with blanks"
    root.mkdir()
    checkout = Checkout(root)
    checkout.commit("first", **{"model.py": "RATE = 1\n", "data__rows.txt": "1\n", ".gitignore": ".exprun/\nsecret/\n"})
    return checkout
