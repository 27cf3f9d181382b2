"""The project as `exprun` finds it is the one that pytest finds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_exprun.plugin import SESSION
from pytest_exprun.settings.project import find_project
from pytest_exprun.terms.errors import SettingsError

FILES = {
    "pytest.ini": "[pytest]\nexprun_tokens = 20000\nexprun_inputs = a\n  b\n",
    ".pytest.ini": "[pytest]\nexprun_tokens = 20_000\nexprun_args = --size 'na no'\n",
    "pyproject.toml": '[tool.pytest.ini_options]\nexprun_tokens = "20000"\nexprun_baseline = "--recipe=modern --rope"\n',
    "tox.ini": "[tox]\nx = 1\n[pytest]\nexprun_tokens = 20000\n",
    "setup.cfg": "[metadata]\nname = x\n[tool:pytest]\nexprun_tokens = 20000\nexprun_rule = tested\n",
}


def ours(path, environ=None):
    """Return the settings as `exprun` reads them."""
    return find_project(path, environ or {}).settings({})


def theirs(pytester, *args):
    """Return the settings as the plugin reads them in a session."""
    return pytester.parseconfigure(*args).stash[SESSION].settings


def write(pytester, name, text):
    """Write a file without pytester's own formatting."""
    path = pytester.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_says_the_same_as_in_a_session(pytester, name):
    """Each file that pytest reads gives the same root and settings, from the root and from a folder below."""
    write(pytester, name, FILES[name])
    below = pytester.mkdir("below")
    assert ours(pytester.path) == theirs(pytester)
    assert ours(pytester.path).tokens == 20_000
    assert ours(below) == ours(pytester.path)


@pytest.mark.parametrize(("first", "second"), list(zip(list(FILES)[:-1], list(FILES)[1:], strict=True)))
def test_the_first_file_in_the_order_of_pytest_wins(pytester, first, second):
    """Of two files in one folder pytest's reference says which one counts."""
    write(pytester, second, FILES[second].replace("20000", "777").replace("20_000", "777"))
    write(pytester, first, FILES[first])
    assert ours(pytester.path) == theirs(pytester)
    assert ours(pytester.path).tokens == 20_000


@pytest.mark.parametrize("name", ["pyproject.toml", "tox.ini", "setup.cfg"])
def test_a_file_without_a_table_for_pytest_does_not_count(pytester, name):
    """A file of another tool is passed over and the search goes on above."""
    write(pytester, "pytest.ini", FILES["pytest.ini"])
    write(pytester, f"below/{name}", {"pyproject.toml": "[tool.ruff]\n"}.get(name, "[other]\nx = 1\n"))
    found = find_project(pytester.path / "below", {})
    assert found.root == pytester.path
    assert found.file == pytester.path / "pytest.ini"


def test_an_empty_pytest_ini_marks_the_root(pytester):
    """pytest.ini counts even without a section, as pytest has it."""
    write(pytester, "pytest.ini", FILES["pytest.ini"])
    write(pytester, "below/pytest.ini", "")
    assert find_project(pytester.path / "below", {}).root == pytester.path / "below"


def test_a_pyproject_without_a_table_marks_the_root_if_nothing_else_does(pytester):
    """The last resort is a pyproject.toml, then setup.py, then the folder itself."""
    deep = pytester.path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep, {}).root == deep
    write(pytester, "a/setup.py", "")
    assert find_project(deep, {}).root == pytester.path / "a"
    write(pytester, "pyproject.toml", "[project]\n")
    assert find_project(deep, {}).root == pytester.path
    write(pytester, "a/pyproject.toml", "[project]\n")
    assert find_project(deep, {}).root == pytester.path / "a"


def test_options_in_addopts_count(pytester, monkeypatch):
    """Our options in addopts and PYTEST_ADDOPTS, and -o, mean what they mean to pytest: an option beats a key, the later the earlier."""
    text = (
        "[pytest]\nexprun_tokens = 1000\nexprun_rule = tested\n"
        "addopts = -q --exprun-tokens=2000 -o exprun_rule=two_sigma --exprun-args '--size nano' --exprun-min-effect 1\n"
    )
    write(pytester, "pytest.ini", text)
    monkeypatch.setenv(
        "PYTEST_ADDOPTS", "--exprun-tokens=3000 --override-ini exprun_metric=val_bpb -oexprun_futility=.5"
    )
    found = ours(
        pytester.path,
        {"PYTEST_ADDOPTS": "--exprun-tokens=3000 --override-ini exprun_metric=val_bpb -oexprun_futility=.5"},
    )
    assert found == theirs(pytester)
    assert (found.tokens, found.rule, found.args, found.min_effect) == (3000, "two_sigma", ("--size", "nano"), 1)
    assert (found.metric, found.futility) == ("val_bpb", 0.5)


