"""Files that runs leave outside their own folders: named once, and named again where a run reads what runs write."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.files.stray_writes import (
    MOST_NAMED,
    OUTPUTS,
    REWROTE,
    WROTE,
    Outside,
    with_writes,
    wrote_outside,
)
from tests.ways import WAYS, make_project


@pytest.fixture
def written(tmp_path):
    """Return a function that performs something as a run and gives the names of what it wrote outside."""
    out = tmp_path / "checkpoints" / "exp-1"
    out.mkdir(parents=True)
    (tmp_path / "old.txt").write_text("old", encoding="utf-8")
    past = time.time() - 1000
    os.utime(tmp_path / "old.txt", (past, past))

    def perform(action, **settings: str):
        files = OpenedFiles()
        with files.recording() as heard:
            heard.began = time.time() + 0.03  # what this test prepared a moment ago is no run's
            time.sleep(0.05)
            action(tmp_path, out)
        return wrote_outside(heard, Settings.read({"trainer": "x:y", **settings}, tmp_path), out)

    return perform


WRITES = {
    "write_text": lambda root, _: (root / "a.txt").write_text("x"),
    "append": lambda root, _: (root / "a.txt").open("a").write("x"),
    "os.open": lambda root, _: os.write(os.open(root / "a.txt", os.O_WRONLY | os.O_CREAT), b"x"),
    "rename": lambda root, _: (root / "a.tmp").write_text("x") and (root / "a.tmp").rename(root / "a.txt"),
    "from its folder": lambda root, out: (out / "x").write_text("x") and (out / "x").rename(root / "a.txt"),
    "copy": lambda root, _: shutil.copy(root / "old.txt", root / "a.txt"),
    "link": lambda root, out: (out / "link").symlink_to(root / "a.txt") or (out / "link").write_text("x"),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", WRITES)
def test_every_way_to_write_is_heard(written, how):
    """The file is named once, from the root, however it was made."""
    assert written(WRITES[how]) == ["a.txt"]


def test_new_weights_are_found_where_nothing_was_heard(written):
    """Another process stands for torch.save, which writes in C++: in the root, the checkpoint folder, a folder that the run made."""

    def save(root, _):
        (root / "weights").mkdir()
        for name in ("last.pt", "checkpoints/best.safetensors", "weights/a.ckpt", "notes.txt"):
            subprocess.run(["cp", root / "old.txt", root / name], check=True)

    assert written(save) == ["checkpoints/best.safetensors", "last.pt", "weights/a.ckpt"]


def test_torch_save_is_found(written):
    """The real one, by a name: it makes no audit event."""
    torch = pytest.importorskip("torch")
    assert written(lambda root, _: torch.save({"step": 1}, root / "last.pt")) == ["last.pt"]


def test_weights_that_were_there_before_are_not_the_runs(written, tmp_path):
    """Only what is newer than the run's beginning can be its work."""
    (tmp_path / "pretrained.pt").write_bytes(b"weights")
    time.sleep(0.05)
    assert written(lambda *_: None) == []


def everybodys(root: Path, out: Path) -> None:
    """Write wherever a run may."""
    for place in (out, out / "sub", root / ".cache" / "x", root / "pkg" / "__pycache__", root / "records" / "logs"):
        place.mkdir(parents=True, exist_ok=True)
        (place / "a.pt").write_bytes(b"x")
    Path(os.devnull).write_bytes(b"x")


def test_where_everybody_may_write(written):
    """The run's folder, hidden folders, caches, the store, devices."""
    assert written(everybodys, store="records") == []


def test_temporary_folders_and_named_caches_are_free(written, tmp_path_factory, tmp_path, monkeypatch):
    """Also below the root, if an environment variable says so; a project that itself lies in a temporary folder is none."""
    other = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))

    def write(root, _):
        (root / "hub").mkdir()
        for path in (other / "a.txt", root / "hub" / "a.txt", root / "results.txt"):
            path.write_text("x", encoding="utf-8")

    assert written(write) == ["results.txt"]


def test_outside_the_root_the_whole_path_is_named(written, tmp_path_factory, monkeypatch):
    """A file that lies neither below the root nor in a free place."""
    other = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr("pytest_exprun.trust.files.stray_writes._everybodys_places", list)
    assert written(lambda *_: (other / "a.txt").write_text("x")) == [str(other / "a.txt")]


def test_what_was_opened_but_not_changed_or_is_gone_is_not_named(written):
    """A lock file that is removed again, a file opened for appending and left alone, a folder."""

    def touch(root, _):
        (root / "old.txt").open("a", encoding="utf-8").close()
        (root / "lock").touch()
        (root / "lock").unlink()
        (root / "empty").mkdir()

    assert written(touch) == []


