"""The lines of a ledger. Each holds the hash of the one before it, as git's commits do: what was written cannot be changed unseen.

A line is a JSON object, `{"prev": ..., "crc": ..., "kind": ..., "time": ..., ...}`. `prev` is the SHA-256 of the line before, as it stands
and with its line break, so that `tail -n 1 FILE | sha256sum` gives the head; a ledger's first line has a fixed word there. `crc` is the
CRC-32 of all that follows it: it finds rot in the last line, which nothing follows yet, and is no defence against anybody.

Ledgers that grew apart are merged as branches are: no line is changed, and one more line, which holds both hashes, ties the ends together.
So a hash that was a head once can be found for ever. Lines stand in the order of their times, which never decrease along a chain.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pytest_exprun.terms.errors import StoreError

FIRST = "pytest-exprun ledger 1"
"""What the first line has in the place of a hash: the format and its version."""
MERGED = "merged"
MOST_BYTES = 1 << 16
"""A line may not be longer."""
_FRAME = re.compile(
    rb'\{"prev": "([0-9a-f]{64}|' + FIRST.encode() + rb')", "crc": "([0-9a-f]{8})", ("kind": "[^\n]*\})\n'
)
_SHOWN = 12
_NO_LINE_AFTER = "no line follows it: it was put in, or what followed it was taken away"
_encode = json.JSONEncoder(allow_nan=False).encode
_decode = json.JSONDecoder().raw_decode


class BrokenLine(Exception):  # noqa: N818  # read as a fact: why a line cannot be believed
    """The reason why a line cannot be believed, as a phrase."""


def written(kind: str, time: str, content: Mapping[str, Any], prev: str) -> bytes:
    """Return a line, its line break included.

    Raises:
        StoreError: the content is no plain JSON, or too long.
    """
    try:
        body = _encode({"kind": kind, "time": time, **content})[1:].encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"no line of a ledger: {error}; its values must be plain JSON") from None
    line = b'{"prev": "%b", "crc": "%08x", %b\n' % (prev.encode(), zlib.crc32(body), body)
    if len(line) > MOST_BYTES:
        raise StoreError(f"a line of {len(line):,} bytes is too long for the ledger, allowed are {MOST_BYTES:,}")
    return line


def read(line: bytes) -> dict[str, Any]:
    """Return what a line says.

    Raises:
        BrokenLine: it is not as `written` makes it.
    """
    frame = _FRAME.fullmatch(line)
    if frame is None:
        raise BrokenLine("it is no line of a ledger")
    if b"%08x" % zlib.crc32(frame[3]) != frame[2]:
        raise BrokenLine("its checksum does not match its content")
    try:
        content, end = _decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        raise BrokenLine("it is no JSON") from None
    if end != len(line) - 1 or not isinstance(content.get("time"), str):
        raise BrokenLine("it is not one JSON object with a time")
    return content  # type: ignore[no-any-return]  # the frame begins and ends with a brace


def digest(line: bytes) -> str:
    """Return a line's hash."""
    return hashlib.sha256(line).hexdigest()


def later(time: str, than: str) -> str:
    """Return a time, or the next microsecond after `than` if it is not later: a clock may be set back, a chain's times may not."""
    if time > than:
        return time
    try:
        return (datetime.fromisoformat(than) + timedelta(microseconds=1)).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        return time


def lines_of(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole lines of a file, and what is left of one whose writer died. Only the last line break may be missing (editors)."""
    *whole, torn = data.split(b"\n")
    lines = [line + b"\n" for line in whole]
    if torn:
        with contextlib.suppress(BrokenLine):
            read(torn + b"\n")
            return [*lines, torn + b"\n"], b""
    return lines, torn


@dataclass(frozen=True)
class Verified:
    """What a ledger's lines say of themselves.

    Attributes:
        heads: hash -> number of its line, from 1, in the order of the file.
        faults: what is wrong, with the number of the line, by number; empty if the ledger is valid.
        torn: bytes behind the last whole line; no fault, the next append sets them aside.
    """

    heads: dict[str, int]
    faults: tuple[tuple[int, str], ...]
    torn: int = 0

    @property
    def head(self) -> str:
        """The hash of the last line; empty if there is none."""
        return next(reversed(self.heads), "")

    def place_of(self, head: str) -> int | None:
        """Return the line whose hash begins so, None if there is none."""
        return next((number for known, number in self.heads.items() if known.startswith(head.lower())), None)


def verified(data: bytes) -> Verified:
    """Check every line of a ledger."""
    lines, torn = lines_of(data)
    hashes = list(map(digest, lines))
    places = {known: number for number, known in reversed(list(enumerate(hashes, 1)))}
    ends, before, faults = dict.fromkeys(hashes[:-1]), ("", b""), []
    for number, line in enumerate(lines, 1):
        try:
            content = read(line)
        except BrokenLine as broken:
            faults.append((number, str(broken)))
            continue
        for link in links(content):
            ends.pop(link, None)
            if link != FIRST and places.get(link, number) >= number:
                faults.append((number, _no_line_before(link, places)))
        if places[hashes[number - 1]] != number:
            faults.append((number, f"it is line {places[hashes[number - 1]]} once more"))
        if (content["time"], line) < before:
            faults.append((number, "it is from before the line above it: it was moved, or its time changed"))
        before = content["time"], line
    if not faults:  # else the lines that lead to them only seem to be the last
        faults = [(places[end], _NO_LINE_AFTER) for end in ends]
    return Verified({known: number for number, known in enumerate(hashes, 1)}, tuple(sorted(faults)), len(torn))


def links(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the hashes of the lines that a line follows: one, or two where ledgers were merged."""
    yield str(content["prev"])
    if content["kind"] == MERGED:
        yield str(content.get("other"))


def _no_line_before(link: str, places: Mapping[str, int]) -> str:
    if link in places:
        return f"it stands above line {places[link]}, which it follows: they were moved"
    return f"it follows a line {link[:_SHOWN]}... that is not there: that line was changed or taken away"


def merged(ours: bytes, theirs: bytes) -> bytes:
    """Return a ledger with the lines of both, the same whichever comes first. A torn last line is left out.

    Raises:
        StoreError: one of them is not valid.
    """
    for data, whose in ((ours, "our"), (theirs, "their")):
        if faults := verified(data).faults:
            raise StoreError(f"{whose} ledger is not valid and cannot be merged: line {faults[0][0]}: {faults[0][1]}")
    told: dict[bytes, tuple[str, tuple[str, ...]]] = {}
    for line in (*lines_of(ours)[0], *lines_of(theirs)[0]):
        if line not in told:
            content = read(line)
            told[line] = content["time"], tuple(links(content))
    lines = sorted(told, key=lambda line: (told[line][0], line))
    followed = {link for _, before in told.values() for link in before}
    ends = [line for line in lines if digest(line) not in followed]
    if len(ends) > 1:
        other, last = ends
        lines.append(written(MERGED, later("", told[last][0]), {"other": digest(other)}, digest(last)))
    return b"".join(lines)
