"""The key of a run: everything that must agree, found without importing the trainer."""

from __future__ import annotations

import ast
import dataclasses
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError, TrainerError
from pytest_exprun.terms.model import Budget, Variant
from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.identity.fingerprint import Fingerprinter, Key

ROOT = Path(__file__).parents[3]
PLAIN = Variant()
TRAINER = "import helper\n\ndef main(argv):\n    return helper.loss()\n"


class Project:
    """A folder with a trainer, and the keys that it gives."""

    def __init__(self, root):
        self.root = root
        self.write(**{"toy.py": TRAINER, "helper.py": "def loss():\n    return {'val_loss': 1.0}\n"})

    def write(self, **files):
        """Write files by name; `__` in a name is a folder."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def fingerprinter(self, **settings):
        """Return a fresh session's fingerprinter."""
        return Fingerprinter(Settings(**{"trainer": "toy:main", "root": self.root} | settings))

    def key(self, variant=PLAIN, args=(), **settings):
        """Return the key that a fresh session computes."""
        return self.fingerprinter(**settings).key(variant, Budget(), args)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a project, with its folder as working directory."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def changed(old, new):
    """Return the names of the components that differ."""
    return [name for name, _, _ in old.changes(new)]


class TestKey:
    """Components, their digest and what is said of changes."""

    def test_two_sessions_agree(self, project):
        """Nothing changed: the same key."""
        assert project.key() == project.key()
        assert project.key().digest == project.key().digest

    def test_components_have_names_for_people(self, project):
        """All that DESIGN lists is there by name."""
        names = set(project.key().components)
        assert {"schema", "flags", "common args", "budget", "trainer", "python", "machine"} <= names
        assert {"source toy.py", "source helper.py"} <= names

    @pytest.mark.parametrize(
        ("new", "name"),
        [
            (lambda p: p.key(Variant(("--rope",))), "flags"),
            (lambda p: p.key(args=("--size", "nano")), "common args"),
            (lambda p: p.fingerprinter().key(PLAIN, Budget(20_000)), "budget"),
            (lambda p: p.fingerprinter().key(PLAIN, Budget(1_000_000, "steps")), "budget"),
            (lambda p: p.key(Variant(ref="v1")), "git ref"),
            (lambda p: p.key(trainer="toy:main2"), "trainer"),
        ],
    )
    def test_what_is_asked_counts(self, project, new, name):
        """Flags, arguments, budget, ref and entry point."""
        assert [each for each in changed(project.key(), new(project)) if not each.startswith("source ")] == [name]

    def test_order_and_spelling_of_flags_do_not_count(self, project):
        """An arm's identity is its canonical token list."""
        assert project.key(Variant(("--a-b", "--c=1"))) == project.key(Variant(("--c=1", "--a_b")))

    def test_changes_are_said_in_one_line(self):
        """Hashes are `changed`, short values are shown, new and gone things are called so."""
        old = Key({"source a.py": "0" * 64, "package torch": "2.12.0", "input x": "1" * 64})
        new = Key({"source a.py": "1" * 64, "package torch": "2.13.0", "package numpy": "2.0"})
        assert (
            old.why(new) == "input x is gone; package numpy is new; package torch 2.12.0 -> 2.13.0; source a.py changed"
        )

    def test_short_and_hash(self):
        """The short form is a prefix; equal keys have equal hashes whatever the order of their components."""
        one, two = Key({"a": "1", "b": "2"}), Key({"b": "2", "a": "1"})
        assert one == two
        assert hash(one) == hash(two)
        assert one.digest.startswith(one.short)

    @pytest.mark.parametrize(
        ("new", "may"),
        [
            ({"source a": "2"}, True),
            ({"source a": "2", "source b": "1"}, True),
            ({"source a": "2", "input x": "1"}, True),
            ({"source a": "2", "package numpy": "1"}, True),
            ({"source a": "2", "package torch": "2"}, False),
            ({"source a": "2", "python": "3.12"}, False),
            ({"source a": "2", "machine": "cuda"}, False),
            ({"source a": "2", "flags": "[]"}, False),
            ({"package torch": "2"}, False),
            ({"input x": "1"}, False),
            ({}, False),
        ],
    )
    def test_only_a_change_of_code_may_be_verified(self, new, may):
        """Data, flags and environment must be the same; what the new code newly names is part of its change."""
        old = {"source a": "1", "package torch": "1", "python": "3.11", "machine": "cpu", "flags": '["--x"]'}
        assert Key(old).may_be_equal(Key(old | new)) is may


