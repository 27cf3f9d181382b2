"""The protocol's error rates hold: every simulated figure measured again, fixed seed, tolerances from the number of trials."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import draws
import figures
import numpy as np
import pictures
import simulate
import twin

TRIALS = 20_000
CLOSED_FORM = {3: 0.025989847100962967, 5: 0.017054711583704814}


@pytest.fixture(scope="module")
def measured():
    """Return all figures, about seven CPU-seconds."""
    return simulate.measure(TRIALS, seed=20_25)


def test_every_figure_of_the_protocol_is_measured_again(measured):
    """Each (sim) figure, within its own rounding and four standard errors."""
    claims = [figure for figure in measured if figure.protocol is not None]
    assert len(claims) >= 55
    assert [figure for figure in claims if not figure.agrees] == []


def test_the_targets_of_tested_are_kept(measured):
    """False verdicts, strict gate, Holm, coverage and futility keep their limits, within four standard errors."""
    targets = [figure for figure in measured if figure.at_most is not None or figure.at_least is not None]
    assert len(targets) >= 30
    assert [figure for figure in targets if not figure.keeps_its_target] == []


def test_a_wrong_figure_would_be_found(measured):
    """The check has teeth: a rate off by a twentieth of itself, or a target missed by that much, does not pass."""
    power = next(f for f in measured if f.section == "two_sigma, rho = 0" and f.name == "power at 2 sigma")
    assert not replace(power, protocol=1.05 * power.value).agrees
    assert not replace(power, at_most=0.95 * power.value).keeps_its_target
    assert not replace(power, at_least=1.05 * power.value).keeps_its_target


@pytest.mark.parametrize("count", [3, 5])
def test_the_bar_alone_has_its_closed_form(count):
    """At a fixed number of seeds (mean_b - mean_e) / s_b is sqrt(1/n_b + 1/n_e) t_4: the draws and the twin reproduce its tail."""
    baseline, experiment = draws.arms(np.random.default_rng(5), 200_000)
    excess = twin.welch(baseline, experiment[:, :count]).estimate >= 2 * baseline.std(axis=1, ddof=1)
    error = np.sqrt(CLOSED_FORM[count] / len(excess))
    assert excess.mean() == pytest.approx(CLOSED_FORM[count], abs=4 * error)


@pytest.mark.parametrize("rho", figures.RHOS)
def test_arms_have_the_correlation_and_the_effect_asked_for(rho):
    """Seed by seed correlation rho, a mean better by the improvement, unit variance."""
    baseline, experiment = draws.arms(np.random.default_rng(6), 50_000, improvement=1.5, rho=rho)
    assert np.corrcoef(baseline.ravel(), experiment.ravel())[0, 1] == pytest.approx(rho, abs=0.01)
    assert (baseline.mean() - experiment.mean(), experiment.std()) == (
        pytest.approx(1.5, abs=0.02),
        pytest.approx(1, abs=0.01),
    )


@pytest.mark.parametrize("shape", [shape for shape in draws.SHAPES if shape != "heavy tails"])
def test_arms_of_every_shape_are_exchangeable_or_as_named(shape):
    """Both arms have the same mean without an effect; the spread is one sigma, or two where the name says so."""
    baseline, experiment = draws.arms(np.random.default_rng(7), 60_000, shape)
    spread = experiment.std() / baseline.std()
    assert spread == pytest.approx(2.0 if shape == "twice the noise" else 1.0, rel=0.05)
    assert baseline.mean() - experiment.mean() == pytest.approx(0, abs=0.02 * baseline.std())


def test_the_page_holds_every_claim_and_target(measured):
    """The generated page lists each figure with a protocol value or a target, and a table a shape."""
    text = simulate.page(measured, TRIALS, 1)
    assert sum(line.startswith("| ") for line in text.splitlines()) > 130
    assert all(f"### {shape.capitalize()}" in text for shape in draws.SHAPES)
    assert "**no**" not in text


def test_pictures_are_the_same_bytes_each_time_and_turn_dark():
    """No date, no random ids; every colour of ours has its dark one; a viewer that prefers dark is asked for."""
    draw, size = pictures.PICTURES["sensitivity"]
    text = pictures.svg(draw, size)
    assert text == pictures.svg(draw, size)
    assert "prefers-color-scheme: dark" in text
    assert all(f"stroke: {colour}" in text for colour in (pictures.BLUE, pictures.ORANGE, pictures.GREEN))
