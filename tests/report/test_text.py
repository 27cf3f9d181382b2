"""Numbers and foreign text in reports."""

from __future__ import annotations

import random
import re
import subprocess
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_exprun.report import text
from pytest_exprun.terms.model import Budget, Experiment, Variant
from pytest_exprun.terms.outcome import Summary
from tests.report_toys import HOSTILE


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (float("nan"), "-"), (float("inf"), "-"), (1.7061, "1.7061"), (-0.00001, "0.0000"), (-2, "-2.0000")],
)
def test_number(value, shown):
    """Undefined is a dash, and no zero has a sign."""
    assert text.number(value, 4) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "+0.50"), (-0.5, "-0.50"), (0.001, "0.00"), (0, "0.00"), (None, "-")]
)
def test_signed(value, shown):
    """A number that shows as zero has no sign."""
    assert text.signed(value, 2) == shown


@pytest.mark.parametrize(
    ("values", "decimals"),
    [((1.9, 2.0), 4), ((34.1, 35.2), 3), ((0.012, 0.034), 5), ((28_000.0, 29_000.0), 0), ((1.0, 1.000001), 8)],
)
def test_places(values, decimals):
    """Four decimals near 1, fewer for large numbers, more where the spread is small."""
    assert text.places([Summary.of(values)]) == decimals


@pytest.mark.parametrize(
    ("p", "bar", "shown"),
    [
        (0.11, None, ".11"),
        (0.3, None, ".30"),
        (0.0042, None, ".0042"),
        (0.00003, None, "<.0001"),
        (1.0, None, "1"),
        (None, None, "-"),
        (0.00962, 0.0096, ".00962"),
        (0.0096, 0.0096, ".0096"),
    ],
)
def test_p_value(p, bar, shown):
    """p never reads as being on the other side of its level."""
    assert text.p_value(p, bar) == shown


@pytest.mark.parametrize(
    ("d", "shown"), [(-0.4988, "-0.499"), (0.5, "+0.50"), (0.79999, "+0.79999"), (12.345, "+12.35")]
)
def test_cohens_d(d, shown):
    """d never reads as having another of the protocol's words."""
    assert text.cohens_d(d) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0123, "0.012 s"), (34.12, "34.1 s"), (125, "2 min 5 s"), (12_000, "3 h 20 min"), (None, "-"), (-1, "-")],
)
def test_duration(seconds, shown):
    """Seconds, minutes, hours."""
    assert text.duration(seconds) == shown


def test_hostile_text_in_a_paragraph():
    """Every mark that could start something is escaped; underscores inside words are left alone."""
    assert text.markdown(HOSTILE) == (
        r"a\|b \`c\` \*d\* &lt;script>alert(1)&lt;/script> \[x\](http&#58;//evil.example) "
        r"\\x1b\[31mred\\x1b\[0m\\x00 \\u202egpj # heading &#64;you"
    )
    assert text.markdown("val_loss _x_ p < .0001 a & b") == r"val_loss \_x\_ p < .0001 a & b"


@pytest.mark.parametrize("mark", ["# x", "- x", "+ x", "1. x", "12) x", "> x", ">x", "---", "===", "#"])
def test_no_line_starts_a_block(mark):
    """What would be a heading, a list, a quote or a rule begins with an escape."""
    assert re.match(r"\d*\\", text.markdown(mark))


def test_code_spans_hold_backticks_and_pipes():
    """The fence is longer than any run inside; a cell's pipe is escaped."""
    assert text.code("a``b`") == "``` a``b` ```"
    assert text.code("a|b", cell=True) == r"`a\|b`"


def test_a_code_block_cannot_be_closed_from_inside():
    """The fence is longer than any line of backticks."""
    assert text.code_block(["x", "````"]) == ["`````sh", "x", "````", "`````"]


@given(st.text())
def test_plain_text_is_one_printable_line_that_xml_accepts(foreign):
    """Whatever comes in, no control character goes out."""
    line = text.plain(foreign)
    assert line.isprintable()
    element = ET.Element("property", value=line)
    assert ET.fromstring(ET.tostring(element)).get("value") == line


@given(st.text())
def test_a_cell_never_breaks_its_row(foreign):
    """Whatever comes in, a table row has as many cells as its header."""
    row = text.table(("a", "b"), [(text.markdown(foreign), text.code(foreign, cell=True))])[2]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "\n" not in row


@pytest.mark.parametrize("word", ["a  b", "a\nb", "it's\t\\", "\u202e\xa0é", "--x=1"])
def test_a_command_in_a_code_block_is_exact(word):
    """A shell reads back just the argument that the run had."""
    (_, line, _) = text.code_block([f"printf %s {text.shell_word(word)}"])
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode() == word


