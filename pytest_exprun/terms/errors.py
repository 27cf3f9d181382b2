"""What goes wrong, in words for the person who has to fix it.

Every message names the value, the place, what is allowed and the fix. None of these reaches a user with a traceback of ours.
"""

import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_exprun.terms.secrets import conceal


def one_line(text: str) -> str:
    """Return foreign text as it may stand in a message: one line, and nothing that a terminal would obey."""
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    """Return a text with a code for every character that does not print, blanks as they are."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def shown(text: str) -> str:
    """Return any text as people may see it: a terminal obeys nothing in it, and secrets are digests. Line breaks and tabs stay."""
    return "".join(part if part in "\n\t" else visible(part) for part in re.split(r"([\n\t])", conceal(text)))


_MOST_FRAMES, _MOST_CHARACTERS = 20, 500
_PACKAGE = Path(__file__).parents[1]


def describe(error: BaseException) -> str:
    """Return an exception as one line: `ValueError: bad shape`."""
    text = one_line(text_of(error, str))
    text = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."
    name = one_line(type(error).__name__)
    return f"{name}: {text}" if text else name


def text_of(value: object, show: Callable[[object], str] = repr) -> str:
    """Return the beginning of a foreign object's text, whatever its own method does."""
    try:
        return show(value)[: 4 * _MOST_CHARACTERS]
    except BaseException as error:  # noqa: BLE001  # anything may come out of it
        return f"(its text cannot be had: {type(error).__name__})"


def their_frames(error: BaseException) -> str:
    """Return the end of an exception's traceback without our own frames."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES)
    theirs = [frame for frame in frames if _PACKAGE not in Path(frame.filename).parents]
    return "".join(traceback.format_list(theirs)).rstrip()


def meant(word: str, known: Sequence[str], prefix: str = "") -> str:
    """Return the hint for a misspelt word: the one that was probably meant, or all there are."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {prefix}{close[0]}?" if close else f"allowed are {', '.join(known)}"


class ExprunError(Exception):
    """Base of every error this package raises on purpose."""

    def __str__(self) -> str:
        return shown(super().__str__())


class DeclarationError(ExprunError):
    """An `@experiment` marker says something that cannot be meant."""


class SettingsError(ExprunError):
    """An option or ini key has a value that is not allowed."""


class TrainerError(ExprunError):
    """A run cannot be trusted: the trainer is missing, failed, or returned something unusable."""


class StoreError(ExprunError):
    """Records cannot be written or read where they should be."""


class MissingRunError(ExprunError):
    """A mode that never trains (`frozen`) needs a run that is not stored, is stale, or is damaged."""


class RefusedError(ExprunError):
    """The numbers do not allow any verdict (too few seeds, no variance, differing budgets, no real number)."""


class NotComparable(ExprunError):  # noqa: N818  # read as a fact in `except NotComparable`, as DESIGN names it
    """A measured difference exists but must not be argued from, for instance wall time on two kinds of CPU."""
