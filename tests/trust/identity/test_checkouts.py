"""Code of another checkout is never trained in place of the code that is here: real layouts, and what must not be taken for one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_exprun.trust.identity.checkouts import Checkout
from tests.desk import TRAINER, WORDS, Desk, commit, git, package, write

PYTHON_M = f"exprun_command = python -m mypkg.train {WORDS}"
PYTHON_SCRIPT = f"exprun_command = python scripts/train.py {WORDS}"
SHELL = f"exprun_command = bash run.sh {WORDS}"


@pytest.fixture
def desk(pytester, monkeypatch, tmp_path):
    """Return an empty desk."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return Desk(pytester, monkeypatch, tmp_path)


# What must not be trained: each layout and the line that its error gives.


def pth(desk: Desk) -> None:
    """An editable install of the first checkout, by a .pth file."""
    package(desk.first / "src")
    desk.worktree()
    desk.install(desk.first / "src")
    desk.edit()


def finder(desk: Desk) -> None:
    """An editable install of the first checkout by a finder, as setuptools writes it."""
    package(desk.first / "src")
    desk.worktree()
    finder_of(desk, "mypkg", desk.first / "src" / "mypkg")
    desk.edit()


def finder_of(desk: Desk, name: str, folder: Path) -> None:
    """Install what setuptools writes for a package that lies where its name does not say."""
    editable = pytest.importorskip("setuptools.command.editable_wheel")
    module = f"__editable___{desk.place.name}_finder"  # what was imported once is not imported again
    write(desk.installed / f"{module}.py", editable._finder_template(module, {name: str(folder)}, {}))
    write(desk.installed / f"__editable__.{name}.pth", f"import {module}; {module}.install()\n")
    desk.use()


def import_path(desk: Desk) -> None:
    """PYTHONPATH, or anything else that puts a folder first."""
    package(desk.first / "src")
    desk.worktree()
    desk.put_first(desk.first / "src")
    desk.edit()


def egg_link(desk: Desk) -> None:
    """`setup.py develop`, or conda develop."""
    package(desk.first / "src")
    desk.worktree()
    write(desk.installed / "mypkg.egg-link", f"{desk.first / 'src'}\n../")
    write(desk.installed / "easy-install.pth", f"{desk.first / 'src'}\n")
    desk.use()
    desk.edit()


def clones(desk: Desk) -> None:
    """Two clones of one repository, the package in a folder of its own kind."""
    package(desk.place / "bare" / "python")
    commit(desk.place / "bare")
    for name in ("first", "second"):
        git(desk.place, "clone", "-q", "bare", name)
    desk.install(desk.first / "python")
    desk.edit("python/mypkg")


def copy(desk: Desk) -> None:
    """A copy without git."""
    package(desk.first / "src")
    shutil.copytree(desk.first, desk.root)
    desk.install(desk.first / "src")
    desk.edit()


def copy_for_pytest(desk: Desk) -> None:
    """A copy without git in a folder of its own kind, of which pytest is told by `pythonpath` and the command is not."""
    package(desk.first / "lib")
    shutil.copytree(desk.first, desk.root)
    desk.install(desk.first / "lib")
    desk.edit("lib/mypkg")
    desk.put_first(desk.root / "lib")


def linked(desk: Desk) -> None:
    """An install that names the first checkout through a link."""
    package(desk.first / "python")
    desk.worktree()
    (desk.place / "link").symlink_to(desk.first / "python")
    desk.install(desk.place / "link")
    desk.edit("python/mypkg")


def namespace(desk: Desk) -> None:
    """A package inside a namespace."""
    package(desk.first / "src", "acme.mypkg")
    desk.worktree()
    desk.install(desk.first / "src")
    desk.edit("src/acme/mypkg")


def nested(desk: Desk) -> None:
    """Several packages, each in a source folder of its own, and the trainer in the root."""
    package(desk.first / "packages" / "core" / "src")
    write(desk.first / "start.py", "from mypkg.train import main\n")
    desk.worktree()
    desk.install(desk.first / "packages" / "core" / "src")
    desk.edit("packages/core/src/mypkg")