class TestSources:
    """The first-party import closure."""

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
    def test_every_kind_of_import_is_followed(self, project, toy, other, label):
        """A change in what is imported, however it is imported, changes the key."""
        project.write(**{"pkg/__init__.py": "from . import mod\n", "pkg/mod.py": "", "toy.py": toy, other: "x = 1\n"})
        old = project.key()
        assert label in old.components
        project.write(**{other: "x = 2\n"})
        assert any(name.startswith("source") for name in changed(old, project.key()))

    def test_relative_imports(self, project):
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

    def test_what_is_not_imported_does_not_count(self, project):
        """Tests, other scripts and data of the folder are no part of the trainer."""
        old = project.key()
        project.write(**{"tests/test_x.py": "", "plot.py": "", "README.md": "", "data/x.txt": ""})
        assert project.key() == old

    @pytest.mark.parametrize("broken", ["def f(:\n", "\0", "\xff"])
    def test_a_source_that_does_not_parse(self, project, broken):
        """Its bytes count, and asking for the key is no error: the trainer's import will say it better."""
        (project.root / "helper.py").write_text(broken, encoding="latin-1")
        old = project.key()
        (project.root / "helper.py").write_text(broken + "#", encoding="latin-1")
        assert changed(old, project.key()) == ["source helper.py"]

    def test_rings_of_imports_end(self, project):
        """Modules that import each other are read once."""
        project.write(**{"helper.py": "import toy\nimport helper\n"})
        assert "source helper.py" in project.key().components

    def test_a_module_on_the_path_but_outside_the_root(self, project, tmp_path_factory, monkeypatch):
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
    def test_a_trainer_that_is_not_there(self, project, trainer):
        """One line: what, where it was looked for, the setting, the fix."""
        with pytest.raises(TrainerError, match=r"not found in .* nor on sys.path: exprun_trainer = .*--exprun-trainer"):
            project.key(trainer=trainer)

    def test_nothing_is_imported_or_executed(self, project):
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


class TestEnvironment:
    """Python, packages, machine and the variables that the source reads."""

    def test_the_whole_python_version_counts(self, project, monkeypatch):
        """Build and compiler included."""
        old = project.key()
        monkeypatch.setattr(sys, "version", sys.version + " [another compiler]")
        assert changed(old, project.key()) == ["python"]

    def test_packages_and_what_they_require(self, project):
        """Versions by distribution, for imports and for what these stand on; nothing of the standard library."""
        project.write(**{"toy.py": "import hypothesis\nimport json\n"})
        components = project.key().components
        assert components["package hypothesis"] == __import__("hypothesis").__version__
        assert "package sortedcontainers" in components
        assert "package json" not in components

    def test_an_import_name_that_is_no_distribution_name(self, project):
        """`import _pytest` belongs to the distribution pytest."""
        project.write(**{"toy.py": "import _pytest.config\nimport mpl_toolkits\n"})
        assert project.key().components["package -pytest"] == pytest.__version__

    def test_an_optional_package_that_appears_later(self, project, tmp_path_factory, monkeypatch):
        """Absent first, then installed, then another version: three keys."""
        project.write(**{"toy.py": "try:\n    import fancylib\nexcept ImportError:\n    pass\n"})
        keys = [project.key()]
        site = tmp_path_factory.mktemp("v") / "site-packages"
        metadata = site / "fancylib-1.0.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        (site / "fancylib.py").write_text("", encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))
        for version in ("1.0", "1.1"):
            metadata.write_text(f"Metadata-Version: 2.1\nName: fancylib\nVersion: {version}\n", encoding="utf-8")
            keys.append(project.key())
        assert [key.components["package fancylib"] for key in keys] == ["absent", "1.0", "1.1"]

    @pytest.mark.parametrize("reads", ["os.environ['EXTRA']", "os.environ.get('EXTRA')", "os.getenv('EXTRA', '1')"])
    def test_environment_variables_that_the_source_reads(self, project, monkeypatch, reads):
        """Set, changed and unset count; the value itself is not in the key, for it may be a secret."""
        project.write(**{"toy.py": f"import os\n{reads}\n"})
        monkeypatch.delenv("EXTRA", raising=False)
        unset = project.key()
        monkeypatch.setenv("EXTRA", "hunter2")
        first = project.key()
        monkeypatch.setenv("EXTRA", "hunter3")
        assert unset.components["environment EXTRA"] == "absent"
        assert changed(unset, first) == changed(first, project.key()) == ["environment EXTRA"]
        assert "hunter2" not in str(first.components)

    def test_hiding_the_gpu_changes_the_machine(self, project, monkeypatch):
        """CUDA_VISIBLE_DEVICES decides where there is a GPU."""
        real = Path.exists
        monkeypatch.setattr(Path, "exists", lambda path, **named: str(path) == "/dev/nvidia0" or real(path, **named))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert project.key().components["machine"].startswith("cuda ")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert project.key().components["machine"].startswith("cpu ")


