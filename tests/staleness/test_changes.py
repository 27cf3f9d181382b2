"""Changes that no single file of the key shows, each once found to let stale runs stand: after each, no stored run stands."""

from __future__ import annotations

import os
import sys

import pytest

from tests.ways import WAYS

HEAD = """
import functools, os, pydoc, sys
from pathlib import Path
"""
TAIL = """
def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    loss = base() + seed / 1000
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}

if __name__ != "train":  # the usual guard would make every function count: it names a module to look things up in
    main(["--seed", sys.argv[1]])
"""
ZOO = "def small():\n    return 1.0\n\ndef unused():\n    return 1\n"


def set_variable(_, monkeypatch):
    """Set an environment variable that was not there."""
    monkeypatch.setenv("EXPRUN_TEST_BASE", "3.0")


def edit_zoo(root, _):
    """Change a function that the sources never mention by name."""
    (root / "zoo.py").write_text(ZOO.replace("1.0", "3.0"), encoding="utf-8")


def retarget(root, _):
    """Let a link to a folder point to another one."""
    (root / "data" / "train").unlink()
    (root / "data" / "train").symlink_to("../storage/v2")


def put(name):
    """Return a change that writes a file."""
    return lambda root, _: (root / name).write_text("3.0", encoding="utf-8")


# What `base` is, the ini lines besides, and the change.
CASES = {
    "a helper asks for the variable": (
        "env = lambda name, default: type(default)(os.environ.get(name, default))\ndef base(): return env('EXPRUN_TEST_BASE', 1.0)",
        "",
        set_variable,
    ),
    "a constant names the variable": (
        "NAME = 'EXPRUN_TEST_BASE'\ndef base(): return float(os.environ.get(NAME, 1))",
        "",
        set_variable,
    ),
    "the variable is only looked for": (
        "def base(): return 3.0 if 'EXPRUN_TEST_BASE' in os.environ else 1.0",
        "",
        set_variable,
    ),
    "pydoc finds the function": (
        "import zoo\ndef base(): return pydoc.locate(Path('name').read_text())()",
        "",
        edit_zoo,
    ),
    "reduce finds the function": (
        "import zoo\ndef base(): return functools.reduce(getattr, Path('name').read_text().split('.')[1:], zoo)()",
        "",
        edit_zoo,
    ),
    "a link in a declared folder": (
        "def base(): return float(Path('data', 'tra' + 'in', 'x.txt').read_text())",
        "exprun_inputs = data",
        retarget,
    ),
    "a hidden file in a declared folder": (
        "def base(): return float(Path('data', '.ba' + 'se').read_text())",
        "exprun_inputs = data",
        put("data/.base"),
    ),
    "a pretrained model in the checkpoint folder": (
        "def base(): return float(Path('check' + 'points', 'pre' + 'trained', 'x.txt').read_text())",
        "",
        put("checkpoints/pretrained/x.txt"),
    ),
}


def make(root, base, ini=""):
    """Write the project."""
    for folder, value in (("v1", "1.0"), ("v2", "3.0")):
        (root / "storage" / folder).mkdir(parents=True)
        (root / "storage" / folder / "x.txt").write_text(value, encoding="utf-8")
    (root / "data").mkdir()
    (root / "data" / "train").symlink_to("../storage/v1")
    (root / "data" / ".base").write_text("1.0", encoding="utf-8")
    (root / "checkpoints" / "pretrained").mkdir(parents=True)
    (root / "checkpoints" / "pretrained" / "x.txt").write_text("1.0", encoding="utf-8")
    (root / "name").write_text("zoo.small", encoding="utf-8")
    (root / "zoo.py").write_text(ZOO, encoding="utf-8")
    (root / "train.py").write_text(HEAD + base + TAIL, encoding="utf-8")
    (root / "pytest.ini").write_text(f"[pytest]\n{ini}\nexprun_plots = off\n", encoding="utf-8")
    (root / "test_it.py").write_text("def test_it(baseline): ...\n", encoding="utf-8")