def below(desk: Desk) -> None:
    """The root is the main checkout; what is installed is a worktree in a folder of it."""
    package(desk.root / "src")
    commit(desk.root)
    git(desk.root, "worktree", "add", "-q", ".worktrees/idea")
    desk.install(desk.root / ".worktrees" / "idea" / "src")
    desk.edit()


def beside(desk: Desk) -> None:
    """The root is a folder of the second checkout, the package lies in another."""
    package(desk.first / "libs")
    write(desk.first / "app" / "start.py", "from mypkg.train import main\n")
    desk.worktree()
    desk.install(desk.first / "libs")
    desk.edit("libs/mypkg")
    desk.root = desk.root / "app"


def flat(desk: Desk) -> None:
    """A package in the root and a script in a folder: `python -m pytest` sees the root, the script does not."""
    package(desk.first)
    write(desk.first / "scripts" / "train.py", "from mypkg.train import main\nmain()\n")
    desk.worktree()
    desk.install(desk.first)
    desk.edit("mypkg")
    desk.put_first(desk.root)


def script(desk: Desk) -> None:
    """A script outside the package, started directly or by a shell."""
    package(desk.first / "src")
    write(desk.first / "scripts" / "train.py", "from mypkg.train import main\nmain()\n")
    write(desk.first / "run.sh", 'exec python scripts/train.py "$@"\n')
    desk.worktree()
    desk.install(desk.first / "src")
    desk.edit()


def shell_module(desk: Desk) -> None:
    """A shell script that runs a module, with pytest told where it is and the command not."""
    package(desk.first / "src")
    write(desk.first / "run.sh", 'set -e\npython -u -m mypkg.train "$@"\n')
    desk.worktree()
    desk.install(desk.first / "src")
    desk.edit()
    desk.put_first(desk.root / "src")


def program(desk: Desk) -> None:
    """An installed program: the working directory, which has the package, is not where its Python looks."""
    package(desk.first)
    desk.worktree()
    write(desk.installed / "mypkg-0.dist-info" / "entry_points.txt", "[console_scripts]\ntrain-it = mypkg.train:main\n")
    desk.install(desk.first)
    desk.edit("mypkg")


IN_ROOT = "exprun_trainer = start:main"
LAYOUTS: dict[str, tuple[Callable[[Desk], None], str, str]] = {
    "pth": (pth, TRAINER, "pythonpath = src"),
    "finder": (finder, TRAINER, "pythonpath = src"),
    "import path": (import_path, TRAINER, "pythonpath = src"),
    "egg-link": (egg_link, TRAINER, "pythonpath = src"),
    "clones": (clones, TRAINER, "pythonpath = python"),
    "copy": (copy, TRAINER, "pythonpath = src"),
    "copy, and pytest knows": (copy_for_pytest, PYTHON_M, "exprun_env = PYTHONPATH=lib"),
    "linked": (linked, TRAINER, "pythonpath = python"),
    "namespace": (namespace, "exprun_trainer = acme.mypkg.train:main", "pythonpath = src"),
    "nested": (nested, IN_ROOT, "pythonpath = packages/core/src"),
    "worktree below the root": (below, TRAINER, "pythonpath = src"),
    "beside the root": (beside, IN_ROOT, "pythonpath = ../libs"),
    "python -m": (pth, PYTHON_M, "exprun_env = PYTHONPATH=src"),
    "python -m by a finder": (finder, PYTHON_M, "exprun_env = PYTHONPATH=src"),
    "script": (script, PYTHON_SCRIPT, "exprun_env = PYTHONPATH=src"),
    "flat": (flat, PYTHON_SCRIPT, "exprun_env = PYTHONPATH=."),
    "other folder": (pth, f"exprun_cwd = src/mypkg\n{PYTHON_M}", "exprun_env = PYTHONPATH=.."),
    "shell script": (script, SHELL, "exprun_env = PYTHONPATH=src"),
    "shell module": (shell_module, SHELL, "exprun_env = PYTHONPATH=src"),
    "program": (program, f"exprun_command = train-it {WORDS}", "exprun_env = PYTHONPATH=."),
}
BOTH_PLACES = r"imports [\w.]+ from (.+), not (.+): .* Add to the ini file: (.*)"


