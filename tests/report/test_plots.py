"""The two pictures of a report: same bytes, small, inert, and nothing left behind in matplotlib."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from pytest_exprun.report import files, plots
from pytest_exprun.settings.settings import Settings
from tests.report_toys import HOSTILE, NEUTRAL, comparison

LARGEST = 60_000


def drawn(found):
    """Return the pictures' texts by kind."""
    return {one.picture.file.split("_")[-1].removesuffix(".svg"): one.draw() for one in plots.drawings(found)}


def test_the_same_comparison_gives_the_same_bytes(monkeypatch):
    """Not the user's matplotlib settings, nor what was drawn before, change a picture."""
    first = drawn(comparison(NEUTRAL))
    monkeypatch.setitem(mpl.rcParams, "grid.linestyle", ":")
    monkeypatch.setitem(mpl.rcParams, "xtick.direction", "in")
    monkeypatch.setitem(mpl.rcParams, "font.size", 30.0)
    monkeypatch.setitem(mpl.rcParams, "svg.hashsalt", None)
    drawn(comparison())
    assert drawn(comparison(NEUTRAL)) == first


def test_matplotlib_is_left_as_it_was():
    """Settings are back, and pyplot with its global figures is never loaded."""
    before = dict(mpl.rcParams)
    drawn(comparison())
    assert dict(mpl.rcParams) == before
    script = (
        "import sys; from tests.report_toys import comparison; from pytest_exprun.report.plots import drawings; "
        "[one.draw() for one in drawings(comparison())]; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("points", [4, 2000])
def test_pictures_are_small(points):
    """A long curve costs no more than a short one: a panel has a budget of points."""
    sizes = {kind: len(svg) for kind, svg in drawn(comparison(NEUTRAL, points=points)).items()}
    assert set(sizes) == {"curves", "seeds"}
    assert max(sizes.values()) < LARGEST


def test_pictures_turn_dark_where_the_viewer_prefers_dark():
    """Each of our colours has its dark partner, and each is really used."""
    both = "".join(drawn(comparison()).values())
    assert both.count("prefers-color-scheme: dark") == 2
    for light, dark in plots.DARK.items():
        assert f": {light}" in both
        assert f":{dark}!important" in both


@pytest.mark.parametrize("name", ["$\\frac{1}$ _x", "\N{GRINNING FACE} \u6f22", HOSTILE])
def test_hostile_names_are_drawn_as_text(name):
    """Dollars are no formula, unknown letters no warning (which is an error here), markup no XML."""
    for svg in drawn(comparison(name=name)).values():
        root = ET.fromstring(svg)
        assert root.tag.endswith("svg")
        assert not root.findall(".//{*}script")


@pytest.mark.parametrize("values", [(1.9, None, 1.92), (None, None, None), (2.0, 2.01, 2.02, 1.99, 1.98)])
def test_diverged_and_identical_arms_can_be_drawn(values):
    """What has no mean or no spread leaves a gap, no crash."""
    assert drawn(comparison(values)).keys() >= {"seeds"}


def test_no_curves_without_progress_lines():
    """A trainer that prints nothing has the picture of its seeds only."""
    assert set(drawn(comparison(points=1))) == {"seeds"}


def test_without_matplotlib_reports_have_no_pictures(monkeypatch, tmp_path):
    """The extra is optional: no picture, no link to one, no error."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else real(name))
    path = files.write_experiment(comparison(), tmp_path, Settings())
    assert "![" not in path.read_text()
    assert not list(tmp_path.glob("*.svg"))


def test_a_picture_is_drawn_again_only_if_it_would_change(monkeypatch, tmp_path):
    """A session that trains nothing draws nothing; new runs do."""
    files.write_experiment(comparison(), tmp_path, Settings())
    old = {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
    assert set(old) == {"experiment_rope_1M_curves.svg", "experiment_rope_1M_seeds.svg"}
    with monkeypatch.context() as patch:
        patch.setattr(plots, "svg", lambda *_: pytest.fail("drawn again"))
        files.write_experiment(comparison(), tmp_path, Settings())
    files.write_experiment(comparison(NEUTRAL), tmp_path, Settings())
    assert all(path.read_text() != old[path.name] for path in tmp_path.glob("*.svg"))


def test_a_report_shows_its_pictures_with_alt_text_and_caption(tmp_path):
    """Both links lead to files beside the report."""
    text = files.write_experiment(comparison(), tmp_path, Settings()).read_text()
    assert "](experiment_rope_1M_curves.svg)" in text
    assert "the difference: -0.0900 (-4.5 %).](experiment_rope_1M_seeds.svg)" in text
