"""Does a program use the seed that each run is given? What its sources say against it, in phrases for the one who has to fix them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pytest_exprun.running.options.script_options import read_script
from pytest_exprun.running.options.seedings import Sources
from pytest_exprun.settings.settings import Settings
from pytest_exprun.settings.templates import options_set, placeholders

UNREAD = "no source reads "
"""How the doubt begins that leaves no other explanation of two equal runs."""


def doubts(settings: Settings, files: Iterable[Path], main: Path | None) -> list[str]:
    """Return why the runs of all seeds may be one run: a call that seeds by a number, and a seed that nobody reads.

    Args:
        settings: how the seed is told.
        files: the first-party sources.
        main: the one that is run.
    """
    script = read_script(main) if main is not None else None
    variables = script.variables if script is not None else ()
    sources = Sources.read([each for each in files if each.suffix == ".py"], variables=variables)
    if not sources.trees:
        return []
    unread = [how for name, how in _told_by(settings) if not sources.reads(name)]
    fixed = [each for each in sources.seedings() if each.fixed and each.is_global and not each.makes_data]
    found = [f"{_shown(each.path, settings)}, line {each.line}: {each.text} has a fixed seed" for each in fixed]
    # An option that is declared elsewhere may be read there too.
    sure = (
        not settings.command
        or (script is not None and script.complete)
        or not any("{seed}" in words for words in options_set(settings.command).values())
    )
    return found + (
        [UNREAD + " or ".join(unread)] if unread and sure and len(unread) == len(_told_by(settings)) else []
    )


def _told_by(settings: Settings) -> list[tuple[str, str]]:
    """Return under which names a run is told its seed, and how that is said."""
    if not settings.command:
        return [("seed", "the seed")]
    options = [
        (name, words.partition("=")[0].split()[0])
        for name, words in options_set(settings.command).items()
        if "{seed}" in words
    ]
    variables = [word.partition("=")[0] for word in settings.env if "seed" in placeholders(word)]
    return options + [(name, f"the variable {name} (exprun_env)") for name in variables]


def _shown(path: Path, settings: Settings) -> str:
    return os.path.relpath(path, settings.root) if path.is_relative_to(settings.root) else str(path)