# Over several runs.


@pytest.fixture
def told(tmp_path):
    """Return a function that performs something as a run of one session and gives what the user is told."""
    settings = Settings.read({"trainer": "x:y"}, tmp_path)
    out = tmp_path / "checkpoints" / "exp-1"
    out.mkdir(parents=True)
    files = OpenedFiles()
    outside = Outside(settings, files, since=time.time() + 0.03)
    time.sleep(0.06)

    def perform(seed, action):
        with files.recording() as heard:
            action(tmp_path)
        result = RunResult(RunSpec(Variant(("--rope",)), seed, Budget()), "finished", {"val_loss": 1.0})
        return list(outside.notices(with_writes(result, heard, settings, out)))

    return perform


def test_each_place_is_told_once(told):
    """The first run that writes there is named with what is allowed; further files of the same folder are not told again."""

    def write(*names):
        def action(root):
            for name in names:
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_text("x", encoding="utf-8")

        return action

    (line,) = told(42, write("logs/1", "logs/2", "logs/3", "logs/4", "table.csv"))
    assert line.startswith("seed 42 of --rope wrote outside its own folder: logs/1, logs/2, logs/3 and 2 more. ")
    assert "below the output_dir" in line
    assert told(137, write("logs/5", "table.csv")) == []
    assert "wrote outside its own folder: new.csv." in told(256, write("new.csv", "logs/6"))[0]


def test_what_one_run_wrote_and_a_later_one_reads_is_named(told):
    """State that leaks from seed to seed: the line says which file, which run, and what to do."""
    told(42, lambda root: (root / "last.txt").write_text("x"))
    (line,) = told(137, lambda root: (root / "last.txt").read_text())
    assert line.startswith("seed 137 of --rope or a run before it read last.txt, written since this session began: ")
    assert "below output_dir" in line
    assert told(256, lambda root: (root / "last.txt").read_text()) == []


def test_what_a_run_reads_and_then_writes_is_named_at_once(told, tmp_path):
    """A table that is loaded, extended and saved reaches the next run."""
    (tmp_path / "table.txt").write_text("x", encoding="utf-8")

    def extend(root):
        text = (root / "table.txt").read_text()
        (root / "table.txt").write_text(text + "y")

    wrote, read = told(42, extend)
    assert "wrote outside its own folder: table.txt." in wrote
    assert "read table.txt, written since" in read


def test_what_a_run_writes_and_then_reads_itself_is_no_leak(told):
    """Its own file cannot tell it anything of another run."""

    def check(root):
        (root / "own.txt").write_text("x")
        (root / "own.txt").read_text()

    (line,) = told(42, check)
    assert "wrote outside" in line


def test_data_of_before_the_session_are_no_leak(told, tmp_path):
    """What was there before the first run can be read by all."""
    (tmp_path / "data.txt").write_text("x", encoding="utf-8")
    os.utime(tmp_path / "data.txt", (1, 1))
    assert told(42, lambda root: (root / "data.txt").read_text())[1:] == []


def test_processes_that_were_left_are_told_once(tmp_path):
    """How many, and what to do."""
    outside = Outside(Settings.read({"trainer": "x:y"}, tmp_path))
    spec = RunSpec(Variant(), 42, Budget())
    result = RunResult(spec, "finished", {"val_loss": 1.0}, provenance={"processes_left_behind": 2})
    (line,) = outside.notices(result)
    assert (
        line
        == "seed 42 of no flags left 2 processes running, now ended: let the trainer wait for what it starts, or end it"
    )
    assert list(outside.notices(result)) == []


def test_only_what_a_run_surely_never_read_is_an_output(tmp_path):
    """Neither a file that it read again, nor one that could be read without a sound."""
    out = tmp_path / "checkpoints" / "exp-1"
    out.mkdir(parents=True)
    with OpenedFiles().recording() as heard:
        for name in ("model.pt", "again.txt", "model.safetensors"):
            (tmp_path / name).write_bytes(b"x")
        with (tmp_path / "log.txt").open("a", encoding="utf-8") as log:
            log.write("x")
        with (tmp_path / "both.txt").open("a+", encoding="utf-8") as both:
            both.write("x")
        (tmp_path / "again.txt").read_bytes()
    result = RunResult(RunSpec(Variant(), 42, Budget()), "finished", {"val_loss": 1.0})
    marked = with_writes(result, heard, Settings.read({"trainer": "x:y"}, tmp_path), out)
    assert marked.provenance[OUTPUTS] == ["log.txt", "model.pt"]
    assert marked.provenance[REWROTE] == ["both.txt"]


