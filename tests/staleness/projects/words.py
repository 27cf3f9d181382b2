"""In which words a project and its edits are told: files, what is set up besides, and what is done to them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# The end of every trainer that defines `train(seed)`: as a function and as a script.
MAIN = """

def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    loss = float(train(seed))
    print(f"Step 1 | val_loss: {loss!r}")
    return {"val_loss": loss}


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
"""


@dataclass(frozen=True)
class Site:
    """Where a project lies, and the environment variables that its user has set."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Return a path by its name from the root directory; `../elsewhere` lies outside."""
        return self.root / name

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file, its folders included."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


Act = Callable[[Site], object]
Rewrite = Callable[[str], str]


@dataclass(frozen=True)
class Edit:
    """Something that is done to a project.

    Attributes:
        by_nature: nothing tells of it: named in docs/trust.md, and expected to go unnoticed.
    """

    what: str
    act: Act
    by_nature: bool = False


@dataclass(frozen=True)
class Project:
    """A trainer with what belongs to it.

    Attributes:
        entry: the file that defines `main`; MAIN is appended where it defines `train`.
        path: folders that modules are imported from, as pytest's `pythonpath` has them.
        module: the name of the trainer's module, if it is not the entry's stem.
        args: arguments of every run.
        setup: what no text can hold: links, databases, libraries.
        imported: modules that tests of the session's process have imported before.
    """

    name: str
    files: Mapping[str, str | bytes]
    changes: Sequence[Edit]
    entry: str = "train.py"
    path: Sequence[str] = ()
    module: str = ""
    args: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    setup: Act | None = None
    imported: Sequence[str] = ()

    def build(self, site: Site) -> None:
        """Write the project."""
        for name, content in self.files.items():
            site.write(name, content)
        text = site.path(self.entry).read_text(encoding="utf-8")
        if "def main(" not in text:
            site.write(self.entry, text + MAIN)
        if self.setup:
            self.setup(site)

    @property
    def words(self) -> list[str]:
        """What a Python is told to run it as a script."""
        return [*(["-m", self.module] if self.module else [self.entry]), *self.args]

    @property
    def trainer(self) -> str:
        """`module:function`."""
        return f"{self.module or Path(self.entry).stem}:main"


def replace(name: str, old: str, new: str) -> Act:
    """Replace a text once."""

    def act(site: Site) -> None:
        text = site.path(name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        site.path(name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return act


def write(name: str, content: str | bytes) -> Act:
    """Write a file, there or not."""
    return lambda site: site.write(name, content)


def remove(name: str) -> Act:
    """Remove a file."""
    return lambda site: site.path(name).unlink()


def variable(name: str, value: str) -> Act:
    """Set an environment variable."""
    return lambda site: site.environ.update({name: value})


def link(name: str, target: str) -> Act:
    """Make a symbolic link, in the place of one that is there."""

    def act(site: Site) -> None:
        site.path(name).unlink(missing_ok=True)
        site.path(name).symlink_to(target)

    return act


def rename(name: str, new: str) -> Act:
    """Rename a file."""
    return lambda site: site.path(name).replace(site.path(new))


def in_turn(*acts: Act) -> Act:
    """Do several things."""

    def act(site: Site) -> None:
        for each in acts:
            each(site)

    return act


def rewritten(name: str, rewrite: Rewrite) -> Act:
    """Change a whole text."""
    return lambda site: site.path(name).write_text(rewrite(site.path(name).read_text("utf-8")), encoding="utf-8")


# Edits that change nothing, to the file with `main`.


def _swapped(old: str, new: str) -> Rewrite:
    def rewrite(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return rewrite


def _renamed(text: str) -> str:
    """Rename a local variable of `main`."""
    before, main, after = text.partition("def main(")
    return before + main + re.sub(r"\bloss\b", "final", after)


def _main_first(text: str) -> str:
    """Move `main` in front of the function before it."""
    tree = ast.parse(text)
    functions = [number for number, node in enumerate(tree.body) if isinstance(node, ast.FunctionDef)]
    first, second = functions[-2:]
    tree.body[first], tree.body[second] = tree.body[second], tree.body[first]
    return ast.unparse(tree) + "\n"


REWRITES: dict[str, Rewrite] = {
    "a comment": _swapped("def main(argv):\n", "def main(argv):\n    # Called by the tests.\n"),
    "a renamed local": _renamed,
    "blank lines": _swapped("\n\n", "\n\n\n\n"),
    "type hints": _swapped("def main(argv):", "def main(argv: list[str]) -> dict[str, float]:"),
    "formatted anew": lambda text: ast.unparse(ast.parse(text)) + "\n",
    "a docstring": _swapped("def main(argv):\n", 'def main(argv):\n    """Train once."""\n'),
    "a comment at the end": lambda text: text + "# end\n",
    "a moved function": _main_first,
    "trailing blanks": _swapped("\n    seed = ", "   \n    seed = "),
    "an unused function": lambda text: text + "\n\ndef unused():\n    return 1\n",
    "a shebang": lambda text: "#!/usr/bin/env python3\n" + text,
    "an unused import": lambda text: "import textwrap\n" + text,
    "a longer name of a step": _swapped("float(train(seed))", "float(train(int(seed)))"),
    "more output": _swapped("    loss = ", '    print("begins")\n    loss = '),
    "an assertion": _swapped("    loss = ", "    assert seed >= 0\n    loss = "),
    "another quote": _swapped('"val_loss"', "'val_loss'"),
}
OTHER_FILES: dict[str, Act] = {
    "README": write("README.md", "# A project\n\nWith more words.\n"),
    "a new test": write("tests/test_new.py", "def test_new():\n    assert True\n"),
    ".gitignore": write(".gitignore", "*.log\n"),
    "an unrelated module": write("scratch.py", "print('scratch')\n"),
    "a note at the root": write("notes.txt", "buy milk\n"),
    "a workflow": write(".github/workflows/ci.yml", "on: push\n"),
    "a figure": write("figures/loss.svg", "<svg/>"),
}