def first(pytester, *args):
    """Run the first session of a project: nobody has yet heard anything of it, in this process neither."""
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *args)


def fresh(pytester):
    """Run a session in a process of its own: one that trains again, where modules are in memory."""
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")


def frozen(pytester, *args):
    """Run a session that trains nothing."""
    return first(pytester, "--exprun-mode=frozen", *args)


def assert_stale(pytester):
    """Nothing stored stands for a run of now."""
    stale = frozen(pytester)
    stale.assert_outcomes(errors=1)
    stale.stdout.fnmatch_lines(["*seed 42, 137, 256, 512, 1024 of no flags*"])


@pytest.mark.parametrize("way", ["inprocess", "command"])
@pytest.mark.parametrize("case", CASES)
def test_no_stored_run_stands_after(pytester, monkeypatch, case, way):
    """Before the change all do."""
    base, ini, change = CASES[case]
    make(pytester.path, base, f"{WAYS[way]}\n{ini}")
    first(pytester).assert_outcomes(passed=1)
    frozen(pytester).assert_outcomes(passed=1)
    change(pytester.path, monkeypatch)
    assert_stale(pytester)


def test_a_project_behind_a_link(pytester, monkeypatch):
    """What it opens is told by the link's name and by the folder's."""
    real = pytester.mkdir("real")
    make(
        real,
        "def base(): return float((Path(__file__).parent / 'data' / '.ba' + 'se').read_text())".replace(
            "/ '.ba' + 'se'", "/ ('.ba' + 'se')"
        ),
        WAYS["inprocess"],
    )
    (pytester.path / "link").symlink_to("real")
    monkeypatch.chdir(pytester.path / "link")
    where = ("--rootdir", str(pytester.path / "link"), str(pytester.path / "link"))
    first(pytester, *where).assert_outcomes(passed=1)
    (real / "data" / ".base").write_text("3.0", encoding="utf-8")
    frozen(pytester, *where).assert_outcomes(errors=1)


def test_a_variable_of_a_shell_script(pytester, monkeypatch):
    """The script hands it on to the training."""
    make(
        pytester.path,
        "def base(): return float(sys.argv[2])",
        "exprun_command = ./train.sh {seed} {output_dir} {flags}\nexprun_budget = 2 steps",
    )
    script = pytester.path / "train.sh"
    script.write_text(f"#!/bin/sh\n{sys.executable} train.py $1 ${{EXPRUN_TEST_BASE:-1.0}}\n", encoding="utf-8")
    script.chmod(0o755)
    first(pytester).assert_outcomes(passed=1)
    monkeypatch.setenv("EXPRUN_TEST_BASE", "3.0")
    assert_stale(pytester)


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_within_the_same_second(pytester, way):
    """A compiled file of the same second and size is not what is run, wherever that is: the proof by one seed fails."""
    make(pytester.path, "import zoo\ndef base(): return zoo.small()", WAYS[way])
    moment = 1_700_000_000
    os.utime(pytester.path / "zoo.py", (moment, moment))
    fresh(pytester).assert_outcomes(passed=1)
    edit_zoo(pytester.path, None)
    os.utime(pytester.path / "zoo.py", (moment, moment))
    fresh(pytester).stdout.fnmatch_lines(["*the change matters*"])


def test_what_the_new_code_reads_counts_though_the_old_did_not(pytester):
    """Runs that one seed has proved stand only while the files are the same that this seed read."""
    make(pytester.path, "def base(): return 1.0", WAYS["inprocess"])
    first(pytester).assert_outcomes(passed=1)
    source = pytester.path / "train.py"
    moved = source.read_text().replace("return 1.0", "return float(Path('data', '.ba' + 'se').read_text())")
    source.write_text(moved, encoding="utf-8")
    proved = fresh(pytester)
    proved.stdout.fnmatch_lines(["*is the same to the last bit, so the other stored seeds stand*"])
    frozen(pytester).assert_outcomes(passed=1)
    (pytester.path / "data" / ".base").write_text("3.0", encoding="utf-8")
    assert_stale(pytester)
