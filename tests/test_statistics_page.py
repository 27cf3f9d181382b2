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
