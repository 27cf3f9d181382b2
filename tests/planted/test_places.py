"""Where a project, its repository and its store may lie, and what else goes on there: the words are the same everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import desk
from tests.planted.commits import IGNORED, toy
from tests.shell import shell
from tests.states import Checkout, sampled

INI = "[pytest]\nexprun_trainer = toy:main\nexprun_tokens = 20000\nexprun_plots = off\n"


def planted(root: Path, below: str = "", **more: str) -> Checkout:
    """Return the toy project, its root perhaps a folder of its repository, with a branch that is better."""
    root.mkdir(parents=True)
    lab = Checkout(root)
    files = {f"{below}{name}": text for name, text in {**toy(), "pytest.ini": INI, **more}.items()}
    lab.commit("first", **{**files, ".gitignore": IGNORED})
    lab.branch("idea", **{f"{below}toy.py": files[f"{below}toy.py"].replace("2.6", "2.5")})
    return lab


def tried(root: Path, *argv: str, **variables: str):
    """Try in a folder; return the exit status, the words by name, and all that was said."""
    environment = dict(os.environ)
    os.environ.update(variables)
    try:
        process = shell("try", *(argv or ("idea",)), "--json", cwd=root)
    finally:
        os.environ.clear()
        os.environ.update(environment)
    out, err = process.communicate(timeout=300)
    told = json.loads(out)
    return process.returncode, {each["name"]: each["verdict"] for each in told.get("comparisons", ())}, out + err


def worktree(lab: Checkout) -> Path:
    """Make a worktree of git."""
    lab.git("worktree", "add", "--quiet", "--detach", "../worktree", "main")
    return lab.root.parent / "worktree"


def of_a_bare_one(lab: Checkout) -> Path:
    """Make a worktree of a bare clone."""
    lab.git("clone", "--quiet", "--bare", ".", "../bare")
    lab.git("worktree", "add", "--quiet", "../of bare", "main", cwd=lab.root.parent / "bare")
    return lab.root.parent / "of bare"


def linked(lab: Checkout) -> Path:
    """Go there by a link."""
    (lab.root.parent / "link").symlink_to(lab.root)
    return lab.root.parent / "link"


def detached(lab: Checkout) -> Path:
    """Have no branch."""
    lab.git("checkout", "--quiet", "--detach")
    return lab.root


def sparse(lab: Checkout) -> Path:
    """Have a part of the files."""
    lab.commit("far", **{"far/away.txt": "x"})
    lab.git("sparse-checkout", "set", "--cone", "data")
    return lab.root


def shallow(lab: Checkout) -> Path:
    """Have a history of one commit, a branch that grew from it, and no more."""
    url = f"file://{lab.root}"
    lab.git("clone", "--quiet", "--depth=2", "--branch=idea", "--no-single-branch", url, "../shallow")
    lab.git("checkout", "--quiet", "-b", "main", "origin/main", cwd=lab.root.parent / "shallow")
    return lab.root.parent / "shallow"


def within_another(lab: Checkout) -> Path:
    """Lie below another repository, which has it as a submodule."""
    outer = lab.root.parent / "outer"
    outer.mkdir()
    around = Checkout(outer)
    around.commit("outer", **{"pytest.ini": INI})
    around.git("submodule", "--quiet", "add", str(lab.root), "part")
    around.git("branch", "--quiet", "idea", "origin/idea", cwd=outer / "part")
    return outer / "part"


def plain(lab: Checkout) -> Path:
    """Change nothing."""
    return lab.root


PLACES = (plain, worktree, of_a_bare_one, linked, detached, sparse, shallow, within_another)


@pytest.mark.parametrize("place", sampled(worktree, *(place for place in PLACES if place is not worktree)))
def test_wherever_the_root_is(tmp_path, place):
    """It has blanks and umlauts in its name; the branch is better there, and the working tree as it is."""
    root = place(planted(tmp_path / "Übung mit Blanks"))
    status, words, said = tried(root, "idea", ".")
    assert (status, words) == (0, {"idea": "WINNER"}), said
    assert "no file differs" in said


@pytest.mark.parametrize(
    "variables",
    sampled(
        {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere"},
        {"GIT_LITERAL_PATHSPECS": "1"},
        {"GIT_EXTERNAL_DIFF": "false"},
        {"PWD": "/"},
    ),
    ids=" ".join,
)
def test_whatever_the_environment_says_of_git(tmp_path, variables):
    """As in a hook, or in somebody's profile."""
    status, words, said = tried(planted(tmp_path / "lab").root, **variables)
    assert (status, words) == (0, {"idea": "WINNER"}), said


