"""The ladder of changes that became the baseline: a row a rung, what they add up to, and what was measured of all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_exprun.report.markdown import Picture
from pytest_exprun.report.text import (
    DASH,
    NAME,
    Cells,
    aligned,
    code,
    markdown,
    narrowed,
    percent,
    places,
    plain,
    signed,
    table,
)
from pytest_exprun.terms.outcome import Summary
from pytest_exprun.verdict.sessions.ladder import Gain, Ladder, Rung

_WIDTH = 80
_DAY = 10
_GIVING_WAY = (("when", 12), ("claimed", 12))
UNCONFIRMED = "unconfirmed"


def ladder_lines(ladder: Ladder) -> list[str]:
    """Return the ladder for a terminal: a row a rung, the sum, the total, and what does not fit together."""
    rows: list[Cells] = [
        {"": "", NAME: "rung", **{title: title for title in ("claimed", "fresh seeds", "95 %", "when")}}
    ]
    rows += [_row(ladder, number, rung) for number, rung in enumerate(ladder.rungs, 1)]
    shown = narrowed(rows, _WIDTH, _GIVING_WAY)
    return [
        f"{plain(_scale(ladder))}; improvements, positive is better",
        *aligned([list(row.values()) for row in shown], texts=2),
        "",
        *map(plain, sentences(ladder)),
    ]


def _row(ladder: Ladder, number: int, rung: Rung) -> Cells:
    decimals = _decimals(ladder)
    return {
        "": str(number),
        NAME: f"{plain(rung.name)} ({plain(rung.what)})",
        "claimed": signed(rung.claim[0], decimals),
        "fresh seeds": signed(rung.fresh.estimate, decimals) if rung.fresh else DASH,
        "95 %": _interval(rung.fresh, decimals) if rung.fresh else UNCONFIRMED,
        "when": rung.time[:_DAY],
    }


def _scale(ladder: Ladder) -> str:
    scales = {f"{rung.scale[0]} at {rung.scale[2]}": None for rung in ladder.rungs}
    return ", ".join(scales)


def _decimals(ladder: Ladder) -> int:
    """Return decimals that show two digits of the smallest sigma."""
    sigmas = [abs(rung.claim[0] / rung.claim[1]) for rung in ladder.rungs if rung.claim[0] and rung.claim[1]]
    return places(Summary(2, 0.0, sigma, 0.0, 0.0) for sigma in sigmas)


def _interval(gain: Gain, decimals: int) -> str:
    low, high = gain.interval
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def sentences(ladder: Ladder) -> Iterator[str]:
    """Yield what is to be said of all rungs together: the sum, the total, gaps, and a warning where the two part."""
    decimals, one, total = _decimals(ladder), ladder.sum, ladder.total
    if one is not None:
        yield f"the rungs add up to {signed(one.estimate, decimals)} (95 %: {_interval(one, decimals)})"
    else:
        yield "the rungs cannot be added up: " + _no_sum(ladder)
    if total is None:
        yield "together they give: not measured; exprun ladder --measure trains both ends on fresh seeds"
    else:
        yield f"together they give {_total(ladder)}"
    for number, rung in enumerate(ladder.rungs, 1):
        if not rung.follows:
            yield f"rung {number} was not judged on what rung {number - 1} left: another flag, code or surroundings"
    if ladder.is_measured and not ladder.is_between_its_ends:
        yield "flags, code or surroundings of an end are not those that its rung was judged with"
    if warning := warning_of(ladder):
        yield f"WARNING: {warning}"


def _no_sum(ladder: Ladder) -> str:
    alone = [rung.name for rung in ladder.rungs if rung.fresh is None]
    return f"no fresh seeds were asked about {', '.join(alone)}" if alone else "they were judged on several scales"


def _total(ladder: Ladder) -> str:
    total, decimals = ladder.total, _decimals(ladder)
    assert total is not None
    seeds = f"on {total.seeds} fresh seeds a side, {total.time[:_DAY]}"
    if total.gain is None:
        return f"no number: a seed of today's baseline diverged ({seeds})"
    size = (
        f"{signed(total.gain.estimate, decimals)} (95 %: {_interval(total.gain, decimals)}; {percent(total.percent)})"
    )
    if total.after != ladder.rungs[-1].id:
        return f"{size}, measured {seeds}, before the last rung: exprun ladder --measure measures anew"
    if ladder.is_of_today is False:
        return (
            f"{size}, measured {seeds}; since then one of both ends was changed: exprun ladder --measure measures anew"
        )
    return f"{size}, measured {seeds}{', both on the code of then' if total.is_one_code else ''}"


def warning_of(ladder: Ladder) -> str | None:
    """Return the warning where sum and total part by more than their intervals allow."""
    one, total = ladder.sum, ladder.total
    if not ladder.parts or one is None or total is None or total.gain is None:
        return None
    decimals = _decimals(ladder)
    cause = (
        "an interaction: not each was judged on what the one before it left"
        if ladder.is_interaction
        else "each was judged on the one before it, so it is chance, one time in twenty, or a change that no key sees"
    )
    return (
        f"the rungs add up to {signed(one.estimate, decimals)}, together they give {signed(total.gain.estimate, decimals)}: they do not "
        f"add up ({cause})"
    )


def section(ladder: Ladder, picture: Picture | None) -> list[list[str]]:
    """Return the sections of the folder's list."""
    decimals = _decimals(ladder)
    header = ("Rung", "Change", "First look", "Fresh seeds", "95 % interval", "", "When")
    rows = [
        (
            f"{number}. {markdown(rung.name)}",
            code(rung.what, cell=True),
            f"{signed(rung.claim[0], decimals)} ({signed(rung.claim[1], 1)} sigmas)",
            f"{signed(rung.fresh.estimate, decimals)} on {rung.fresh_seeds} pairs" if rung.fresh else DASH,
            _interval(rung.fresh, decimals) if rung.fresh else DASH,
            "confirmed" if rung.confirmed else f"**{UNCONFIRMED}**",
            rung.time[:_DAY],
        )
        for number, rung in enumerate(ladder.rungs, 1)
    ]
    said = [f"- {markdown(line[:1].upper() + line[1:])}." for line in sentences(ladder)]
    shown = [f"![{markdown(picture.alt)}]({picture.file})", "", f"*{markdown(picture.caption)}*"] if picture else []
    about = "Changes that became the baseline one after the other; improvements, positive is better."
    return [
        ["## The ladder"],
        [f"{about} {code(_scale(ladder))}."],
        table(header, rows),
        said,
        shown,
    ]


