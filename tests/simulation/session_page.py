"""The section of docs/statistics-simulation.md on sessions of many ideas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from draws import MEANING
from session_tables import (
    KEPT,
    LENGTH,
    LENGTHS,
    SHAPES,
    Measured,
    baseline_rows,
    claims,
    harmful_rows,
    helpful_rows,
    level_rows,
    null_rows,
    outlook_rows,
    seen_rows,
    size_rows,
    sizing_rows,
    test_rows,
)
from sessions import Ideas

HEADING = "## Sessions of many ideas"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table of the page."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def section(trials: int, seed: int) -> str:
    """Return the section."""
    measured = Measured(trials, seed)
    words = "; ".join(f"{shape}: {MEANING[shape]}" for shape in SHAPES)
    many, few = measured.sessions(Ideas(LENGTH)), measured.sessions(Ideas(LENGTHS[-1]))
    lines = [
        HEADING,
        "",
        f"{many:,} sessions a row, {few:,} of 1,000 ideas: the standard error of a rate is at most",
        f"{50 / many**0.5:.1f} points, {50 / few**0.5:.1f} for 1,000 ideas, and a quarter of that where the rate is 2 %.",
        "Ideas come one after the other; each one that is kept becomes the next baseline with the seeds that it was judged by, its luck",
        "included. rho is 0 unless said. Gains are in sigmas of one baseline seed; the claimed one adds up the estimates that were quoted.",
        "Runs are all that were trained, five of the first baseline among them. `confirmed in a ledger` is what the package does: online",
        "fallback at .05, as many fresh seeds as the level asks for.",
        "",
        f"{words[0].upper()}{words[1:]}, and so is the baseline's once such an idea is kept.",
        "",
        "### The protocol's figures of sessions",
        "",
        *table(("What", "Protocol", "Measured"), claims(measured)),
        "### Ideas without any effect",
        "",
        *table(("Seeds", "Ideas", "Kept by", *KEPT[:2], *KEPT[4:7]), null_rows(measured)),
        "### One idea in ten helps",
        "",
        f"{LENGTH} ideas; the others have no effect, so that a false keep costs nothing but its complexity.",
        "",
        *table(("Seeds", "Effect, sigma", "Kept by", *KEPT), helpful_rows(measured)),
        "### One idea in ten helps, the others harm",
        "",
        f"{LENGTH} ideas, one in ten 1.5 sigma better, normal seeds.",
        "",
        *table(("Harm of the others, sigma", "Kept by", *KEPT), harmful_rows(measured)),
        "### The level of a confirmation",
        "",
        f"{LENGTH} ideas unless said, normal seeds, as many fresh ones as the level asks for. What was chosen, and why:",
        "[decision 0064](decisions/0064-confirmation.md).",
        "",
        *table(("Effect, sigma", "Level", *KEPT), level_rows(measured)),
        "### How many fresh seeds",
        "",
        f"{LENGTH} ideas, normal seeds, online fallback. Seeds a side stand for the levels .05, .025, .05/6 and .05/110.",
        "",
        *table(("Effect, sigma", "Enough for", "Seeds a side", *KEPT), sizing_rows(measured)),
        "### The next baseline",
        "",
        f"{LENGTH} ideas, normal seeds, confirmed in a ledger. An idea's first seeds carry the luck that it won by; its fresh ones do not.",
        "",
        *table(("Effect, sigma", "The next baseline is", *KEPT), baseline_rows(measured)),
        "### The test of a confirmation",
        "",
        f"{trials // 4:,} confirmations a row; `either` is twice the smaller of both p values. The first rate is the size.",
        "",
        *table(
            ("Seeds", "Level", "rho", "Test", "No effect", "1 sigma", "1.5 sigma", "2 sigma"),
            test_rows(trials // 4, seed),
        ),
        "### Where that level holds",
        "",
        "How often a change is confirmed whose true mean is the control's. Width is its standard deviation in the control's.",
        "",
        *table(("Seeds", "Width", "5 at .05", "10 at .025", "21 at .00045"), size_rows(trials // 4, seed)),
        "### What `exprun budget` expects",
        "",
        "Ideas without any effect, normal seeds; shares of sessions, then means a session. Fresh runs are those of all confirmations.",
        "",
        *table(
            (
                *("Rule", "Bar", "Ideas", "Any kept", "Any kept, confirmed", "False keeps"),
                *("WINNERs to confirm", "False keeps, confirmed", "Fresh runs"),
            ),
            outlook_rows(measured),
        ),
        "The true effect, in sigmas, that is found four times in five, on a baseline of its own:",
        "",
        *table(("Rule", "Bar", "WINNER", "WINNER, and confirmed"), seen_rows(trials // 4, seed)),
    ]
    return "\n".join(lines).rstrip() + "\n"
