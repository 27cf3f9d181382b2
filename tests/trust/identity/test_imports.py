"""The first-party import closure, read from sources and never by importing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.terms.errors import TrainerError
from tests.keyed import changed

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("toy", "other", "label"),
    [
        ("import pkg.mod\n", "pkg/mod.py", "source pkg/mod.py"),
        ("import pkg.mod\n", "pkg/__init__.py", "source pkg/__init__.py"),
        ("from pkg import mod\n", "pkg/mod.py", "source pkg/mod.py"),
        ("from pkg.mod import thing\n", "pkg/mod.py", "source pkg/mod.py"),
        ("def main(argv):\n    from pkg import mod\n", "pkg/mod.py", "source pkg/mod.py"),
        ("import importlib\nimportlib.import_module('pkg.mod')\n", "pkg/mod.py", "source pkg/mod.py"),
        ("__import__('pkg.mod')\n", "pkg/mod.py", "source pkg/mod.py"),
        ("from pkg import *\n", "pkg/__init__.py", "source pkg/__init__.py"),
        ("import random\n", "random.py", "source random.py"),
        ("try:\n    import fast\nexcept ImportError:\n    fast = None\n", "fast.py", "source fast.py"),
        ("import namespace.inner.mod\n", "namespace/inner/mod.py", "source namespace/inner/mod.py"),
    ],
)
def test_every_kind_of_import_is_followed(project, toy, other, label):
    """A change in what is imported, however it is imported, changes the key."""
    project.write(**{"pkg/__init__.py": "from . import mod\n", "pkg/mod.py": "", "toy.py": toy, other: "x = 1\n"})
    old = project.key()
    assert label in old.components
    project.write(**{other: "x = 2\n"})
    assert any(name.startswith("source") for name in changed(old, project.key()))


def test_relative_imports(project):
    """`from . import`, `from .. import` and `from ..a.b import` reach their files."""
    project.write(
        **{
            "pkg/__init__.py": "",
            "pkg/top.py": "",
            "pkg/sub/__init__.py": "from .. import top\n",
            "pkg/sub/run.py": "from . import near\nfrom ..far.away import x\n",
            "pkg/sub/near.py": "",
            "pkg/far/__init__.py": "",
            "pkg/far/away.py": "x = 1\n",
        }
    )
    names = set(project.key(trainer="pkg.sub.run:main").components)
    files = ("__init__", "top", "sub/__init__", "sub/run", "sub/near", "far/__init__", "far/away")
    assert {f"source pkg/{name}.py" for name in files} <= names


def test_what_is_not_imported_does_not_count(project):
    """Tests, other scripts and data of the folder are no part of the trainer."""
    old = project.key()
    project.write(**{"tests/test_x.py": "", "plot.py": "", "README.md": "", "data/x.txt": ""})
    assert project.key() == old


@pytest.mark.parametrize("broken", ["def f(:\n", "\0", "\xff"])
def test_a_source_that_does_not_parse(project, broken):
    """Its bytes count, and asking for the key is no error: the trainer's import will say it better."""
    (project.root / "helper.py").write_text(broken, encoding="latin-1")
    old = project.key()
    (project.root / "helper.py").write_text(broken + "#", encoding="latin-1")
    assert changed(old, project.key()) == ["source helper.py"]


def test_rings_of_imports_end(project):
    """Modules that import each other are read once."""
    project.write(**{"helper.py": "import toy\nimport helper\n"})
    assert "source helper.py" in project.key().components


def test_a_module_on_the_path_but_outside_the_root(project, tmp_path_factory, monkeypatch):
    """A sibling package in development is first-party too, and its name does not depend on where it lies."""
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "sibling.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(other))
    project.write(**{"toy.py": "import sibling\n"})
    old = project.key()
    assert "source sibling.py" in old.components
    (other / "sibling.py").write_text("x = 2\n", encoding="utf-8")
    assert changed(old, project.key()) == ["source sibling.py"]


@pytest.mark.parametrize("trainer", ["missing:main", "helper.missing:main", "no.such.package:main"])
def test_a_trainer_that_is_not_there(project, trainer):
    """One line: what, where it was looked for, the setting, the fix."""
    with pytest.raises(TrainerError, match=r"not found in .* nor on sys.path: exprun_trainer = .*--exprun-trainer"):
        project.key(trainer=trainer)


def test_nothing_is_imported_or_executed(project):
    """Neither the trainer nor what it imports is executed, its packages' parents included; torch and numpy stay out."""
    project.write(
        **{
            "toy.py": "import torch, numpy, pkg.mod\nraise SystemExit('executed')\n",
            "pkg/__init__.py": "raise SystemExit('executed')\n",
            "pkg/mod.py": "x = 1\n",
        }
    )
    code = (
        "import sys\nfrom pathlib import Path\nfrom pytest_exprun.trust.identity.fingerprint import Fingerprinter\n"
        "from pytest_exprun.settings.settings import Settings\nfrom pytest_exprun.terms.model import Budget, Variant\n"
        "key = Fingerprinter(Settings(trainer='toy:main', root=Path(sys.argv[1]))).key(Variant(), Budget())\n"
        "assert 'source pkg/mod.py' in key.components\n"
        "print(sorted({'toy', 'pkg', 'torch', 'numpy'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code, str(project.root)]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout == "[]\n"
