"""Names cut to a width so that no two look alike, and rows that fit a terminal."""

from __future__ import annotations

import random

import pytest

from pytest_exprun.report.columns import is_numbered, narrowed, shortened


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
    assert shortened(["modern_without_the_parallel_block"], width) == {"modern_without_the_parallel_block": label}


def test_the_place_of_the_cut_is_where_the_names_differ():
    """The nearest to the middle: those that differ early keep more of their beginning, those that differ late more of their end."""
    early = [f"recipe_modern_{one}_and_then_always_the_same" for one in "ab"]
    late = [f"recipe_modern_and_always_{one}_then_the_same" for one in "ab"]
    assert list(shortened(early, 20).values()) == ["recipe_modern_a..ame", "recipe_modern_b..ame"]
    assert list(shortened(late, 20).values()) == ["rec..a_then_the_same", "rec..b_then_the_same"]


def test_names_that_no_cut_tells_apart_have_a_number():
    """Only those: a name that another cut of the table identifies keeps its ends."""
    alike = [f"{'a' * 30}{one}{'z' * 30}" for one in "xy"]
    found = shortened([*alike, "short", "b" * 30], 12)
    assert list(found.values()) == ["aaaaaaaa..#1", "aaaaaaaa..#2", "short", "bbbbb..bbbbb"]
    assert [is_numbered(label) for label in found.values()] == [True, True, False, False]


def test_whatever_the_names_no_two_look_alike_and_none_is_too_wide():
    """A thousand sets of names that share beginnings, middles and ends, at every width a column may get."""
    draw = random.Random(0)
    parts = ["modern", "with", "without", "parallel", "block", "lr", "0.5", "a", "b"]
    for _ in range(1000):
        names = {"_".join(draw.choices(parts, k=draw.randint(1, 7))) for _ in range(draw.randint(1, 12))}
        width = draw.randint(6, 30)
        found = shortened(sorted(names), width)
        assert set(found) == names
        assert len(set(found.values())) == len(names)
        assert max(map(len, found.values())) <= width
        assert all(found[name] == name for name in names if len(name) <= width and not is_numbered(found[name]))


def test_columns_give_way_only_as_far_as_needed():
    """In the order given, each only while names would get less than its measure; then the names are cut."""
    rows = [{"name": name, "a": "12345678", "b": "12345678"} for name in ("x" * 20, "y" * 20)]
    giving_way = (("a", 10), ("b", 5))

    def shape(width: int) -> tuple[int, tuple[str, ...]]:
        row = narrowed(rows, width, giving_way)[0]
        return len(row["name"]), tuple(row)

    assert shape(40) == (20, ("name", "a", "b"))
    assert shape(30) == (10, ("name", "a", "b"))
    assert shape(29) == (19, ("name", "b"))
    assert shape(15) == (5, ("name", "b"))
    assert shape(14) == (14, ("name",))