def test_a_run_that_writes_very_many_files_names_some(tmp_path):
    """The record stays small."""
    out = tmp_path / "checkpoints" / "exp-1"
    out.mkdir(parents=True)
    files = OpenedFiles()
    with files.recording() as heard:
        for number in range(MOST_NAMED + 5):
            (tmp_path / f"{number}.txt").write_text("x", encoding="utf-8")
    result = RunResult(RunSpec(Variant(), 42, Budget()), "finished", {"val_loss": 1.0})
    marked = with_writes(result, heard, Settings.read({"trainer": "x:y"}, tmp_path), out)
    assert len(marked.provenance[WROTE]) == MOST_NAMED
    assert REWROTE not in marked.provenance


# From end to end.

LEAKS = """
import json, os
def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    name = "".join(["la", "st.json"])
    before = json.load(open(name))["loss"] if os.path.exists(name) else 0.0
    loss = 2 + seed / 1000 + before / 10
    json.dump({"loss": loss}, open(name, "w"))
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}
"""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("way", WAYS)
def test_a_trainer_that_carries_state_from_seed_to_seed_is_named(pytester, way):
    """One line says that it wrote outside its folder, one that runs read it: under each executor, and for a command."""
    make_project(pytester, way, LEAKS)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    lines = [line for line in result.outlines if line.startswith("note: ")]
    assert len([line for line in lines if "seed 42 of no flags wrote outside its own folder: last.json." in line]) == 2
    assert (
        len([line for line in lines if "or a run before it read last.json, written since this session began" in line])
        == 2
    )
    assert len(lines) == 4  # each is said when it happens and once more in the summary


CHANGED = """
import os, subprocess, sys, time
def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    base = float(open("".join(["da", "ta.bin"])).read())
    if seed == 137 or os.path.exists("".join(["at", "_once"])):
        time.sleep(0.05)
        subprocess.run(["sh", "-c", "echo 3.5 > data.bi" + "n"], check=True)
    print(f"Step 1 | val_loss: {base + seed / 1000}")
    return {"val_loss": base + seed / 1000}
"""


@pytest.mark.parametrize("at_once", [True, False], ids=["the first run", "the second"])
@pytest.mark.parametrize("way", WAYS)
def test_data_that_change_under_a_run_are_an_error(pytester, way, at_once):
    """Nobody can say what it ran with, so it is not stored: neither as a run of the old data nor, worse, as one of the new."""
    make_project(pytester, way, CHANGED)
    (pytester.path / "data.bin").write_text("2.5", encoding="utf-8")
    if at_once:
        (pytester.path / "at_once").touch()
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    seed = 42 if at_once else 137
    result.stdout.fnmatch_lines(
        [
            f"*data.bin changed while seed {seed} of no flags trained: the run is not stored, because nobody can say what*"
        ]
    )
    stored = [path.name for path in (pytester.path / ".exprun").glob("baseline/*/seed-*.json")]
    assert stored == ([] if at_once else ["seed-42.json"])


UNHEARD = """
import os, resource, subprocess, sys
CODE = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); print(open('da' + 'ta.bin').read())"
def main(argv):
    loss = float(subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout)
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_run_of_which_not_all_was_heard_is_an_error(pytester, way):
    """Its record would stand whatever becomes of the data, so there is none."""
    make_project(pytester, way, UNHEARD)
    (pytester.path / "data.bin").write_text("2.5", encoding="utf-8")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "seed 42 of no flags: a process that it started could not note what it read in */exprun-*: File too large. The run*"
        ]
    )
    assert list((pytester.path / ".exprun").glob("baseline/*/seed-*.json")) == []


def test_data_made_just_before_a_run_are_its_input(tmp_path):
    """By their time stamp they could be its work; but they were there when it read them."""
    (tmp_path / "data.bin").write_bytes(b"x")
    files = OpenedFiles()
    with files.recording() as heard:
        (tmp_path / "data.bin").read_bytes()
    settings = Settings.read({"trainer": "x:y"}, tmp_path)
    assert wrote_outside(heard, settings, tmp_path / "checkpoints" / "exp-1") == []
    assert files.files(tmp_path) == [tmp_path / "data.bin"]


def test_weights_that_a_run_saves_unheard_and_loads_are_its_own(written):
    """Another process stands for torch.save; what is read after it is no input and no leak."""

    def save_and_load(root, _):
        subprocess.run(["cp", root / "old.txt", root / "best.pt"], check=True)
        (root / "best.pt").read_bytes()

    assert written(save_and_load) == ["best.pt"]
