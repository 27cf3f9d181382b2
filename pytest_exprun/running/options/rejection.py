"""Flags that cannot work, found before the first run: what only the plugin sets, however spelled, and what the trainer does not know."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from pytest_exprun.running.options.script_options import read_script
from pytest_exprun.terms.model import RESERVED, RunSpec, option_name, shortens


def short_for_reserved(spec: RunSpec, reserved: Collection[str], own: Callable[[], set[str]]) -> str | None:
    """Say which flag may be read as a reserved option that it begins like: two arms would train unequally, or five seeds be one run.

    Args:
        spec: the run.
        reserved: names of options, dashes as underscores.
        own: returns the trainer's own options, spelled likewise: one of exactly that name is meant.
    """
    for token in (*spec.common_args, *spec.variant.flags):
        full = shortens(token, reserved)
        if full and not {option_name(token), _name(token)} & own():
            return (
                f"{_option(token)} may be read as --{full}, which is reserved: write the option that is meant in full"
            )
    return None


def options_in(main: Path | None, files: Iterable[Path]) -> set[str]:
    """Return the options that sources write out, dashes as underscores: those of a main file that tells all of them, else of every file."""
    script = read_script(main) if main is not None else None
    if script is not None and script.complete:
        return set(script.options)
    scripts = (read_script(path) for path in files if path.suffix == ".py")
    return {name for each in scripts if each is not None for name in each.options}


def _option(token: str) -> str:
    """Return a token without its value, which may stand behind a blank."""
    return token.split(maxsplit=1)[0].partition("=")[0]


def _name(token: str) -> str:
    """Return the name of an option, as `option_name` but with its `no_`."""
    return _option(token).lstrip("-").replace("-", "_")


class _Rejected(Exception):  # noqa: N818  # not an error of ours: what argparse said
    pass


def rejection(parser: argparse.ArgumentParser, spec: RunSpec, entry_point: str) -> str | None:
    """Return what a parser holds against the flags of a run, with a suggestion for an unknown option.

    Options must be written in full: one flag in two spellings would be two experiments. The parser is changed.
    """

    def refuse(message: str) -> NoReturn:
        raise _Rejected(message)

    for each in _parsers(parser):
        each.error, each.allow_abbrev = refuse, False  # type: ignore[method-assign]
    known = [option for each in _parsers(parser) for option in _options(each)]
    names = {_name(each) for each in known if each.startswith("--")}
    reserved = short_for_reserved(spec, RESERVED, lambda: names) or _other_name(parser, spec)
    if reserved:
        return reserved
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            _, unknown = parser.parse_known_args(_spelled_as_known(spec.argv("output"), known))
    except _Rejected as rejected:
        return f"{entry_point} refuses it: {rejected}"
    except SystemExit:
        return f"{entry_point} stops at once when given it"
    return f"{entry_point} has no option {unknown[0]}{meant_by(unknown[0], known)}" if unknown else None


def meant_by(token: str, known: Sequence[str]) -> str:
    """Return the hint for an option that is not there: the one that it begins, or one that looks like it."""
    name = token.partition("=")[0]
    begun = [option for option in known if option.startswith(name)]
    close = begun[:1] or difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its subcommands."""
    yield parser
    for action in parser._actions:  # noqa: SLF001  # argparse tells no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                yield from _parsers(each)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001


def _other_name(parser: argparse.ArgumentParser, spec: RunSpec) -> str | None:
    """Say which flag sets a reserved option by another of its names: `-s` or `--random_seed`."""
    actions = parser._actions  # noqa: SLF001
    names = {each.dest: name for each in actions for name in each.option_strings if _name(name) in RESERVED}
    for token in (*spec.common_args, *spec.variant.flags):
        for action in actions:
            if action.dest in names and any(_is_given(option, token) for option in action.option_strings):
                return f"{token} sets {names[action.dest]}, which is reserved: take it out"
    return None


def _is_given(option: str, token: str) -> bool:
    """Whether a token sets an option; one of a single letter may be followed by its value."""
    if option.startswith("--"):
        return token.startswith("--") and _name(token) == _name(option)
    return token.startswith(option)


def _spelled_as_known(argv: Sequence[str], known: Iterable[str]) -> list[str]:
    """Spell each option with dashes or underscores, whichever the parser has: a trainer may normalise them before parsing."""
    by_name = {option.replace("_", "-"): option for option in known}
    spelled = []
    for token in argv:
        name, equals, value = token.partition("=")
        spelled.append(by_name.get(name.replace("_", "-"), name) + equals + value)
    return spelled
