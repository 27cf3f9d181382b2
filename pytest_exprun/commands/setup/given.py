"""The command by which somebody trains already: its script, the words behind it, and what they and its config files set."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_exprun.running.options.script_options import Option, Script, assignments, read_script
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.trust.identity.sources import parse

_NO_SCRIPTS = re.compile(r"(test_.*|.*_test|conftest|setup|__init__|noxfile)\.py")


@dataclass
class Given:
    """A command, as far as it is known.

    Attributes:
        script: the file that trains, from the current folder.
        before: the words before it, `python` where nothing was said.
        after: the words behind it.
        said: the options that they and the config files among them set.
        files: these config files.
    """

    script: Path
    before: list[str] = field(default_factory=lambda: ["python"])
    after: list[str] = field(default_factory=list)
    said: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path, words: Sequence[str]) -> Given:
        """Find the script: the one that is named, else the one of the folder that trains.

        Raises:
            SettingsError: there is none, or more than one.
        """
        if not words:
            return cls(_likeliest(folder))
        words = [
            re.sub(r"^ (?=-\.?\d)", "", word) for word in words
        ]  # the blank that kept a number from being an option
        at = next((at for at, word in enumerate(words) if word.endswith(".py") and (folder / word).is_file()), None)
        if at is None:
            name = next((word for word in words if word.endswith(".py")), " ".join(words))
            raise SettingsError(f"there is no script {name} in {folder}")
        return cls(
            Path(os.path.relpath(folder / words[at], folder)), list(words[:at]) or ["python"], [*words[at + 1 :]]
        )

    def settle(self, script: Script) -> None:
        """Let what the command and its config files set be the defaults of the script's options."""
        for name, value, words in _parts(self.after, script):
            if name is not None:
                self._set(script, name, value)
            elif words[0].endswith(".py") and Path(words[0]).is_file():
                self.files.append(Path(words[0]))
                tree = parse(self.files[-1].read_bytes())
                for option in assignments(tree.body) if tree else ():
                    self._set(script, option.name, option.default)

    def _set(self, script: Script, name: str, value: object) -> None:
        if not (isinstance(value, str) and "{" in value):
            self.said.add(name)
            script.options[name] = replace(script.options.get(name, Option(name)), default=value)

    def without(self, names: Collection[str], script: Script) -> list[str]:
        """Return the words behind the script but for these options."""
        return [word for name, _, words in _parts(self.after, script) if name not in names for word in words]


def _parts(words: Sequence[str], script: Script) -> Iterator[tuple[str | None, object, list[str]]]:
    """Return each option with its value and its words; a word of its own has no name."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            yield None, None, [word]
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        name, option = name.replace("-", "_"), script.options.get(name.replace("-", "_"))
        if not equals and rest and not rest[0].startswith("--") and not (option and option.is_switch):
            value = rest.pop(0)
            yield name, _value(value), [word, value]
        else:
            yield name, _value(value) if equals else True, [word]


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _likeliest(folder: Path) -> Path:
    scripts = {
        path: script
        for path in sorted(folder.glob("*.py"))
        if not _NO_SCRIPTS.fullmatch(path.name) and (script := read_script(path))
    }
    named = [path for path in scripts if path.stem.startswith(("train", "pretrain", "finetune"))]
    likely = named or [
        path
        for path, script in scripts.items()
        if script.called("seed") or script.functions or "seed(" in script.text or "backward()" in script.text
    ]
    likely = likely or list(scripts)
    if len(likely) != 1:
        found = ", ".join(path.name for path in likely or scripts) or "none"
        raise SettingsError(
            f"which script trains? {folder} has: {found}. Name it, as in `exprun init train.py`, or give the command that you "
            "train with, as in `exprun init -- python train.py --device=cpu`"
        )
    return Path(likely[0].name)
