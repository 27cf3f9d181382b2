"""Data that git ignores are found by how the sources name them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_exprun.commands.setup.local_data import ignored_data
from pytest_exprun.running.options.script_options import Option
from pytest_exprun.running.options.seedings import Sources

FILES = ["data/a/train.bin", "data/a/meta.pkl", "data/a/prepare.py", "data/b/train.bin", "sets/x/one.txt", "out/m.pt"]
IGNORED = "*.bin\n*.pkl\n*.pt\nsets/\nvenv/\nout/\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in a repository with files that git ignores."""
    monkeypatch.chdir(tmp_path)
    for name in [*FILES, "venv/pyvenv.cfg", "data/a/__pycache__/x.pyc"]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")
    Path(".gitignore").write_text(IGNORED)
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


def shared(folder, text, **options):
    """Return what is shared for a script."""
    Path("train.py").write_text(text)
    told = {name: Option(name, default) for name, default in options.items()}
    return ignored_data(Sources.read([Path("train.py")]), told, folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("load('data/a/train.bin')", ["data/a/train.bin"]),
        ("load('./data/a/meta.pkl', 'data/a/prepare.py', 'data/none.bin')", ["data/a/meta.pkl"]),
        ("d = os.path.join('data', 'a')\nload(os.path.join(d, 'train.bin'))", ["data/a/*"]),
        ("d = Path('data') / name\nname = 'a'", ["data/a/*"]),
        ("load(f'data/{name}/train.bin')\nname = 'b'", ["data/b/train.bin"]),
        ("HERE = Path(__file__).parent\nload(HERE / 'data' / 'b')", ["data/b"]),
        ("load(root='./sets')", ["sets"]),
        ("load('sets/x/one.txt')", ["sets/x/one.txt"]),
        ("load('data')", ["data/a/*", "data/b"]),
        ("load('venv', '.', '', '..', '/etc', 'x' * 999, 'a\\nb')\n'''data'''[:1]", ["data/a/*", "data/b"]),
        ("out_dir = 'out'\nload(os.path.join('out', 'm.pt'))", []),
        ("load('data/a/prepare.py')", []),
    ],
)
def test_paths_are_followed_to_what_git_ignores(folder, text, found):
    """Literals, joins, formats and names; no output of runs, no environment, nothing that git has."""
    assert shared(folder, text) == found


def test_options_say_which_data(folder):
    """What the command sets counts, whatever the source has; an output folder by an option is none."""
    text = "dataset = 'b'\nload(os.path.join('data', dataset))\nload(os.path.join('data', args.name))\nload('out')\n"
    assert shared(folder, text, dataset="a", name="a", out_dir="out") == ["data/a/*"]


def test_without_git_nothing_is_shared(folder):
    """A folder that is in no repository has no states."""
    subprocess.run(["rm", "-rf", ".git"], check=True)
    assert shared(folder, "load('data/a')") == []
