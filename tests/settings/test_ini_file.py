"""Keys are put where pytest reads them."""

from __future__ import annotations

import pytest

from pytest_exprun.settings.ini_file import edit_key, write_keys
from pytest_exprun.settings.project import find_project
from pytest_exprun.terms.errors import SettingsError


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


ROPE = "--rope '--x y'"


@pytest.mark.parametrize(
    ("name", "content", "written"),
    [
        (
            "pytest.ini",
            "[pytest]\n# c\nexprun_baseline = --a\n\t# mid\n  --b\nx = 1\n",
            f"[pytest]\n# c\nexprun_baseline = {ROPE}\n\t# mid\nx = 1\n",
        ),
        ("pytest.ini", "[pytest]\r\nx = 1\r\n", f"[pytest]\r\nexprun_baseline = {ROPE}\r\nx = 1\r\n"),
        ("pytest.ini", "[pytest]\nexprun_baseline: --a", f"[pytest]\nexprun_baseline: {ROPE}"),
        ("pytest.ini", "[pytest]\nexprun_baseline =\nx = 1\n", f"[pytest]\nexprun_baseline = {ROPE}\nx = 1\n"),
        (
            "tox.ini",
            "[tox]\nexprun_baseline = no\n[pytest]\nx = 1\n[other]\nexprun_baseline = no\n",
            f"[tox]\nexprun_baseline = no\n[pytest]\nexprun_baseline = {ROPE}\nx = 1\n[other]\nexprun_baseline = no\n",
        ),
        (
            "setup.cfg",
            "[metadata]\nname = x\n[tool:pytest]\nx = 1\n",
            f"[metadata]\nname = x\n[tool:pytest]\nexprun_baseline = {ROPE}\nx = 1\n",
        ),
        (
            "pyproject.toml",
            '[tool.pytest.ini_options]\nexprun_baseline = "--a"  # why\nx = ["a",\n"b"]\n[tool.ruff]\n',
            f'[tool.pytest.ini_options]\nexprun_baseline = "{ROPE}"  # why\nx = ["a",\n"b"]\n[tool.ruff]\n',
        ),
        (
            "pyproject.toml",
            '[tool.pytest.ini_options]\nexprun_baseline = [\n "--a",\n "--b"] # end\nx = "1"\n',
            f'[tool.pytest.ini_options]\nexprun_baseline = "{ROPE}" # end\nx = "1"\n',
        ),
    ],
)
def test_one_key_gets_another_value(tmp_path, name, content, written):
    """Comments, line endings, other keys and other sections stay; pytest reads the new value, and the diff shows nothing else."""
    (tmp_path / name).write_bytes(content.encode())
    edit = edit_key(find_project(tmp_path, {}), "baseline", ROPE)
    edit.check_writable()
    edit.write()
    assert (tmp_path / name).read_bytes().decode() == written
    assert find_project(tmp_path, {}).values["baseline"] == ROPE
    assert all(line.startswith(("---", "+++", "@@", "+", "-")) for line in edit.diff())


def test_a_file_is_made_where_none_says_anything_to_pytest(tmp_path):
    """Beside a pyproject.toml about other things."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    edit_key(find_project(tmp_path, {}), "baseline", "--rope").write()
    assert (tmp_path / "pytest.ini").read_text() == "[pytest]\nexprun_baseline = --rope\n"


@pytest.mark.parametrize(
    "content",
    [
        '[tool.pytest.ini_options]\n"exprun_baseline" = "--a"\n',
        '[tool.pytest.ini_options]\nexprun_baseline = """--a"""\n',
        'tool.pytest.ini_options.exprun_baseline = "--a"\n',
        '[tool]\npytest.ini_options = {exprun_baseline = "--a"}\n',
    ],
)
def test_what_is_not_changed_safely_is_left_to_its_author(tmp_path, content):
    """Rather than a file that says something else afterwards."""
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(SettingsError, match="set exprun_baseline there by hand"):
        edit_key(find_project(tmp_path, {}), "baseline", "--rope")
    assert (tmp_path / "pyproject.toml").read_text() == content


def test_links_and_permissions_stay(tmp_path):
    """The file behind a link is written, and who may read it is as before."""
    real = tmp_path / "real.ini"
    real.write_text("[pytest]\nexprun_baseline = --a\n")
    real.chmod(0o600)
    (tmp_path / "pytest.ini").symlink_to(real)
    edit_key(find_project(tmp_path, {}), "baseline", "--b").write()
    assert ((tmp_path / "pytest.ini").is_symlink(), real.read_text()) == (True, "[pytest]\nexprun_baseline = --b\n")
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    """It is as it was."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nx = 1\n")
    edit = edit_key(find_project(tmp_path, {}), "baseline", "--b")
    (tmp_path / "pytest.ini").unlink()
    (tmp_path / "pytest.ini").mkdir()
    for action in (edit.check_writable, edit.write):
        with pytest.raises(SettingsError, match=r"pytest\.ini cannot be written: is a directory"):
            action()
