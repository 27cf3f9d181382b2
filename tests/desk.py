"""A desk with two checkouts of one project, the second one worked in, for the tests of code that is not the code here."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import Budget, Variant
from pytest_exprun.trust.identity.fingerprint import Fingerprinter
from tests.conftest import INI

TRAIN = """
import argparse, random
from pathlib import Path
from {package} import model

def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_tokens", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--output_dir")
    parser.add_argument("--rope", action="store_true")
    args = parser.parse_args(argv)
    Path(".traces").mkdir(exist_ok=True)
    with open(".traces/runs", "a") as log:
        log.write(model.__file__ + "\\n")
    loss = model.LOSS + random.Random(args.seed).gauss(0, 0.01) - args.rope
    print("val_loss:", loss)
    return {{"val_loss": loss}}

if __name__ == "__main__":
    main()
"""
WORDS = "--train_tokens={train_tokens} --seed={seed} --output_dir={output_dir} {flags}"
TRAINER = "exprun_trainer = mypkg.train:main"
PTH = "exprun_elsewhere"


def git(folder: Path, *words: str) -> None:
    """Run git as somebody, whatever this machine's configuration says."""
    settings = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


def write(path: Path, text: str = "") -> None:
    """Write a file into a new or an old folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def package(source: Path, name: str = "mypkg", loss: float = 1.0) -> None:
    """Write a package with a trainer; one inside a namespace has a dot in its name."""
    folder = source.joinpath(*name.split("."))
    write(folder / "__init__.py")
    write(folder / "model.py", f"LOSS = {loss}\n")
    write(folder / "train.py", TRAIN.format(package=name))


def commit(top: Path) -> None:
    """Make a repository of a folder."""
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-qm", "first")


@dataclass
class Desk:
    """Two checkouts, the second one worked in, and a Python in whose environment something is installed."""

    pytester: pytest.Pytester
    patch: pytest.MonkeyPatch
    place: Path

    def __post_init__(self) -> None:
        self.first, self.root, self.installed = self.place / "first", self.place / "second", self.place / "installed"
        self.installed.mkdir()

    # What is there.

    def worktree(self) -> None:
        """Make the second checkout a worktree of the first."""
        commit(self.first)
        git(self.first, "worktree", "add", "-q", str(self.root))

    def install(self, source: Path) -> None:
        """Let a .pth file name a folder, as most editable installs do."""
        write(self.installed / f"{PTH}.pth", f"{source}\n")
        self.use()

    def use(self) -> None:
        """Let this process find what is installed, as the start of Python would."""
        self.patch.setattr(sys, "path", list(sys.path))
        self.patch.setattr(sys, "meta_path", list(sys.meta_path))
        site.addsitedir(str(self.installed))

    def put_first(self, folder: Path) -> None:
        """Put a folder first on the import path, as pytest does with its `pythonpath`."""
        self.patch.setattr(sys, "path", [str(folder), *sys.path])

    def virtual_environment(self) -> Path:
        """Return a Python that has what is installed, and what this one has."""
        base = Path(sys.executable).resolve()
        python = self.place / "venv" / "bin" / "python"
        library = self.place / "venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        shutil.copytree(self.installed, library, dirs_exist_ok=True)
        if not python.exists():
            python.parent.mkdir()
            python.symlink_to(base)
            write(self.place / "venv" / "pyvenv.cfg", f"home = {base.parent}\ninclude-system-site-packages = false\n")
            folders = [entry for entry in sys.path if "-packages" in entry]
            write(library / "own.pth", "".join(f"import site; site.addsitedir({each!r})\n" for each in folders))
        return python

    def edit(self, source: str = "src/mypkg") -> None:
        """Change the code of the second checkout: what must be trained."""
        write(self.root / source / "model.py", "LOSS = 2.0\n")

    # What is done.

    def sources(self, ini: str = TRAINER, root: Path | None = None) -> set[Path]:
        """Return the sources that a key covers."""
        if "exprun_command" in ini:
            self.patch.setattr(sys, "executable", str(self.virtual_environment()))
        words = dict(line.removeprefix("exprun_").split(" = ", 1) for line in ini.splitlines())
        fingerprinter = Fingerprinter(Settings.read(words, root or self.root))
        fingerprinter.key(Variant(), Budget())
        return {Path(os.path.normpath(path)) for path in fingerprinter._closure.files}

    def refusal(self, ini: str = TRAINER) -> str:
        """Return the error in place of a key."""
        with pytest.raises(TrainerError) as error:
            self.sources(ini)
        return str(error.value)

    def declare(self, ini: str) -> None:
        """Write one experiment and the configuration."""
        write(self.root / "pytest.ini", INI.replace("exprun_trainer = toy:main", ini))
        write(
            self.root / "experiments" / "test_rope.py",
            'from pytest_exprun import experiment\n\n@experiment("--rope")\ndef test_rope(): ...\n',
        )

    def add(self, line: str) -> None:
        """Add a line to the configuration."""
        with (self.root / "pytest.ini").open("a", encoding="utf-8") as ini:
            ini.write(line + "\n")

    def session(self, *options: str) -> pytest.RunResult:
        """Run the experiment in the second checkout."""
        self.patch.chdir(self.root)
        return self.pytester.runpytest_inprocess("experiments", *options)

    def fresh_session(self, **variables: str) -> tuple[int, str]:
        """Run it in a virtual environment of its own; return the exit status and the output."""
        done = subprocess.run(
            [self.virtual_environment(), "-m", "pytest", "experiments"],
            cwd=self.root,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def trained(self) -> set[Path]:
        """The model files that were trained so far."""
        log = self.root / ".traces" / "runs"
        return {Path(line).resolve() for line in log.read_text().splitlines()} if log.exists() else set()
