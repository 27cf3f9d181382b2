"""Keys are put where pytest reads them."""

from __future__ import annotations

import pytest

from pytest_exprun.settings.ini_file import write_keys
from pytest_exprun.settings.project import find_project


@pytest.mark.parametrize(
    ("name", "content", "written"),
    [
        ("tox.ini", "[tox]\n\n[pytest]\na = 1\n", "[tox]\n\n[pytest]\nexprun_tokens = 9\na = 1\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\n", '[tool.pytest.ini_options]\nexprun_tokens = "9"\n'),
    ],
)
def test_keys_go_below_the_header(tmp_path, name, content, written):
    """Nothing else of the file changes; TOML wants quotes."""
    (tmp_path / name).write_text(content)
    assert write_keys(find_project(tmp_path, {}), {"tokens": "9"}).name == name
    assert (tmp_path / name).read_text() == written


def test_without_a_section_a_file_is_made(tmp_path):
    """A pytest.ini, in the folder where pytest will look."""
    assert write_keys(find_project(tmp_path, {}, tmp_path), {"tokens": "9"}) == tmp_path / "pytest.ini"
    assert (tmp_path / "pytest.ini").read_text() == "[pytest]\nexprun_tokens = 9\n"
