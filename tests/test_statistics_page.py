"""docs/statistics.md: its code runs, its links and pictures are there."""

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("statistics.md", "statistics-simulation.md")


def test_the_code_on_the_page_runs_as_printed():
    """Every example of the page, as a doctest."""
    result = doctest.testfile(str(DOCS / "statistics.md"), module_relative=False, encoding="utf-8")
    assert (result.attempted >= 8, result.failed) == (True, 0)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page):
    """No dead link."""
    targets = re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (DOCS / target).exists()] == []


def cells(page):
    """Return every table row of a page, its cells stripped."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def rates_of(shape):
    """Return rule -> row of the simulation page's table for one kind of seeds."""
    text = (DOCS / "statistics-simulation.md").read_text(encoding="utf-8")
    section = text.partition(f"### {shape}\n")[2].partition("\n#")[0]
    return {line.split("|")[1].strip(): line.split("|")[2:] for line in section.splitlines() if line.startswith("| ")}


QUOTED = {
    "no effect: called WINNER": ("Normal", 0),
    "2 sigma better: called WINNER": ("Normal", 2),
    '2 sigma worse: passes as "not a loser"': ("Normal", 3),
    "no effect, the experiment twice as noisy: called WINNER": ("Twice the noise", 0),
    "no effect, right-skewed losses: called LOSER": ("Skewed", 1),
    "no effect, real training losses: called LOSER": ("Real losses", 1),
}


@pytest.mark.parametrize("row", QUOTED)
def test_quoted_rates_are_the_simulated_ones(row):
    """The table of the two rules agrees with the generated page to its own rounding, one point for whole percents."""
    shape, column = QUOTED[row]
    quoted = next(found[1:] for found in cells("statistics.md") if found[0] == row)
    simulated = rates_of(shape)
    for text, rule in zip(quoted, ("two_sigma", "tested, m = 2", "tested, m = 1"), strict=True):
        figure = float(simulated[rule][column].strip(" %"))
        assert float(text.strip(" %")) == pytest.approx(figure, abs=0.06 if "." in text else 1)


SESSIONS = {
    "one run each, kept if lower": ("normal", "one run, keep if lower"),
    "each WINNER of `two_sigma`": ("normal", "two_sigma"),
    "confirmed in a ledger": ("normal", "confirmed in a ledger"),
    "twice the noise: one run each": ("twice the noise", "one run, keep if lower"),
    "twice the noise: each WINNER": ("twice the noise", "two_sigma"),
    "twice the noise: confirmed in a ledger": ("twice the noise", "confirmed in a ledger"),
}


@pytest.mark.parametrize("row", SESSIONS)
def test_quoted_sessions_without_effect_are_the_simulated_ones(row):
    """Share of sessions, false keeps, claim and runs of 100 ideas, to the digits that are quoted."""
    quoted = next(found[1:] for found in cells("statistics.md") if found[0] == row)
    shape, strategy = SESSIONS[row]
    (simulated,) = (found[3:] for found in cells("statistics-simulation.md") if found[:3] == [shape, "100", strategy])
    share, keeps, claim, _, runs = simulated
    assert quoted == [share, f"{float(keeps):.2f}", f"{claim} sigma", runs]


@pytest.mark.parametrize("effect", ["1.5", "3"])
def test_quoted_sessions_that_help_are_the_simulated_ones(effect):
    """False keeps, true and claimed gain and runs, for each way to keep."""
    rows = cells("statistics.md")
    first = next(at for at, found in enumerate(rows) if found[0] == f"by {effect} sigma")
    of_page = {found[2]: found[3:] for found in cells("statistics-simulation.md") if found[:2] == ["normal", effect]}
    strategies = ("one run, keep if lower", "two_sigma", "confirmed in a ledger")
    for quoted, strategy in zip(rows[first : first + 3], strategies, strict=True):
        _, keeps, _, gain, claimed, _, runs, _ = of_page[strategy]
        assert quoted[2:] == [f"{float(keeps):.2f}", gain, claimed, runs]


def test_the_decision_quotes_what_was_simulated():
    """The levels and the numbers of seeds that were compared."""
    decision, simulated = cells("decisions/0064-confirmation.md"), cells("statistics-simulation.md")
    gains = {
        tuple(found[:2]): found[2:] for found in simulated if found[1] in ("online fallback", "SAFFRON", ".05 each")
    }
    for effect, quoted in (("1.5", "is 1.5 sigma better"), ("3", "is 3 sigma better")):
        at = next(place for place, found in enumerate(decision) if found[0] == quoted)
        for row in decision[at : at + 5]:
            if (effect, row[1]) in gains:
                share, _, _, gain, _, _, runs, ratio = gains[effect, row[1]]
                assert (row[2], row[4]) == (share, runs)
                assert (float(row[3]), float(row[5])) == pytest.approx((float(gain), float(ratio)), abs=0.051)
    seeds = {tuple(found[:2]): (float(found[6]), float(found[10])) for found in simulated if "% at" in found[1]}
    for effect in ("1", "1.5", "2", "3"):
        row = next(found for found in decision if found[0] == f"{effect} sigma" and len(found) == 7)
        for cell, sizing in zip(
            row[2:], ("80 % at 2", "90 % at 2", "80 % at 1.5", "90 % at 1.5", "80 % at 1"), strict=True
        ):
            assert [float(each) for each in cell.split(", ")] == pytest.approx(
                seeds[effect, f"{sizing} sigma"], abs=0.051
            )
