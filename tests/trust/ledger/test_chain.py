"""The lines of a ledger: every change is found, and ledgers that grew apart become one without a line changed."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.trust.ledger import chain

TIME = "2026-11-29T05:07:24.{:06d}+00:00"


def grown(data=b"", *words, start=0):
    """Return a ledger with a line more for each word, each three microseconds after the one before."""
    lines = chain.lines_of(data)[0]
    for place, word in enumerate(words):
        before = chain.read(lines[-1])["time"] if lines else ""
        prev = chain.digest(lines[-1]) if lines else chain.FIRST
        lines.append(chain.written("asked", chain.later(TIME.format(start + 3 * place), before), {"id": word}, prev))
    return b"".join(lines)


FIVE = grown(b"", *"abcde")
JOINED = chain.merged(grown(grown(b"", *"abc"), *"de", start=20), grown(grown(b"", *"abc"), *"xy", start=22))


def first_fault(data):
    """Return the number of the first line that is wrong, None if none is."""
    faults = chain.verified(data).faults
    return faults[0][0] if faults else None


@pytest.mark.parametrize("data", [b"", FIVE, JOINED], ids=["empty", "grown", "merged"])
def test_a_ledger_as_written_is_valid(data):
    """No fault, and the head is the last line's hash."""
    found = chain.verified(data)
    lines = chain.lines_of(data)[0]
    assert (found.faults, found.torn) == ((), 0)
    assert found.head == (chain.digest(lines[-1]) if lines else "")
    assert list(found.heads.values()) == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("data", [FIVE, JOINED], ids=["grown", "merged"])
def test_every_flipped_byte_is_found(data):
    """All bytes, three of their bits each: the line is named, or the last one is no line any more, which is said."""
    lines = chain.lines_of(data)[0]
    starts = list(itertools.accumulate(map(len, lines), initial=0))
    for place, bit in itertools.product(range(len(data)), (1, 4, 128)):
        changed = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
        found = chain.verified(changed)
        where = next(number for number, start in enumerate(starts) if start > place)
        if place == len(data) - 1:
            assert found.faults or found.torn
            assert found.head != chain.digest(lines[-1])
        else:
            assert found.faults[0][0] == where, (place, bit, found.faults[:1])


@pytest.mark.parametrize("data", [FIVE, JOINED], ids=["grown", "merged"])
def test_lines_taken_away_doubled_or_moved_are_found(data):
    """Any line, any two; only lines taken from the end leave a valid ledger, whose head is another one."""
    lines = chain.lines_of(data)[0]
    for place in range(len(lines)):
        without = b"".join(lines[:place] + lines[place + 1 :])
        is_last = place == len(lines) - 1
        assert first_fault(without) is not None or (is_last and data is FIVE)
        assert chain.verified(without).head != chain.digest(lines[-1]) or not is_last
        for other in range(len(lines) + 1):
            assert first_fault(b"".join([*lines[:other], lines[place], *lines[other:]])) is not None
    for one, two in itertools.combinations(range(len(lines)), 2):
        moved = list(lines)
        moved[one], moved[two] = moved[two], moved[one]
        assert first_fault(b"".join(moved)) is not None


@pytest.mark.parametrize("place", range(5))
def test_a_line_put_in_by_somebody_who_knows_the_format_is_found(place):
    """It may follow the line above it by the rules: then the line below it does not follow it. At the end it is a line like any other."""
    lines = chain.lines_of(FIVE)[0]
    above = lines[place - 1] if place else None
    time = chain.later("", chain.read(above)["time"]) if above else TIME.format(0)
    put_in = chain.written("asked", time, {"id": "z"}, chain.digest(above) if above else chain.FIRST)
    assert first_fault(b"".join([*lines[:place], put_in, *lines[place:]])) == place + 1


def test_a_line_that_follows_a_later_one_is_found():
    """Also where its time was made up to fit."""
    later = chain.written("asked", TIME.format(9), {"id": "b"}, chain.FIRST)
    first = chain.written("asked", TIME.format(0), {"id": "a"}, chain.digest(later))
    assert chain.verified(first + later).faults[0] == (1, "it stands above line 2, which it follows: they were moved")


@pytest.mark.parametrize("place", range(4))
def test_an_edit_with_its_checksum_put_right_is_found(place):
    """The line that followed it follows a line that is not there. In the last line only a known head tells."""
    lines = chain.lines_of(FIVE)[0]
    content = chain.read(lines[place])
    rest = {name: value for name, value in content.items() if name not in {"prev", "crc", "kind", "time"}}
    lines[place] = chain.written(content["kind"], content["time"], {**rest, "id": "edited"}, content["prev"])
    found = chain.verified(b"".join(lines))
    number, why = found.faults[0]
    assert number == place + 2
    followed = chain.digest(chain.lines_of(FIVE)[0][place])[:12]
    assert why == f"it follows a line {followed}... that is not there: that line was changed or taken away"


@settings(max_examples=300)
@given(st.data())
def test_any_other_lines_are_found(data):
    """Any choice of the lines of a ledger, in any order, that is not its beginning."""
    lines = chain.lines_of(JOINED)[0]
    chosen = data.draw(st.lists(st.sampled_from(lines), max_size=len(lines) + 2))
    branches = (
        chain.lines_of(grown(grown(b"", *"abc"), *words, start=start))[0] for words, start in (("de", 20), ("xy", 22))
    )
    valid = [lines[:count] for count in range(len(lines) + 1)] + [
        each[:count] for each in branches for count in range(6)
    ]
    allowed = [each for each in valid if first_fault(b"".join(each)) is None]
    assert (first_fault(b"".join(chosen)) is None) == (chosen in allowed)