def test_blanks_in_code_are_kept():
    """Two blanks in a flag's value are another value than one."""
    assert text.code("--x=a  b") == "`--x=a  b`"


def test_columns_of_numbers_are_right_aligned():
    """Names to the left, numbers, dashes and percentages to the right."""
    assert text.table(("n", "x", "d"), [("a", "1.0", "+5.0 %"), ("b", "-", "<.0001")])[1] == "| --- | ---: | ---: |"


def test_rows_of_text_are_aligned():
    """Names to the left, numbers to the right, no blanks at the end."""
    rows = [("name", "n", "word"), ("a-long-name", "10", "x")]
    assert text.aligned(rows) == ["name          n  word", "a-long-name  10     x"]
    assert text.aligned(rows, texts=3) == ["name         n   word", "a-long-name  10  x"]


def test_names_of_report_files():
    """By experiment and scale; a control with flags has a baseline's report of its own."""
    rope = Variant(("--rope",))
    assert text.experiment_stem(Experiment("rope", rope, budget=Budget(20_000))) == "experiment_rope_20K"
    assert text.baseline_stem(Variant(), Budget()) == "baseline_variance_1M"
    assert text.baseline_stem(rope, Budget(300, "seconds")) == "baseline_variance_rope_300-seconds"


# Names cut to a width so that no two look alike, and rows that fit a terminal.


@pytest.mark.parametrize(
    ("width", "label"),
    [
        (40, "modern_without_the_parallel_block"),
        (33, "modern_without_the_parallel_block"),
        (27, "modern_witho..arallel_block"),
        (12, "moder..block"),
        (4, "m..k"),
    ],
)
def test_a_name_is_cut_out_of_its_middle(width, label):
    """Both ends stay; a name that fits is left alone."""
    assert text.shortened(["modern_without_the_parallel_block"], width) == {"modern_without_the_parallel_block": label}


def test_the_place_of_the_cut_is_where_the_names_differ():
    """The nearest to the middle: those that differ early keep more of their beginning, those that differ late more of their end."""
    early = [f"recipe_modern_{one}_and_then_always_the_same" for one in "ab"]
    late = [f"recipe_modern_and_always_{one}_then_the_same" for one in "ab"]
    assert list(text.shortened(early, 20).values()) == ["recipe_modern_a..ame", "recipe_modern_b..ame"]
    assert list(text.shortened(late, 20).values()) == ["rec..a_then_the_same", "rec..b_then_the_same"]


def test_names_that_no_cut_tells_apart_have_a_number():
    """Only those: a name that another cut of the table identifies keeps its ends."""
    alike = [f"{'a' * 30}{one}{'z' * 30}" for one in "xy"]
    found = text.shortened([*alike, "short", "b" * 30], 12)
    assert list(found.values()) == ["aaaaaaaa..#1", "aaaaaaaa..#2", "short", "bbbbb..bbbbb"]
    assert [text.is_numbered(label) for label in found.values()] == [True, True, False, False]


def test_whatever_the_names_no_two_look_alike_and_none_is_too_wide():
    """A thousand sets of names that share beginnings, middles and ends, at every width a column may get."""
    draw = random.Random(0)
    parts = ["modern", "with", "without", "parallel", "block", "lr", "0.5", "a", "b"]
    for _ in range(1000):
        names = {"_".join(draw.choices(parts, k=draw.randint(1, 7))) for _ in range(draw.randint(1, 12))}
        width = draw.randint(6, 30)
        found = text.shortened(sorted(names), width)
        assert set(found) == names
        assert len(set(found.values())) == len(names)
        assert max(map(len, found.values())) <= width
        assert all(found[name] == name for name in names if len(name) <= width and not text.is_numbered(found[name]))


def test_columns_give_way_only_as_far_as_needed():
    """In the order given, each only while names would get less than its measure; then the names are cut."""
    rows = [{"name": name, "a": "12345678", "b": "12345678"} for name in ("x" * 20, "y" * 20)]
    giving_way = (("a", 10), ("b", 5))

    def shape(width: int) -> tuple[int, tuple[str, ...]]:
        row = text.narrowed(rows, width, giving_way)[0]
        return len(row["name"]), tuple(row)

    assert shape(40) == (20, ("name", "a", "b"))
    assert shape(30) == (10, ("name", "a", "b"))
    assert shape(29) == (19, ("name", "b"))
    assert shape(15) == (5, ("name", "b"))
    assert shape(14) == (14, ("name",))


def test_a_single_seed_has_no_spread():
    """Its mean stands alone."""
    assert text.mean_and_spread(Summary(1, 1.926, None, 1.926, 1.926), 4) == "1.9260"
    assert text.mean_and_spread(Summary(2, 1.926, 0.017, 1.9, 1.95), 4) == "1.9260 ± 0.0170"
    assert text.mean_and_spread(None, 4) == "-"