def to_json(ladder: Ladder | None) -> dict[str, Any]:
    """Return a ladder as plain JSON values; `answer.schema.json` says which."""
    if ladder is None:
        return {"rungs": [], "sum": None, "total": None, "warning": None, "interaction": False}
    one, total = ladder.sum, ladder.total
    return {
        "rungs": [_rung(rung) for rung in ladder.rungs],
        "sum": one.to_json() if one else None,
        "total": None
        if total is None
        else {
            **(total.gain.to_json() if total.gain else dict.fromkeys(("estimate", "ci_low", "ci_high"))),
            "percent": total.percent,
            "sigmas": total.sigmas,
            "seeds": total.seeds,
            "time": total.time,
            "is_current": None if ladder.is_measured and ladder.is_of_today is None else ladder.is_measured,
        },
        "warning": warning_of(ladder),
        "interaction": ladder.is_interaction,
    }


def _rung(rung: Rung) -> dict[str, Any]:
    return {
        "name": rung.name,
        "what": rung.what,
        "time": rung.time,
        "confirmed": rung.confirmed,
        "claim": {"improvement": rung.claim[0], "sigmas": rung.claim[1]},
        "fresh": {**rung.fresh.to_json(), "seeds": rung.fresh_seeds} if rung.fresh else None,
        "metric": rung.scale[0],
        "budget": rung.scale[2],
        "follows": rung.follows,
    }