@pytest.mark.parametrize("name", LAYOUTS)
def test_code_of_another_checkout_gets_no_key(desk, name):
    """So nothing is trained or judged: one line names both places, and with the line that it gives the key is of the code that is here."""
    lay_out, ini, line = LAYOUTS[name]
    lay_out(desk)
    message = desk.refusal(ini)
    there, here, given = re.search(BOTH_PLACES, message).groups()
    assert "\n" not in message
    assert given == line
    assert (Path(there) / "model.py").read_text() == "LOSS = 1.0\n"
    assert (Path(here) / "model.py").read_text() == "LOSS = 2.0\n"
    key, _, value = line.partition(" = ")
    if key == "pythonpath":
        desk.put_first(desk.root / value)
    else:
        ini += f"\n{line}"
    assert {path.read_text() for path in desk.sources(ini) if path.name == "model.py"} == {"LOSS = 2.0\n"}


@pytest.mark.parametrize(
    ("name", "variables"),
    [("pth", {}), ("import path", {"PYTHONPATH": "../first/src"}), ("python -m", {}), ("flat", {})],
)
def test_a_session_trains_nothing_and_with_the_line_the_code_that_is_here(desk, name, variables):
    """From end to end, in a virtual environment where the first checkout is installed, or PYTHONPATH names it."""
    lay_out, ini, line = LAYOUTS[name]
    lay_out(desk)
    desk.declare(ini)
    status, output = desk.fresh_session(**variables)
    assert (status, desk.trained) == (1, set()), output
    assert re.search(BOTH_PLACES, output)[3] == line
    assert "1 error" in output
    assert "Traceback" not in output
    desk.add(line)
    status, output = desk.fresh_session(**variables)
    assert status == 0, output
    assert {path.read_text() for path in desk.trained} == {"LOSS = 2.0\n"}


@pytest.mark.parametrize(("mode", "status"), [("plan", 4), ("frozen", 1)])
def test_modes_that_train_nothing_say_it_too(desk, mode, status):
    """A plan is a usage error, a frozen session the error of its test; neither shows a traceback."""
    pth(desk)
    desk.declare(TRAINER)
    result = desk.session(f"--exprun-mode={mode}")
    assert result.ret == status
    shown = result.stdout.str() + result.stderr.str()
    assert re.search(BOTH_PLACES, shown)
    assert "Traceback" not in shown


def test_several_packages_are_one_line(desk):
    """Each folder that is needed is in it, so that nobody is told one after the other; other variables are named, without their values."""
    package(desk.first / "src")
    package(desk.first / "lib", "other")
    write(desk.first / "start.py", "import mypkg.model, other.model\ndef main(argv): ...\n")
    desk.worktree()
    write(desk.installed / "both.pth", f"{desk.first / 'src'}\n{desk.first / 'lib'}\n")
    desk.use()
    words = desk.refusal(IN_ROOT).partition("pythonpath = ")[2].split()
    assert sorted(words) == ["lib", "src"]
    message = desk.refusal(f"exprun_env = TOKEN=hunter2 PYTHONPATH=more\nexprun_command = python start.py {WORDS}")
    assert re.search(r"exprun_env = PYTHONPATH=(src:lib|lib:src):more, beside TOKEN there$", message)


def test_git_is_not_started(desk):
    """Its files are read; a session in which all is well reads a few of them and no more."""
    pth(desk)
    desk.patch.setattr(subprocess, "Popen", None)
    assert "pythonpath = src" in desk.refusal()


# Where no line of the ini file would help.


