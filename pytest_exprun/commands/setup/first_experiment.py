"""The first experiment by a flag: which one, and its file."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_exprun.running.options.script_options import Option, Script

_NOT_ORDINARY = re.compile(
    r"seed|token|step|iter|epoch|second|time|budget|dir|path|output|device|worker|log|batch|val|eval|port|rank"
)
_RATE = re.compile(r"(^|_)lr(_|$)")


def first_flag(script: Script) -> str:
    """Return a flag worth a first experiment."""
    rates = [script.called("rate"), *(each for name, each in script.settable.items() if _RATE.search(name))]
    if rate := next((each for each in rates if each and _is_positive(each.default)), None):
        return f"--{rate.name}={2 * rate.default:g}"
    if number := next((each for name, each in script.settable.items() if _is_ordinary(name, each)), None):
        return f"--{number.name}={2 * number.default or 0.1:g}"
    return next((f"--{each.name}" for each in script.settable.values() if each.is_switch), "--your_flag")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_ordinary(name: str, option: Option) -> bool:
    """Whether an option is a fraction that may change what is learned, not how long, where or how it is shown."""
    return isinstance(option.default, float) and not _NOT_ORDINARY.search(name)


def write_test(path: Path, flag: str) -> list[str]:
    """Write the first experiment; return a note if there is one already."""
    if path.exists():
        return [f"{path} was there already and is left as it is"]
    path.parent.mkdir(exist_ok=True)
    question = f"What do you expect of {flag}, and why? Write it here before the run: the report quotes it."
    path.write_text(
        f'"""{question}"""\n\nfrom pytest_exprun import experiment\n\n\n'
        f'@experiment("{flag}")\ndef {path.stem}(comparison):\n    assert comparison.not_loser\n',
        encoding="utf-8",
    )
    return []