@pytest.mark.parametrize("store", sampled("/dev/shm/exprun-{}", "../store", "kept/runs", "link/store"))  # noqa: S108  # another file system
def test_wherever_the_store_is(tmp_path, store):
    """Outside the repository, on another file system, or in a folder that git does not ignore; the second session trains nothing."""
    lab = planted(tmp_path / "lab")
    (lab.root / "link").symlink_to(tmp_path)
    lab.commit("a link")
    lab.git("branch", "--force", "idea", lab.branch("better", **{"toy.py": toy()["toy.py"].replace("2.6", "2.5")}))
    place = store.format(os.getpid())
    try:
        for runs in (8, 0):
            status, words, said = tried(lab.root, "idea", ".", f"--store={place}")
            assert (status, words) == (0, {"idea": "WINNER"}), said
            assert said.count(" val_loss 2.") == runs
            assert "no file differs" in said
        assert not [line for line in lab.git("status", "--porcelain").splitlines() if "kept" not in line]
    finally:
        if place.startswith("/dev/"):
            shutil.rmtree(place, ignore_errors=True)


def test_a_root_below_the_top(tmp_path):
    """Files beside it belong to the state and are there."""
    lab = planted(tmp_path / "lab", "lab/", **{"../shared.txt": "1"})
    status, words, said = tried(lab.root / "lab", "idea")
    assert (status, words) == (0, {"idea": "WINNER"}), said


@pytest.mark.parametrize(
    "options", sampled("-n 2", "-n 1 --dist=loadfile", "-x --strict-markers --import-mode=importlib", "--co")
)
def test_options_of_the_ini_file(tmp_path, options):
    """Of xdist and of pytest, a conftest with fixtures, paths of tests; a session that is not to run says nothing good."""
    conftest = "import pytest\n\n@pytest.fixture(autouse=True)\ndef _each(request):\n    assert request.function\n"
    ini = f"{INI}testpaths = tests\naddopts = {options}\n"
    lab = planted(
        tmp_path / "lab", **{"conftest.py": conftest, "tests/test_x.py": "def test_x(): ...\n", "pytest.ini": ini}
    )
    status, words, said = tried(lab.root)
    assert (status, words) == ((2, {}) if options == "--co" else (0, {"idea": "WINNER"})), said


def test_two_at_once(tmp_path):
    """Of the same states and of others: each seed is trained once, and all end with their words."""
    lab = planted(tmp_path / "lab")
    lab.branch("worse", **{"toy.py": toy()["toy.py"].replace("2.6", "2.7")})
    started = [shell("try", name, "--json", cwd=lab.root) for name in ("idea", "idea", "worse", ".")]
    told = [(process, *process.communicate(timeout=300)) for process in started]
    assert [process.returncode for process, *_ in told] == [0, 0, 1, 0], told
    logs = lab.root.glob(".exprun/trees/*/.traces/runs")
    # Five, three, and one of the worse, which is stopped there.
    assert sum(len(log.read_text(encoding="utf-8").splitlines()) for log in logs) == 9


def test_a_branch_that_moves_meanwhile(tmp_path):
    """States are pinned when the session begins, and what moved is the next one's."""
    lab = planted(tmp_path / "lab")
    hook = "import subprocess\n\ndef pytest_exprun_run_finished(run):\n"
    lab.write(**{"conftest.py": hook + "    subprocess.run(['git', 'branch', '-qf', 'idea', 'main'], check=True)\n"})
    tip = lab.git("rev-parse", "idea")
    status, words, said = tried(lab.root)
    assert (status, words) == (0, {"idea": "WINNER"}), said
    assert tip in said
    assert "no file differs" in tried(lab.root)[2]


