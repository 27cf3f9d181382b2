"""Values that look like secrets (`--wandb_key=...`): a digest stands for each in all that is shown and stored. Standard library only.

A value is replaced where it is first read, a marker or a setting, so that what is made from it later never held it. What this process must
give to a run it remembers here; everything that others wrote (a trainer's output and errors) is searched for what is remembered.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_WORDS = frozenset(
    {"key", "apikey", "token", "secret", "password", "passwd", "pwd", "credential", "credentials", "auth"}
)
_LEAST_LENGTH = 8
_SALT = b"pytest-exprun "
_ROUNDS = 50_000
"""A digest is in files that are committed: guessing a password from it must cost something."""
_DIGEST = re.compile(r"hidden-[0-9a-f]{16}")
_PLACEHOLDER = re.compile(r"\{\w+\}")
_TRUE: dict[str, str] = {}


def looks_secret(name: str, value: str, root: Path) -> bool:
    """Whether an option or a variable holds a secret, by the last word of its name; a number, a path or a short word is none."""
    parts = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if not parts or parts[-1] not in _WORDS or len(value) < _LEAST_LENGTH or _PLACEHOLDER.search(value):
        return False
    try:
        float(value)
    except ValueError:
        # os.path, unlike Path, takes any text.
        return not os.path.exists(os.path.join(root, os.path.expanduser(value)))  # noqa: PTH110, PTH111, PTH118
    return False


@lru_cache(maxsize=1024)
def digest(name: str, value: str) -> str:
    """Return what stands for a secret. The same value of the same option has the same one everywhere, another value another."""
    salt = _SALT + name.lstrip("-").replace("-", "_").encode("utf-8", "surrogateescape")
    return f"hidden-{hashlib.pbkdf2_hmac('sha256', value.encode('utf-8', 'surrogateescape'), salt, _ROUNDS, 8).hex()}"


def concealed(words: Iterable[str], root: Path, *, template: bool = False) -> tuple[str, ...]:
    """Return command-line words with digests in the place of secrets, which this process remembers: `--key=value` or two words.

    Args:
        words: the words.
        root: where relative paths start.
        template: a literal brace is written twice.
    """
    found, option = [], ""
    for word in words:
        name, equals, value = word.partition("=")
        if equals and re.fullmatch(r"[\w.+-]+", name):
            found.append(f"{name}={_hide(name, value, root, template=template)}")
        else:
            found.append(_hide(option, word, root, template=template) if not word.startswith("-") else word)
        option = word if word.startswith("--") and not equals else ""
    return tuple(found)


def _hide(name: str, value: str, root: Path, *, template: bool) -> str:
    if _DIGEST.fullmatch(value) or not looks_secret(name, value, root):
        return value
    true = value.replace("{{", "{").replace("}}", "}") if template else value
    _TRUE[digest(name, true)] = true
    return digest(name, true)


def true_value(word: str) -> str:
    """Return a word as the run itself gets it.

    Raises:
        KeyError: it has the digest of a secret that this process was not told.
    """
    return _DIGEST.sub(lambda found: _TRUE[found[0]], word) if _DIGEST.search(word) else word


def _longest_first() -> list[tuple[str, str]]:
    """Return digests and secrets: one may be a part of another."""
    return sorted(_TRUE.items(), key=lambda pair: -len(pair[1]))


def conceal(text: str) -> str:
    """Return foreign text with digests in the place of the secrets that this process knows."""
    for shown, true in _longest_first():
        text = text.replace(true, shown)
    return text


def conceal_all(value: Any) -> Any:
    """Return plain JSON values with every text among them concealed."""
    if isinstance(value, str):
        return conceal(value)
    if isinstance(value, Mapping):
        return {conceal_all(name): conceal_all(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(conceal_all, value))
    return value


def remembered() -> dict[str, str]:
    """Return digest -> secret, for a process that performs runs elsewhere; it goes to nowhere else."""
    return dict(_TRUE)


def remember(secrets: Mapping[str, str]) -> None:
    """Take in what another process of the session remembers."""
    _TRUE.update(secrets)


class Stream:
    """Conceals bytes that come in pieces, also where a secret is cut in two: the end of what came is kept back."""

    def __init__(self) -> None:
        self._kept = b""

    def take(self, data: bytes) -> bytes:
        """Take in a piece; return what can be shown of all that came."""
        pairs = [(true.encode("utf-8", "surrogateescape"), shown.encode()) for shown, true in _longest_first()]
        text = self._kept + data
        for true, shown in pairs:
            text = text.replace(true, shown)
        most = max((len(true) - 1 for true, _ in pairs), default=0)
        cut = max(0, len(text) - most)
        self._kept = text[cut:]
        return text[:cut]

    def rest(self) -> bytes:
        """Return what was kept back."""
        kept, self._kept = self._kept, b""
        return kept
