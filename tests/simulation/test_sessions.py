"""Sessions of many ideas: the simulation has its closed forms, the protocol's figures and the page's, and a ledger errs once in twenty."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import scipy.stats

sys.path.insert(0, str(Path(__file__).parent))
import levels
import numpy as np
import session_page
import session_tables
from sessions import Ideas, Strategy, paired_p, run

from pytest_exprun.verdict.confirmation import confirm

RATCHET, DEFAULT, FIVE, LEDGER = session_tables.STRATEGIES.values()
PAGE = (Path(__file__).parents[2] / "docs" / "statistics-simulation.md").read_text(encoding="utf-8")


def simulated(sessions, ideas, strategy):
    """Simulate with a seed that no other figure has."""
    return run(np.random.default_rng(20_26), sessions, ideas, strategy)


def near(share, sessions):
    """Allow four standard errors of a share."""
    return pytest.approx(share, abs=4 * (share * (1 - share) / sessions) ** 0.5)


def test_the_ratchet_keeps_records():
    """One run an idea: false keeps are the records of exchangeable values, 1/2 + 1/3 + ..., and nearly every session has one."""
    found = simulated(20_000, Ideas(100), RATCHET)
    assert found.false.mean() == pytest.approx(
        sum(1 / n for n in range(2, 102)), abs=4 * found.false.std() / 20_000**0.5
    )
    assert (found.false > 0).mean() == near(100 / 101, 20_000)
    # What it claims is the depth of the lowest of 101 normal values.
    assert found.claimed.mean() == pytest.approx(2.51, abs=0.02)
    assert (found.gain.max(), found.runs.mean()) == (0, 101)


@pytest.mark.parametrize(("ideas", "protocol", "sessions"), [(20, 0.187, 6000), (30, 0.21, 6000), (100, 0.31, 2500)])
def test_null_ideas_are_kept_as_often_as_the_protocol_says(ideas, protocol, sessions):
    """Each WINNER the next baseline, its luck included: the protocol's shares, to their own rounding and four standard errors."""
    share = (simulated(sessions, Ideas(ideas), DEFAULT).false > 0).mean()
    assert abs(share - protocol) <= 0.005 + 4 * (share * (1 - share) / sessions) ** 0.5


def test_a_confirmation_lets_one_null_in_twenty_pass():
    """At .05 each, with both arms alike in all but name: a twentieth of the WINNERs without effect, at correlation .5 too."""
    for rho in (0.0, 0.5):
        found = simulated(8000, Ideas(20, rho=rho), FIVE)
        assert found.false.sum() / found.winners.sum() == near(0.05, found.winners.sum())


@pytest.mark.parametrize("shape", session_tables.SHAPES)
def test_a_ledger_errs_in_one_session_of_twenty(shape):
    """Whatever the seeds: at most 5 % of sessions keep any idea without effect, within four standard errors."""
    share = (simulated(1000, Ideas(60, shape=shape), LEDGER).false > 0).mean()
    assert share <= 0.05 + 4 * (0.05 * 0.95 / 1000) ** 0.5


def test_confirmation_loses_no_true_gain():
    """At 1.5 sigma in one idea of ten as much is kept as without it: a WINNER by luck no longer bars the way."""
    with_it, without = (simulated(2500, Ideas(60, 1.5), each) for each in (LEDGER, DEFAULT))
    error = np.hypot(with_it.gain.std(), without.gain.std()) / 2500**0.5
    assert with_it.gain.mean() >= without.gain.mean() - 4 * error
    assert with_it.false.mean() < without.false.mean() / 4
    assert with_it.runs.mean() < 1.15 * without.runs.mean()


def test_fresh_seeds_claim_what_is_there():
    """The first looks claim far more than is gained; fresh estimates come near it."""
    with_it, without = (simulated(2500, Ideas(60, 1.5), each) for each in (LEDGER, DEFAULT))
    assert without.claimed.mean() > 1.3 * without.gain.mean()
    assert with_it.gain.mean() < with_it.claimed.mean() < 1.15 * with_it.gain.mean()


def test_the_simulated_test_is_the_packages():
    """Rows of several lengths: p and estimate are those of `confirm` and of scipy."""
    rng = np.random.default_rng(2)
    control, arm = rng.standard_normal((2, 30, 12))
    counts = rng.integers(5, 13, 30)
    p_values, estimates = paired_p(control - arm, counts)
    for row, n in enumerate(counts):
        ours = confirm(dict(enumerate(control[row, :n])), dict(enumerate(arm[row, :n])))
        assert (p_values[row], estimates[row]) == pytest.approx((ours.p_value, ours.estimate))
        theirs = scipy.stats.ttest_rel(control[row, :n], arm[row, :n], alternative="greater")
        assert p_values[row] == pytest.approx(theirs.pvalue)


def outcomes(level, p_values):
    """Return the level of each of these p values in a ledger."""
    history = []
    for p in p_values:
        alpha = level(history)
        history.append((p, alpha, p <= alpha))
    return [alpha for _, alpha, _ in history]