class TestInputs:
    """Files by content."""

    def test_declared_inputs(self, project):
        """Files, folders and globs of exprun_inputs count by content and by name."""
        project.write(**{"data/a.txt": "1", "data/b.txt": "1", "one.bin": "1"})
        settings = {"inputs": ("data", "*.bin")}
        old = project.key(**settings)
        project.write(**{"data/b.txt": "2"})
        assert changed(old, project.key(**settings)) == ["input data"]
        (project.root / "data" / "b.txt").rename(project.root / "data" / "c.txt")
        assert changed(old, project.key(**settings)) == ["input data"]
        project.write(**{"two.bin": "1"})
        assert "input *.bin" in changed(old, project.key(**settings))

    def test_a_declared_input_that_is_not_there(self, project):
        """A typing error is found before training."""
        with pytest.raises(SettingsError, match=r"exprun_inputs = 'dta': nothing of that name"):
            project.key(inputs=("dta",))

    @pytest.mark.parametrize("tokens", [("--data=d/x.txt",), ("--data", "d/x.txt"), ("--data=d",), ("--data={abs}",)])
    def test_flag_values_that_name_a_path(self, project, tokens):
        """By content, for files and folders, as value of the option or as the next token, in flags and in common args."""
        project.write(**{"d/x.txt": "1"})
        tokens = tuple(token.replace("{abs}", str(project.root / "d" / "x.txt")) for token in tokens)
        old, old_args = project.key(Variant(tokens)), project.key(args=tokens)
        project.write(**{"d/x.txt": "2"})
        assert len(changed(old, project.key(Variant(tokens)))) == 1
        assert len(changed(old_args, project.key(args=tokens))) == 1

    def test_a_path_from_the_working_directory(self, project, monkeypatch):
        """A trainer opens relative paths from where pytest was started."""
        project.write(**{"sub/x.txt": "1"})
        monkeypatch.chdir(project.root / "sub")
        old = project.key(Variant(("--data=x.txt",)))
        project.write(**{"sub/x.txt": "2"})
        assert changed(old, project.key(Variant(("--data=x.txt",)))) == ["input x.txt (working directory)"]

    @pytest.mark.parametrize("value", ["", "\0", "a" * 5000, "~nobody/x", "//", "/", "..", ".", "/dev/zero", "1e-3"])
    def test_values_that_are_no_paths(self, project, value):
        """Anything can stand in a flag; devices and folders that hold the whole project are not read."""
        key = project.key(Variant((f"--x={value}", value)))
        assert not [name for name in key.components if name.startswith("input")]

    @pytest.mark.parametrize("read", ["open('conf.json')", "Path('cfg/base.yaml')", "load('./conf.json')"])
    def test_files_that_the_source_names(self, project, read):
        """A literal path in the source counts by content, also one that appears later."""
        project.write(**{"toy.py": f"def main(argv):\n    {read}\n"})
        keys = [project.key()]
        for text in ("1", "2"):
            project.write(**{"conf.json": text, "cfg/base.yaml": text})
            keys.append(project.key())
        assert len({key.digest for key in keys}) == 3

    @pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_FILES"])
    def test_very_much_data_counts_by_time_stamps(self, project, monkeypatch, limit):
        """Above a limit, a new size or time is a change, and the component says that it went by those."""
        monkeypatch.setattr(f"pytest_exprun.trust.identity.contents.{limit}", 1)
        project.write(**{"data/a.txt": "12", "data/b.txt": "1"})
        old = project.key(inputs=("data",))
        assert old.components["input data"].startswith("by time stamps ")
        assert project.key(inputs=("data",)) == old
        project.write(**{"data/a.txt": "123"})
        assert changed(old, project.key(inputs=("data",))) == ["input data"]

    def test_links_and_odd_files_in_a_folder(self, project):
        """Links to files count by content, rings of links end, sockets and dangling links are left out."""
        project.write(**{"data/a.txt": "1", "b.txt": "1"})
        (project.root / "data" / "link").symlink_to(project.root / "b.txt")
        (project.root / "data" / "ring").symlink_to(project.root / "data")
        (project.root / "data" / "dangling").symlink_to(project.root / "nothing")
        old = project.key(inputs=("data",))
        project.write(**{"b.txt": "2"})
        assert changed(old, project.key(inputs=("data",))) == ["input data"]

    def test_what_we_write_is_no_input(self, project):
        """A root given as an input leaves out records, reports and checkpoints."""
        old = project.key(inputs=(".",))
        project.write(**{".exprun/x.json": "1", "docs/research/x.md": "1", "checkpoints/x": "1"})
        assert project.key(inputs=(".",)) == old


