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