def test_a_package_that_only_the_other_checkout_has(desk):
    """It was removed here, or is not there yet."""
    pth(desk)
    write(desk.root / "start.py", "from mypkg.train import main\n")
    shutil.rmtree(desk.root / "src")
    message = desk.refusal(IN_ROOT)
    assert (
        f"imports mypkg from {desk.first}/src/mypkg, in another checkout of the repository of {desk.root}: " in message
    )
    assert message.endswith("Install this checkout (pip install -e), or take the import out")


def test_a_package_that_is_called_otherwise_than_its_folder(desk):
    """No folder on the import path makes it found: the install must be of this checkout."""
    package(desk.first / "lib")
    desk.worktree()
    (desk.first / "lib" / "mypkg").rename(desk.first / "lib" / "core")
    (desk.root / "lib" / "mypkg").rename(desk.root / "lib" / "core")
    finder_of(desk, "mypkg", desk.first / "lib" / "core")
    message = desk.refusal()
    assert f"from {desk.first}/lib/core, not {desk.root}/lib/core: " in message
    assert "Install this checkout" in message


@pytest.mark.parametrize(
    ("ini", "runs"),
    [
        (
            f"exprun_command = python ../first/scripts/train.py {WORDS}",
            "runs {first}/scripts/train.py, not {root}/scripts/train.py: ",
        ),
        (f"exprun_cwd = ../first\n{PYTHON_SCRIPT}", "runs {first}/scripts/train.py, not {root}/scripts/train.py: "),
        (f"exprun_cwd = ../first/src\n{PYTHON_M}", "imports mypkg from {first}/src/mypkg, not {root}/src/mypkg: "),
    ],
)
def test_a_command_that_leads_to_another_checkout(desk, ini, runs):
    """By its script or its working directory, which come before PYTHONPATH."""
    script(desk)
    message = desk.refusal(ini)
    assert runs.format(first=desk.first, root=desk.root) in message
    assert message.endswith("Correct exprun_command or exprun_cwd")


# What is no other checkout.


def mono(desk: Desk) -> Path:
    """A root that is a folder of its checkout, the package elsewhere in it."""
    package(desk.root / "libs")
    commit(desk.root)
    desk.install(desk.root / "libs")
    desk.root = desk.root / "app"
    return desk.place / "second" / "libs"


def dependency(desk: Desk) -> Path:
    """An editable install of another repository, and both were cloned from the same host."""
    package(desk.place / "other" / "src")
    write(desk.root / "README")
    for name in ("other", "second"):
        commit(desk.place / name)
        git(desk.place / name, "remote", "add", "origin", f"https://example.org/me/{name}.git")
    desk.install(desk.place / "other" / "src")
    return desk.place / "other" / "src"


def dependency_inside(desk: Desk) -> Path:
    """The clone of a dependency that lies in the first checkout, and belongs to neither."""
    write(desk.first / "README")
    desk.worktree()
    package(desk.first / "third_party" / "dep")
    commit(desk.first / "third_party" / "dep")
    desk.install(desk.first / "third_party" / "dep")
    return desk.first / "third_party" / "dep"


def linked_root(desk: Desk) -> Path:
    """A root that is reached through a link, with its package installed by its real path."""
    package(desk.root / "src")
    commit(desk.root)
    desk.install(desk.root / "src")
    (desk.place / "link").symlink_to(desk.root)
    desk.root = desk.place / "link"
    return desk.place / "second" / "src"


def linked_install(desk: Desk) -> Path:
    """An install that names this checkout through a link."""
    package(desk.root / "src")
    commit(desk.root)
    (desk.place / "link").symlink_to(desk.root)
    desk.install(desk.place / "link" / "src")
    return desk.place / "link" / "src"


def linked_package(desk: Desk) -> Path:
    """A link below the root to a package of the first checkout: whoever made it knows."""
    package(desk.first / "src")
    desk.worktree()
    shutil.rmtree(desk.root / "src")
    desk.root.joinpath("src").symlink_to(desk.first / "src")
    desk.put_first(desk.root / "src")
    return desk.root / "src"