class TestAfterARun:
    """What is read again after a run, before it is stored."""

    def test_an_edit_during_the_run_is_named(self, project):
        """Sources and inputs; a comment is no edit."""
        project.write(**{"data.txt": "1"})
        fingerprinter = project.fingerprinter(inputs=("data.txt",))
        fingerprinter.key(PLAIN, Budget())
        assert fingerprinter.sources_changed() == []
        project.write(**{"helper.py": "# later\ndef loss():\n    return {'val_loss': 1.0}\n"})
        assert fingerprinter.sources_changed() == []
        project.write(**{"helper.py": "def loss():\n    return {'val_loss': 2.0}\n", "data.txt": "2"})
        assert fingerprinter.sources_changed() == ["source helper.py", "input data.txt"]

    def test_a_module_that_shadows_a_source_is_named(self, project, monkeypatch):
        """What ran must be what was hashed: a module of the same name from elsewhere is not."""
        fingerprinter = project.fingerprinter()
        fingerprinter.key(PLAIN, Budget())
        shadow = types.ModuleType("helper")
        monkeypatch.setitem(sys.modules, "helper", shadow)
        assert fingerprinter.sources_changed() == []
        shadow.__file__ = str(project.root / "helper.py")
        assert fingerprinter.sources_changed() == []
        shadow.__file__ = str(project.root / "experiments" / "helper.py")
        assert fingerprinter.sources_changed() == [f"source helper.py (what ran was {shadow.__file__})"]

    def test_a_deleted_source_is_named(self, project):
        """Gone is changed."""
        fingerprinter = project.fingerprinter()
        fingerprinter.key(PLAIN, Budget())
        (project.root / "helper.py").unlink()
        assert fingerprinter.sources_changed() == ["source helper.py"]

    def test_a_big_input_with_the_same_times_is_not_read_again(self, project, monkeypatch):
        """Its time stamps say enough once it is old; a fresh one is read again."""
        path = project.root / "big.bin"
        path.write_bytes(b"x" * (2 << 20))
        fingerprinter = project.fingerprinter(inputs=("big.bin",))
        fingerprinter.key(PLAIN, Budget())
        path.write_bytes(b"y" * (2 << 20))
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        assert fingerprinter.sources_changed() == ["input big.bin"]
        reads = []
        later = project.fingerprinter(inputs=("big.bin",))
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 60)
        later.key(PLAIN, Budget())
        monkeypatch.setattr("pytest_exprun.trust.identity.contents.file_digest", lambda path: reads.append(path) or "")
        assert later.sources_changed() == []
        assert reads == []


