"""Pythons that a run starts tell what they ask for, however they are started, and see nothing of it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.files.started_python import HOOK_NAME


def read(name):
    """Read a file, in a process of its own."""
    return Path(name).read_text(encoding="utf-8")


def spawned(method):
    """Return a way to read in a process that multiprocessing starts."""

    def start(root):
        process = multiprocessing.get_context(method).Process(target=read, args=(str(root / "a.txt"),))
        process.start()
        process.join()

    return start


REPLACE = """
import os, subprocess, sys
os.environ["PYTHONPATH"] = "src"
del os.environ["EXPRUN_ROOT"]
subprocess.run([sys.executable, "-c", "open('a.txt').read()"])
"""
WAYS = {
    "subprocess": lambda root: subprocess.run([sys.executable, "-c", "open('a.txt').read()"], cwd=root, check=True),
    "a shell": lambda root: subprocess.run(  # noqa: S602  # what trainers write
        f"cd {root} && {sys.executable} -c \"open('a.txt').read()\"", shell=True, check=True
    ),
    "os.system": lambda root: os.system(f"cd {root} && {sys.executable} -c \"open('a.txt').read()\""),  # noqa: S605
    "a path of its own": lambda root: subprocess.run(
        [sys.executable, "-c", "open('a.txt').read()"], cwd=root, env={**os.environ, "PYTHONPATH": "src"}, check=True
    ),
    "variables from nothing": lambda root: subprocess.run(
        [sys.executable, "-c", "import os; open('a.txt').read(); assert 'HOME' not in os.environ"],
        cwd=root,
        env={"A": "1"},
        check=True,
    ),
    "no variables": lambda root: subprocess.run(
        [sys.executable, "-c", "open('a.txt').read()"], cwd=root, env={}, check=True
    ),
    "a path that the process replaces": lambda root: subprocess.run(
        [sys.executable, "-c", REPLACE], cwd=root, check=True
    ),
    "a grandchild": lambda root: subprocess.run(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"a.txt\").read()'])",
        ],
        cwd=root,
        check=True,
    ),
    "spawn": spawned("spawn"),
    "forkserver": spawned("forkserver"),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_heard(tmp_path, way):
    """A file that it reads; and what it was given is gone afterwards."""
    (tmp_path / "a.txt").write_text("1", encoding="utf-8")
    before = dict(os.environ)
    files = OpenedFiles()
    with files.recording(tmp_path):
        WAYS[way](tmp_path)
    assert tmp_path / "a.txt" in files.files(tmp_path)
    assert dict(os.environ) == before


def python(code):
    """Return a way to run a text in a Python that is started."""
    return lambda root: subprocess.run([sys.executable, "-c", f"import os, resource\n{code}"], cwd=root, check=True)


def forked(code):
    """Return a way to run the same text in a forked process."""

    def run(root):
        if os.fork() == 0:
            with contextlib.suppress(BaseException):
                os.chdir(root)
                exec(code, {"os": os, "resource": resource})  # noqa: S102  # as the started one does
            os._exit(0)
        os.wait()

    return run


READ = "open('a.txt').read()\n"
CLOSE = "os.closerange(3, 256)\n"
REUSE = "files = [open(f'out{number}', 'w') for number in range(9)]\n"


@pytest.mark.parametrize(
    "program", [CLOSE + READ, CLOSE + REUSE + READ, READ + CLOSE + REUSE], ids=["none", "reused", "after"]
)
@pytest.mark.parametrize("way", [python, forked])
def test_a_program_may_close_every_descriptor(tmp_path, way, program):
    """As daemons do: what it reads is heard, and nothing of ours gets into a file that has the number now."""
    (tmp_path / "a.txt").write_text("1", encoding="utf-8")
    files = OpenedFiles()
    with files.recording(tmp_path) as heard:
        way(program)(tmp_path)
    assert tmp_path / "a.txt" in files.files(tmp_path)
    assert {path.read_bytes() for path in tmp_path.glob("out*")} <= {b""}
    assert not heard.lost


LOST = {
    "no file may grow": ("resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n" + READ, "File too large"),
    "no descriptor is left": (
        "last = os.open('a.txt', 0)\nresource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))\nos.path.exists('none')\n",
        "Too many open files",
    ),
    "no place for a note is left": ("os.remove(os.path.join(NOTES, 'notes'))\n" + READ, "No such file or directory"),
    "all is gone": ("import shutil\nshutil.rmtree(NOTES)\n" + READ, "unknown reason"),
}


@pytest.mark.parametrize("case", LOST)
@pytest.mark.parametrize("way", [python, forked])
def test_who_cannot_note_leaves_a_trace(tmp_path, way, case):
    """Whatever is used up, it is known that not all was heard; of later runs too, as what was read may stand in memory."""
    (tmp_path / "a.txt").write_text("1", encoding="utf-8")
    program, why = LOST[case]
    files = OpenedFiles()
    with files.recording(tmp_path) as heard:
        way(program.replace("NOTES", repr(files._folder.path)))(tmp_path)
    assert heard.lost.endswith(why)
    with files.recording(tmp_path) as later:
        pass
    assert later.lost == heard.lost


def test_a_python_that_cannot_listen_leaves_a_trace(tmp_path):
    """One that is too old, for instance."""
    files = OpenedFiles()
    with files.recording(tmp_path) as heard:
        hook = Path(files._folder.path) / f"{HOOK_NAME}.py"
        hook.write_text("Ears = code_of = None\n", encoding="utf-8")
        subprocess.run([sys.executable, "-c", ""], check=True)
    assert heard.lost.endswith("unknown reason")


def test_the_import_path_is_all_that_it_takes(tmp_path):
    """A program that is given few variables is heard all the same."""
    (tmp_path / "a.txt").write_text("1", encoding="utf-8")
    files = OpenedFiles()
    with files.recording(tmp_path):
        given = {"PYTHONPATH": os.environ["PYTHONPATH"]}
        words = [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {READ}"]
        os.waitpid(os.posix_spawn(words[0], words, given), 0)  # subprocess would add to them
    assert tmp_path / "a.txt" in files.files(tmp_path)


def test_variables_that_a_program_sets_itself_are_no_answers(tmp_path, monkeypatch):
    """A launcher gives each process its rank; what the session's environment gave counts."""
    monkeypatch.setenv("GIVEN", "1")
    code = "import os; os.environ.get('GIVEN'); os.environ.get('RANK_OF_MINE'); os.environ.get('NOT_THERE')"
    files = OpenedFiles()
    with files.recording(tmp_path):
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "RANK_OF_MINE": "3"}, check=True)
    assert {"GIVEN", "NOT_THERE"} <= set(files.variables())
    assert "RANK_OF_MINE" not in files.variables()


def test_no_compiled_file_of_the_project_is_run(tmp_path):
    """It passes for current after an edit of the same second and size."""
    (tmp_path / "mod.py").write_text("x = 1\n", encoding="utf-8")
    os.utime(tmp_path / "mod.py", (1_700_000_000, 1_700_000_000))
    files, outputs = OpenedFiles(), []
    for text in ("x = 1\n", "x = 2\n"):
        (tmp_path / "mod.py").write_text(text, encoding="utf-8")
        os.utime(tmp_path / "mod.py", (1_700_000_000, 1_700_000_000))
        with files.recording(tmp_path):
            command = [sys.executable, "-c", "import mod; print(mod.x)"]
            outputs.append(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout)
    assert outputs == ["1\n", "2\n"]
    assert files.sources(tmp_path) == [tmp_path / "mod.py"]