@pytest.mark.parametrize("cut", range(1, len(chain.lines_of(FIVE)[0][-1])))
def test_a_torn_last_line_is_no_fault(cut):
    """However much of it is there; with all but its line break it is whole."""
    found = chain.verified(FIVE[:-cut])
    whole = cut == 1
    assert found.faults == ()
    assert found.torn == (0 if whole else len(chain.lines_of(FIVE)[0][-1]) - cut)
    assert list(found.heads.values()) == list(range(1, 6 if whole else 5))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"<<<<<<< ours\n", "it is no line of a ledger"),
        (b"\n", "it is no line of a ledger"),
        (chain.written("asked", TIME.format(0), {}, chain.FIRST).replace(b"\n", b"\r\n"), "it is no line of a ledger"),
        (
            chain.written("asked", TIME.format(0), {}, chain.FIRST).replace(b"asked", b"xsked"),
            "its checksum does not match its content",
        ),
    ],
)
def test_what_is_no_line(line, why):
    """Conflict marks of git, empty lines, Windows line endings and rot are told apart from lines."""
    assert chain.verified(line + FIVE).faults[0] == (1, why)


@pytest.mark.parametrize(
    "body",
    [
        b'"kind": "asked", "time": }',
        b'"kind": "asked"}',
        b'"kind": "asked", "time": 3}',
        b'"kind": "a", "time": ""},{}',
    ],
)
def test_a_right_checksum_does_not_make_a_line(body):
    """What somebody else framed must be one JSON object with a kind and a time."""
    import zlib

    line = b'{"prev": "%b", "crc": "%08x", %b\n' % (chain.FIRST.encode(), zlib.crc32(body), body)
    with pytest.raises(chain.BrokenLine):
        chain.read(line)


def test_values_that_are_no_json_are_refused():
    """So are lines that are too long for a reader."""
    with pytest.raises(StoreError, match="plain JSON"):
        chain.written("asked", TIME.format(0), {"loss": float("nan")}, chain.FIRST)
    with pytest.raises(StoreError, match=r"a line of \S+ bytes is too long"):
        chain.written("asked", TIME.format(0), {"flags": "x" * chain.MOST_BYTES}, chain.FIRST)


def test_a_line_is_ascii_and_one_line_whatever_it_says():
    """Line separators of Unicode, line breaks and quotes come back."""
    text = 'a\nb\u2028c"d\u00e4\ud800'
    line = chain.written("asked", TIME.format(0), {"name": text}, chain.FIRST)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert chain.read(line)["name"] == text
    assert json.loads(line)["kind"] == "asked"


def test_a_clock_that_is_set_back_does_not_set_the_ledger_back():
    """The next line is a microsecond after the last one."""
    assert chain.later(TIME.format(1), TIME.format(7)) == TIME.format(8)
    assert chain.later(TIME.format(9), TIME.format(7)) == TIME.format(9)


# Merging.


@st.composite
def branches(draw, count=3):
    """Draw ledgers with a beginning in common that went on by themselves, their lines at any times, equal ones too."""
    shared = grown(b"", *draw(st.lists(st.sampled_from("ab"), max_size=3)))
    return [
        grown(
            shared,
            *(f"{number}{word}" for word in draw(st.lists(st.sampled_from("xyz"), max_size=4))),
            start=draw(st.integers(0, 15)),
        )
        for number in range(count)
    ]


def said(data):
    """Return what was asked, without the lines that tie ends together."""
    return [line for line in chain.lines_of(data)[0] if chain.read(line)["kind"] != chain.MERGED]


@given(branches())
def test_merging(ledgers):
    """The same from both sides; valid; no line is changed or lost, so that every head of either side can be found; once is enough."""
    one, two, three = ledgers
    both = chain.merged(one, two)
    assert both == chain.merged(two, one)
    assert chain.verified(both).faults == ()
    assert chain.verified(one).heads.keys() | chain.verified(two).heads.keys() <= chain.verified(both).heads.keys()
    assert set(said(both)) == {*said(one), *said(two)}
    assert chain.merged(both, one) == chain.merged(both, two) == chain.merged(both, both) == both
    assert said(chain.merged(both, three)) == said(chain.merged(one, chain.merged(two, three)))


@given(branches(2))
def test_a_merged_ledger_grows_on_from_one_end(ledgers):
    """One line more, tied to the last, and it is valid."""
    both = chain.merged(*ledgers)
    assert chain.verified(grown(both, "next", start=50)).faults == ()


def test_a_ledger_that_only_grew_is_the_merged_one():
    """No line is added where nothing grew apart."""
    assert chain.merged(grown(b"", *"abc"), FIVE) == chain.merged(FIVE, b"") == FIVE


def test_a_ledger_that_is_not_valid_is_not_merged():
    """The error says whose, which line, and what is wrong with it."""
    with pytest.raises(StoreError, match="their ledger is not valid and cannot be merged: line 3: its checksum"):
        chain.merged(FIVE, FIVE.replace(b'"c"', b'"C"'))