class TestOpened:
    """What runs were heard reading."""

    def test_a_file_that_a_run_opened(self, project):
        """It is named with its digest, unless the key has it already; what a run wrote is left out."""
        project.write(**{"data/x.txt": "1", "given.txt": "1"})
        fingerprinter = project.fingerprinter(inputs=("given.txt",))
        fingerprinter.key(PLAIN, Budget())
        files = OpenedFiles()
        with files.recording():
            for name in ("data/x.txt", "given.txt", "helper.py"):
                (project.root / name).read_text(encoding="utf-8")
            (project.root / "out.txt").write_text("1", encoding="utf-8")
            (project.root / "out.txt").read_text(encoding="utf-8")
        assert list(fingerprinter.opened(files)) == ["file data/x.txt", "file helper.py"]
        label, digest = next(iter(fingerprinter.opened(files).items()))
        assert fingerprinter.content_of(label) == digest
        project.write(**{"data/x.txt": "2"})
        assert fingerprinter.sources_changed(files) == ["file data/x.txt"]
        assert project.fingerprinter().content_of(label) != digest

    def test_a_folder_that_a_run_listed(self, project):
        """A new file in it changes what is found there."""
        project.write(**{"plugins/a.py": "x = 1\n"})
        fingerprinter = project.fingerprinter()
        files = OpenedFiles()
        with files.recording():
            list((project.root / "plugins").iterdir())
        found = fingerprinter.opened(files)
        assert list(found) == ["names in plugins"]
        project.write(**{"plugins/b.py": ""})
        assert project.fingerprinter().content_of("names in plugins") != found["names in plugins"]

    def test_every_run_of_a_session_is_stored_with_all_that_it_read(self, project):
        """What was measured for the first run's record is no part of the key, so the second run's names it too."""
        project.write(**{"data/x.txt": "1"})
        fingerprinter = project.fingerprinter()
        fingerprinter.key(PLAIN, Budget())
        files = OpenedFiles()
        with files.recording():
            for path in (project.root / "data").iterdir():
                path.read_text(encoding="utf-8")
        first = fingerprinter.opened(files)
        assert list(first) == ["file data/x.txt", "names in data"]
        assert fingerprinter.opened(files) == first

    def test_a_file_that_is_gone(self, project):
        """Its content is `absent`, which no digest equals."""
        assert project.fingerprinter().content_of("file gone.txt") == "absent"


def test_sources_are_parsed_once_a_session(monkeypatch):
    """However many arms there are; and once more after the first run, as long as their bytes stay the same."""
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda source: parsed.append(source) or parse(source))
    fingerprinter = Fingerprinter(Settings(root=ROOT))
    for flags in ((), ("--rope",), ("--qk_norm",)):
        fingerprinter.key(Variant(flags), Budget())
    sources = len(set(parsed))
    assert sources > 1
    assert len(parsed) == sources
    for _ in range(3):
        assert fingerprinter.sources_changed(OpenedFiles()) == []
    assert len(parsed) == 2 * sources


def test_settings_that_change_nothing_do_not_count(project):
    """Rule, mode, reports and thresholds judge runs; they do not make them."""
    judged = dataclasses.replace(project.fingerprinter().settings, rule="tested", mode="frozen", min_effect=1.0)
    assert Fingerprinter(judged).key(PLAIN, Budget()) == project.key()