@pytest.mark.parametrize("kind", sampled("finder", "pth"))
@pytest.mark.slow
def test_an_editable_install_of_the_checkout(tmp_path, kind):
    """Its folders come after the tree's, whether a path or a hook of setuptools leads there; for a function and for a command."""
    root = tmp_path / "lab"
    root.mkdir()
    lab = Checkout(root)
    desk.package(root / "src", loss=2.0)
    lab.commit(
        "first", **{".gitignore": IGNORED, "pytest.ini": "[pytest]\nexprun_plots = off\nexprun_tokens = 20000\n"}
    )
    lab.branch("idea", **{"src/mypkg/model.py": "LOSS = 1.0\n"})
    installed = tmp_path / "installed"
    if kind == "pth":
        desk.write(installed / "lab.pth", f"{root / 'src'}\n")
    else:
        desk.write(installed / "lab.pth", "import lab_finder; lab_finder.install()\n")
        desk.write(installed / "lab_finder.py", FINDER.replace("SOURCE", str(root / "src" / "mypkg")))
    start = f"import site; site.addsitedir({str(installed)!r})"
    python = f"{start}; import sys; from pytest_exprun.cli import main; sys.exit(main())"
    desk.write(tmp_path / "start" / "sitecustomize.py", start + "\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "start"), os.environ.get("PYTHONPATH", "")])
    }
    command = "python -m mypkg.train --train_tokens={train_tokens} --seed={seed} --output_dir={output_dir} {flags}"
    for trainer in (["--trainer=mypkg.train:main"], ["--trainer=", f"--command={command}"]):
        done = subprocess.run(
            [sys.executable, "-c", python, "try", "idea", "--json", *trainer],
            cwd=root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["comparisons"][0]["verdict"] == "WINNER"
    used = {Path(line) for log in root.glob(".exprun/trees/*/.traces/runs") for line in log.read_text().splitlines()}
    assert used
    assert all(path.is_relative_to(root / ".exprun" / "trees") for path in used)


FINDER = """
import importlib.util, sys

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "mypkg":
            return importlib.util.spec_from_file_location(name, "SOURCE/__init__.py", submodule_search_locations=["SOURCE"])

def install():
    sys.meta_path.append(Finder)
"""

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1\n"


class TestFilters:
    """Files that git changes on their way in and out."""

    @pytest.fixture
    def lab(self, tmp_path):
        """Return a project whose data are kept elsewhere by a filter, as git-lfs does."""
        lab = planted(tmp_path / "lab")
        lab.commit(
            "pointers",
            **{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "data/set.bin": LFS.format("1" * 64)},
        )
        reader = (
            "from pathlib import Path\nassert Path('data/set.bin').read_text().strip() == 'the data'\n"
            + toy()["toy.py"]
        )
        lab.branch("reads", **{"toy.py": reader.replace("2.6", "2.5")})
        return lab

    def test_with_the_filter(self, lab):
        """The tree has the data."""
        lab.git("config", "filter.lfs.smudge", "echo the data #")
        lab.git("config", "filter.lfs.clean", "cat")
        assert tried(lab.root, "reads")[:2] == (0, {"reads": "WINNER"})

    def test_without_it(self, lab):
        """One line says that there are only pointers."""
        status, words, said = tried(lab.root, "reads")
        assert (status, words) == (2, {})
        assert "AssertionError" in said

    def test_with_one_that_is_not_installed(self, lab):
        """One line with git's own words."""
        lab.git("config", "filter.lfs.smudge", "no-such-git-lfs smudge")
        lab.git("config", "filter.lfs.required", "true")
        status, words, said = tried(lab.root, "reads")
        assert (status, words) == (2, {})
        assert "smudge filter lfs failed" in said

    def test_windows_line_endings(self, lab):
        """They are a checkout's, on both sides."""
        lab.git("config", "core.autocrlf", "true")
        for path in lab.root.glob("*.py"):
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        status, words, said = tried(lab.root, "idea", ".")
        assert (status, words) == (0, {"idea": "WINNER"}), said
        assert "no file differs" in said

    def test_names_that_differ_by_case(self, lab):
        """Both are there."""
        lab.branch("cases", **{"Evaluation.py": "x = 1\n", "toy.py": "import Evaluation\n" + toy()["toy.py"]})
        lab.git("config", "core.ignorecase", "true")
        assert tried(lab.root, "cases")[:2] == (0, {"cases": "NEUTRAL"})


def no_repository(lab):
    """Have none."""
    shutil.rmtree(lab.root / ".git")


def no_commit(lab):
    """Have none yet."""
    shutil.rmtree(lab.root / ".git")
    lab.git("init", "--quiet")


def owner(lab):
    """Have somebody else's repository."""


def blind(lab):
    """Have an executor that knows nothing of trees."""
    lab.write(**{"own.py": "class Own:\n    rejects = run = print\n"})


@pytest.mark.parametrize(
    ("happens", "argv", "variables", "said"),
    [
        (
            no_repository,
            ["."],
            {},
            "is in no git repository, and a state of the code to compare with has to come from one: git init",
        ),
        (no_commit, ["."], {}, "has no commit yet, so there is nothing to compare with: commit once"),
        (owner, ["."], {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}, "dubious ownership"),
        (plain, ["nosuch"], {}, "'nosuch' is no commit of"),
        (plain, ["idea"], {"PATH": "/nowhere"}, "git is not installed"),
        (blind, ["idea", "--executor=own:Own"], {}, "exprun_executor = 'own:Own' trains the files of the session"),
    ],
)
def test_what_is_refused(tmp_path, happens, argv, variables, said):
    """One line, before anything is trained."""
    lab = planted(tmp_path / "lab")
    happens(lab)
    status, words, told = tried(lab.root, *argv, **variables)
    assert (status, words) == (2, {})
    assert said in told
    assert not list(lab.root.glob(".exprun/trees/*/.traces"))
