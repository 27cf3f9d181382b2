"""A store for the tests of this room."""

from __future__ import annotations

import pytest

from pytest_exprun.trust.store.store import Store


@pytest.fixture
def store(tmp_path):
    """Return an empty store that can be written."""
    store = Store(tmp_path / "store")
    store.check_writable()
    return store
