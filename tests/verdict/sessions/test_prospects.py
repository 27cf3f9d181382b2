"""What a session of many ideas can see."""

from pathlib import Path

import pytest

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.verdict import rules
from pytest_exprun.verdict.sessions import prospects
from pytest_exprun.verdict.sessions.prospects import session_outlook

PAGE = (Path(__file__).parents[3] / "docs" / "statistics-simulation.md").read_text(encoding="utf-8")


def page_rows(first_column):
    """Return the rows of the table on the simulation page that has this column first or second."""
    text = PAGE.partition("### What `exprun budget` expects\n")[2]
    tables = [part for part in text.split("\n\n") if part.startswith("| Rule")]
    (table,) = [part for part in tables if first_column in part.splitlines()[0]]
    return [[cell.replace(",", "") for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def test_every_figure_is_the_simulated_one():
    """Rule by rule and length by length, as the page has it."""
    simulated = {(row[0], float(row[1]), int(row[2])): list(map(float, row[3:])) for row in page_rows("Any kept")}
    for (rule, bar), found in prospects.TABLE.items():
        for null in found.sessions:
            any_kept, any_confirmed, kept, winners, _, fresh_runs = simulated[rule, bar, null.ideas]
            assert null[1:] == pytest.approx((any_kept, any_confirmed, kept, winners, fresh_runs), rel=0.01)
    assert {(row[0], float(row[1])): (float(row[2]), float(row[3])) for row in page_rows("and confirmed |")} == {
        key: (found.seen, found.seen_confirmed) for key, found in prospects.TABLE.items()
    }


def test_every_rule_and_bar_has_its_figures():
    """A rule that nobody simulated must not answer with another's."""
    assert set(prospects.TABLE) == {(name, row.bar) for name, rule in rules.TABLE.items() for row in rule.by_chance}


def test_one_idea_needs_no_simulation():
    """A single idea is kept as often as the rule errs, and is confirmed with the first level of a ledger."""
    found = session_outlook(1, 1.0, 36.0)
    assert (found.any_kept, found.kept, found.winners) == (0.031, 0.031, 0.031)
    assert found.any_confirmed == pytest.approx(0.031 * 0.025)
    assert (found.possible_runs, found.runs, found.possible_ideas) == (100, 5, 1)


@pytest.mark.parametrize("rule", [("two_sigma", 2.0), ("tested", 2.0), ("tested", 1.0), ("tested", 0.0)])
def test_more_ideas_need_more_and_err_more(rule):
    """Every figure grows with the ideas, also between the lengths that were simulated; with confirmation a session errs once in twenty."""
    found = [
        session_outlook(n, 8, 60, rule=rule[0], min_effect=rule[1]) for n in (1, 5, 10, 17, 30, 60, 100, 555, 1000)
    ]
    for name in ("runs", "confirmed_runs", "any_kept", "kept", "any_confirmed", "winners"):
        values = [getattr(each, name) for each in found]
        assert values == sorted(values), name
    assert all(each.any_confirmed <= 0.05 and each.any_confirmed < each.any_kept / 4 for each in found)
    assert all(each.runs <= each.confirmed_runs for each in found)


def test_the_time_bounds_the_ideas():
    """As many ideas as fit, with confirmation fewer; several runs at once fit more."""
    short = session_outlook(100, 1, 60)
    assert (short.possible_runs, short.possible_ideas) == (60, 12)
    assert 10 <= short.possible_confirmed < 12
    assert session_outlook(100, 1, 60, jobs=4).possible_runs == 240
    assert session_outlook(100, 0.01, 60).possible_confirmed == 0
    enough = session_outlook(100, 24, 60)
    assert (enough.possible_ideas, enough.possible_confirmed) == (100, 100)
    assert session_outlook(100, 1e308, 1e-3).possible_ideas == 100
    exact = session_outlook(100, enough.confirmed_runs / 60, 60)
    assert exact.possible_confirmed == 100


def test_a_bar_between_two_has_the_figures_of_the_lower():
    """They are upper bounds, as elsewhere; two_sigma has its own bar."""
    assert session_outlook(30, 8, 60, rule="tested", min_effect=1.5) == session_outlook(
        30, 8, 60, rule="tested", min_effect=1.0
    )
    assert session_outlook(30, 8, 60, min_effect=1.0) == session_outlook(30, 8, 60)


def test_confirmation_costs_no_sensitivity():
    """What the first look sees four times in five, fresh seeds confirm nearly always."""
    for found in prospects.TABLE.values():
        assert found.seen <= found.seen_confirmed <= found.seen + 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8, 60), "ideas = 0: allowed is a whole number from 1 to 1,000"),
        ((1001, 8, 60), "ideas = 1001"),
        ((True, 8, 60), "ideas = True"),
        ((30, 0, 60), "hours = 0: allowed is a finite number above 0"),
        ((30, float("inf"), 60), "hours = inf"),
        ((30, float("nan"), 60), "hours = nan"),
        ((30, 8, 0.0), "seconds a run = 0.0"),
    ],
)
def test_what_is_no_session_is_refused(arguments, message):
    """One line that says what is allowed."""
    with pytest.raises(RefusedError, match=message):
        session_outlook(*arguments)