def test_what_is_given_beats_what_the_project_says(pytester):
    """A command-line value wins, also where the project's own is wrong."""
    write(pytester, "pytest.ini", "[pytest]\nexprun_tokens = nonsense\nexprun_rule = tested\n")
    settings = find_project(pytester.path, {}).settings({"tokens": "5_000", "rule": None})
    assert (settings.tokens, settings.rule) == (5_000, "tested")


def test_pythonpath_is_relative_to_the_file(pytester):
    """The folders that pytest puts on the import path are known."""
    write(pytester, "pytest.ini", "[pytest]\npythonpath = . src\n")
    assert find_project(pytester.path, {}).python_path == (pytester.path, pytester.path / "src")


NATIVE = {
    "pyproject.toml": '[tool.pytest]\nexprun_tokens = "20000"\naddopts = ["--exprun-rule=tested"]\npythonpath = ["src"]\n',
    "pytest.toml": '[pytest]\nexprun_tokens = "20000"\naddopts = ["--exprun-rule=tested"]\npythonpath = ["src"]\n',
}


@pytest.mark.parametrize("name", NATIVE)
def test_native_toml_tables_are_read(pytester, name):
    """pytest 9's tables with native types are read as pytest 9 reads them; an older pytest does not know them."""
    write(pytester, name, NATIVE[name])
    found = find_project(pytester.path, {})
    assert found.settings({}).tokens == 20_000
    assert found.settings({}).rule == "tested"
    assert found.python_path == (pytester.path / "src",)
    if int(pytest.__version__.split(".")[0]) >= 9:
        assert found.settings({}) == theirs(pytester)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pytest.ini", "[pytest]\nexprun_tokenz = 1\n", "did you mean exprun_tokens?"),
        ("pytest.ini", "[pytest]\nexprun_zzz = 1\n", "allowed are trainer, baseline"),
        ("pytest.ini", "[pytest]\nexprun_tokens = 0\n", "exprun_tokens = '0': allowed is a whole number of at least 1"),
        ("pytest.ini", "[pytest]\naddopts = --exprun-tokenz=1\n", "did you mean exprun_tokens?"),
        ("pytest.ini", "[pytest]\naddopts = 'open\n", "No closing quotation"),
        ("pytest.ini", "pytest]\nx\n", "cannot be parsed"),
        ("pytest.ini", "[pytest]\naddopts = --exprun-tokens\n", "--exprun-tokens: expected one argument"),
        ("pyproject.toml", "[tool.pytest\n", "cannot be parsed"),
        ("pyproject.toml", "[tool]\npytest = 3\n", "it must be a table"),
        ("pyproject.toml", '[tool.pytest]\nx="1"\n[tool.pytest.ini_options]\ny="1"\n', "not both"),
        ("setup.cfg", "[pytest]\nexprun_tokens = 1\n", "call the section [tool:pytest]"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_one_line(pytester, name, text, message):
    """Every mistake is named with its place and what is allowed."""
    write(pytester, name, text)
    with pytest.raises(SettingsError) as caught:
        ours(pytester.path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_no_utf8_is_refused(pytester):
    """A file in another encoding is an error that says so."""
    (pytester.path / "pyproject.toml").write_bytes(b'[tool.pytest.ini_options]\nexprun_args = "\xff"\n')
    with pytest.raises(SettingsError, match=r"pyproject.toml cannot be parsed: .utf-8. codec can.t decode"):
        ours(pytester.path)


def test_pytest_is_not_imported(tmp_path):
    """Reading the project loads neither pytest nor anything heavy."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nexprun_tokens = 5\n", encoding="utf-8")
    code = (
        "import sys, pathlib; from pytest_exprun.settings.project import find_project; find_project(pathlib.Path.cwd(), {}).settings({}); "
        "print(sorted({'pytest', '_pytest', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=180
    )
    assert done.stdout.strip() == "[]"