def test_lord_and_saffron_follow_their_papers():
    """First levels gamma_1 w_0; a success pays out; SAFFRON's time stands still at candidates. Worked out by hand from the formulas."""
    gamma = [0.0, *(0.07720838 * np.log(max(j, 2)) / (j * np.exp(np.log(j) ** 0.5)) for j in range(1, 4))]
    assert outcomes(levels.lord, [0.9, 0.9]) == pytest.approx([0.025 * gamma[1], 0.025 * gamma[2]])
    assert outcomes(levels.lord, [0.0, 0.0, 0.9]) == pytest.approx(
        [0.025 * gamma[1], 0.025 * (gamma[2] + gamma[1]), 0.025 * (gamma[3] + gamma[2]) + 0.05 * gamma[1]]
    )
    gamma = [0.0, *(j**-1.6 / 2.2857656 for j in range(1, 4))]
    assert outcomes(levels.saffron, [0.4, 0.9, 0.9]) == pytest.approx(
        [0.0125 * gamma[1], 0.0125 * gamma[1], 0.0125 * gamma[2]]
    )
    assert outcomes(levels.saffron, [0.0, 0.9]) == pytest.approx(
        [0.0125 * gamma[1], 0.0125 * gamma[1] + 0.0125 * gamma[1]]
    )


@pytest.mark.parametrize("name", ["spending", "online fallback", "LORD++", "SAFFRON"])
def test_every_level_keeps_the_false_discovery_rate(name):
    """Half of the hypotheses true, with small p values: at most a twentieth of what is kept is false, on average."""
    rng, shares = np.random.default_rng(4), []
    for _ in range(400):
        helps = rng.random(40) < 0.5
        p_values = np.where(helps, rng.random(40) ** 8, rng.random(40))
        alphas = np.array(outcomes(levels.LEVELS[name], p_values))
        kept = p_values <= alphas
        shares.append((kept & ~helps).sum() / max(1, kept.sum()))
    assert np.mean(shares) <= 0.05 + 4 * np.std(shares) / len(shares) ** 0.5


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.5, 0.9])
def test_only_the_paired_test_has_its_level_at_every_correlation(rho):
    """Its size is .05 everywhere; Welch's is above it where the arms go against each other and vanishes where they go together."""
    rng = np.random.default_rng(8)
    control, own = rng.standard_normal((2, 20_000, 5))
    arm = rho * control + (1 - rho**2) ** 0.5 * own
    paired, welch = ((test(control, arm) <= 0.05).mean() for test in (session_tables.paired, session_tables.welch))
    assert paired == near(0.05, 20_000)
    assert (welch > 0.06) == (rho < 0)
    assert (welch < 0.02) == (rho > 0)


def page_rows(heading):
    """Return the rows of a table of the generated page."""
    text = PAGE.partition(f"### {heading}\n")[2].partition("\n#")[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return lines[2:]


@pytest.mark.parametrize(
    ("row", "ideas", "strategy"),
    [
        (["normal", "100", "two_sigma"], Ideas(100), DEFAULT),
        (["normal", "100", "confirmed, 5 + 5 at .05 each"], Ideas(100), FIVE),
        (["twice the noise", "20", "confirmed in a ledger"], Ideas(20, shape="twice the noise"), LEDGER),
        (["heavy tails", "20", "one run, keep if lower"], Ideas(20, shape="heavy tails"), RATCHET),
    ],
)
def test_the_page_is_what_is_simulated(row, ideas, strategy):
    """Other random numbers give the page's shares of sessions again, within five standard errors of the smaller simulation."""
    (said,) = (float(found[3].strip(" %")) / 100 for found in page_rows("Ideas without any effect") if found[:3] == row)
    share = (simulated(1500, ideas, strategy).false > 0).mean()
    assert share == pytest.approx(said, abs=5 * ((said * (1 - said) + 1e-3) / 1500) ** 0.5)


def test_the_section_is_written_whole(monkeypatch):
    """Every table has its rows, and no figure is missing; sessions of three ideas stand in for those of 1,000."""
    monkeypatch.setattr(session_tables, "run", lambda rng, _, ideas, how: run(rng, 20, replace(ideas, count=3), how))
    text = session_page.section(2000, 1)
    headings = [re.findall(r"^### .*", each, re.MULTILINE) for each in (text, PAGE.partition(session_page.HEADING)[2])]
    assert headings[0] == headings[1]
    assert len(headings[0]) == 10
    assert "nan" not in text


def test_arms_that_are_moved_to_are_trained_no_further():
    """With the fresh seeds as the next baseline an early WINNER needs no two more runs."""
    fresh = simulated(500, Ideas(30, 3.0), Strategy(levels.fallback, moves_to_fresh=True))
    assert fresh.true.mean() > 2
    assert fresh.gain.mean() == pytest.approx(3 * fresh.true.mean())