def submodule(desk: Desk) -> Path:
    """A submodule below the root, of the root's own repository even."""
    package(desk.place / "origin" / "src")
    commit(desk.place / "origin")
    git(desk.place, "clone", "-q", "origin", "second")
    git(desk.root, "rm", "-qr", "src")
    git(desk.root, "submodule", "add", "-q", str(desk.place / "origin"), "before")
    desk.install(desk.root / "before" / "src")
    return desk.root / "before" / "src"


def submodule_beside(desk: Desk) -> Path:
    """A root that is a folder of its checkout, beside a submodule of it."""
    where = submodule(desk)
    desk.root = desk.root / "app"
    return where


def clone_by_name(desk: Desk) -> Path:
    """A clone below the root that is imported by its place there, as a reference to compare with."""
    package(desk.root)
    commit(desk.root)
    git(desk.root, "clone", "-q", ".", "before")
    write(desk.root / "start.py", "from before.mypkg import model\n")
    return desk.root / "before"


def no_git(desk: Desk) -> Path:
    """Sources that belong to no repository, of which the root has no copy."""
    package(desk.place / "notes")
    write(desk.root / "README")
    commit(desk.root)
    desk.install(desk.place / "notes")
    return desk.place / "notes"


def source_is_a_package(desk: Desk) -> Path:
    """`src` is imported as a package, so its folder is none of the import path and has no copy of another `mypkg`."""
    where = no_git(desk)
    package(desk.root / "src")
    write(desk.root / "src" / "start.py", "from mypkg.train import main\n")
    return where


@pytest.mark.parametrize(
    ("lay_out", "ini"),
    [
        (mono, TRAINER),
        (dependency, TRAINER),
        (dependency, PYTHON_M),
        (dependency_inside, TRAINER),
        (linked_root, TRAINER),
        (linked_root, PYTHON_M),
        (linked_install, TRAINER),
        (linked_package, TRAINER),
        (submodule, TRAINER),
        (submodule_beside, TRAINER),
        (clone_by_name, IN_ROOT),
        (no_git, TRAINER),
        (source_is_a_package, "exprun_trainer = src.start:main"),
    ],
)
def test_what_is_no_other_checkout_is_trained(desk, lay_out, ini):
    """The key covers the package where it was found."""
    where = lay_out(desk)
    desk.root.mkdir(exist_ok=True)
    assert where / "mypkg" / "model.py" in desk.sources(ini)


def test_a_helper_beside_the_script_is_the_scripts(desk):
    """Even if the root has one of the same name: Python looks into the script's folder first, and nothing else was meant."""
    for folder in ("app", "job"):
        write(desk.root / folder / "helper.py")
    write(desk.root / "job" / "train.py", "import helper\n")
    desk.root = desk.root / "app"
    assert desk.root.parent / "job" / "helper.py" in desk.sources(
        f"exprun_cwd = ../job\nexprun_command = python train.py {WORDS}"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://github.com/me/lab.git", "git@github.com:me/lab", True),
        ("https://token@github.com/me/lab/", "ssh://git@GitHub.com:22/me/lab.git", True),
        ("https://github.com/me/lab", "https://github.com/you/lab", False),
        ("https://github.com/me/lab", "https://gitlab.com/me/lab", False),
        ("{place}/three", "file://{place}/three/.git", True),
        ("{place}/three", "https://github.com/from/three", True),
        ("{place}/two", "{place}/three", True),
        ("", "", False),
    ],
)
def test_clones_are_known_by_where_they_come_from(desk, one, other, same):
    """However the address is spelled, also through a third clone on this machine; a clone of this very one is the same repository."""
    addresses = {"one": one, "two": other, "three": "https://github.com/from/three"}
    for name, address in addresses.items():
        (desk.place / name).mkdir()
        git(desk.place / name, "init", "-q")
        if address:
            git(desk.place / name, "remote", "add", "origin", address.format(place=desk.place))
    first, second = (Checkout.around(desk.place / name) for name in ("one", "two"))
    assert first.is_same_repository(second) is second.is_same_repository(first) is same
