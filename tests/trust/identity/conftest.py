"""A project for the tests of this room."""

from __future__ import annotations

import pytest

from tests.keyed import Project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a project, with its folder as working directory."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)
