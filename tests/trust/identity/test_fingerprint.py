"""The key of a run: everything that must agree, found without importing the trainer."""

from __future__ import annotations

import ast
import dataclasses
import sys
import types
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget, Variant
from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.identity.fingerprint import Fingerprinter
from tests.keyed import PLAIN, changed

ROOT = Path(__file__).parents[3]


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
            (lambda p: p.key(trainer="toy:main2"), "trainer"),
        ],
    )
    def test_what_is_asked_counts(self, project, new, name):
        """Flags, arguments, budget and entry point."""
        assert [each for each in changed(project.key(), new(project)) if not each.startswith("source ")] == [name]

    def test_order_and_spelling_of_flags_do_not_count(self, project):
        """An arm's identity is its canonical token list."""
        assert project.key(Variant(("--a-b", "--c=1"))) == project.key(Variant(("--c=1", "--a_b")))


class TestEnvironment:
    """Python, packages, machine and the variables that the source reads."""

    def test_the_whole_python_version_counts(self, project, monkeypatch):
        """Build and compiler included."""
        old = project.key()
        monkeypatch.setattr(sys, "version", sys.version + " [another compiler]")
        assert changed(old, project.key()) == ["python"]

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


class TestOpened:
    """What runs were heard reading."""

    def test_a_file_that_a_run_opened(self, project):
        """It is named with its digest, unless the key has it already; what a run wrote is left out."""
        project.write(**{"data/x.txt": "1", "given.txt": "1"})
        fingerprinter = project.fingerprinter(inputs=("given.txt",))
        fingerprinter.key(PLAIN, Budget())
        files = fingerprinter.heard = OpenedFiles()
        with files.recording():
            for name in ("data/x.txt", "given.txt", "helper.py"):
                (project.root / name).read_text(encoding="utf-8")
            (project.root / "out.txt").write_text("1", encoding="utf-8")
            (project.root / "out.txt").read_text(encoding="utf-8")
        assert list(fingerprinter.opened()) == ["file data/x.txt", "file helper.py"]
        label, digest = next(iter(fingerprinter.opened().items()))
        assert fingerprinter.content_of(label) == digest
        project.write(**{"data/x.txt": "2"})
        assert fingerprinter.sources_changed() == ["file data/x.txt"]
        assert project.fingerprinter().content_of(label) != digest

    def test_a_folder_that_a_run_listed(self, project):
        """A new file in it changes what is found there."""
        project.write(**{"plugins/a.py": "x = 1\n"})
        fingerprinter = project.fingerprinter()
        files = fingerprinter.heard = OpenedFiles()
        with files.recording():
            list((project.root / "plugins").iterdir())
        found = fingerprinter.opened()
        assert list(found) == ["names in plugins"]
        project.write(**{"plugins/b.py": ""})
        assert project.fingerprinter().content_of("names in plugins") != found["names in plugins"]

    def test_every_run_of_a_session_is_stored_with_all_that_it_read(self, project):
        """What was measured for the first run's record is no part of the key, so the second run's names it too."""
        project.write(**{"data/x.txt": "1"})
        fingerprinter = project.fingerprinter()
        fingerprinter.key(PLAIN, Budget())
        files = fingerprinter.heard = OpenedFiles()
        with files.recording():
            for path in (project.root / "data").iterdir():
                path.read_text(encoding="utf-8")
        first = fingerprinter.opened()
        assert list(first) == ["file data/x.txt", "names in data"]
        assert fingerprinter.opened() == first

    def test_a_file_that_is_gone(self, project):
        """Its content is `absent`, which no digest equals."""
        assert project.fingerprinter().content_of("file gone.txt") == "absent"


def test_sources_are_parsed_once_a_session(monkeypatch):
    """However many arms there are; and once more after the first run, as long as their bytes stay the same."""
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda source: parsed.append(source) or parse(source))
    fingerprinter = Fingerprinter(Settings(root=ROOT), OpenedFiles())
    for flags in ((), ("--rope",), ("--qk_norm",)):
        fingerprinter.key(Variant(flags), Budget())
    sources = len(set(parsed))
    assert sources > 1
    assert len(parsed) == sources
    for _ in range(3):
        assert fingerprinter.sources_changed() == []
    assert len(parsed) == 2 * sources


def test_settings_that_change_nothing_do_not_count(project):
    """Rule, mode, reports and thresholds judge runs; they do not make them."""
    judged = dataclasses.replace(project.fingerprinter().settings, rule="tested", mode="frozen", min_effect=1.0)
    assert Fingerprinter(judged).key(PLAIN, Budget()) == project.key()
