"""What a session of ideas came to, as the tables of docs/field/loop.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.field.ideas import IDEAS, NULL, Idea
from tests.field.lab import TRUTH_SEEDS, Answer, Lab
from tests.field.ladder import climbed, compatible, name_of

MISSING = "not trained"


@dataclass(frozen=True)
class Truth:
    """What twenty seeds a side say.

    Attributes:
        gain, low, high: the improvement and its 95 % interval, in the metric's unit.
        sigma: the control's standard deviation over its twenty seeds.
        p_value: of the paired test, two-sided.
    """

    gain: float
    low: float
    high: float
    sigma: float
    p_value: float

    def __str__(self) -> str:
        gain, low, high = (f"{each / self.sigma:+.2f}" for each in (self.gain, self.low, self.high))
        return f"{gain} ({low} to {high})"

    @property
    def word(self) -> str:
        """Say whether it is better."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "unclear"


@cache
def truth(lab: Lab, name: str) -> Truth | None:
    """Return what `exprun judge` says of the twenty seeds of an idea, or of several put together; None where some are missing."""
    files = []
    for each in ("control", name):
        runs = lab.folder / "runs" / f"{each}.json"
        losses = read(runs) if runs.exists() else {}
        if not losses.keys() >= set(map(str, TRUTH_SEEDS)):
            return None
        path = lab.folder / "truth" / f"{each}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({seed: losses[str(seed)]["val_loss"] for seed in TRUTH_SEEDS}), encoding="utf-8")
        files.append(str(path))
    report = lab.exprun("judge", *files, "--json")["answer"]["report"]
    effect, sigma = report["effects"]["val_loss"], report["evidence"]["s_b"]
    return Truth(effect["improvement"], -effect["ci_high"], -effect["ci_low"], sigma, effect["p_value"])


def read(path: Path) -> Any:
    """Return what a JSON file has."""
    return json.loads(path.read_text(encoding="utf-8"))


def row_of(lab: Lab, idea: Idea) -> Answer:
    """Return what `try` or `run` said of an idea; nothing if it was refused, or was not tried yet."""
    rows = lab.tried(idea)["answer"].get("comparisons") if lab.is_tried(idea) else []
    return dict(rows[0]) if rows else {}


def runs_of(lab: Lab, idea: Idea, arm: str) -> list[float]:
    """Return the losses of an arm of a judged idea in the order of its seeds, from the report's records."""
    path = next((lab.project / "docs" / "research").glob(f"experiment_{row_of(lab, idea)['name']}_*.json"))
    return [run["metrics"]["val_loss"] for run in read(path)[arm]]


def lower_once(lab: Lab) -> dict[Idea, float]:
    """Return the ideas whose first run is lower than the control's at the same seed, and by how much."""
    pairs = {
        idea: [runs_of(lab, idea, arm)[0] for arm in ("baseline", "experiment")] for idea in IDEAS if row_of(lab, idea)
    }
    return {idea: control - loss for idea, (control, loss) in pairs.items() if loss < control}


def won(lab: Lab) -> dict[Idea, float]:
    """Return the WINNERs and what each claims."""
    return {idea: row["baseline_mean"] - row["experiment_mean"] for idea in lab.winners() if (row := row_of(lab, idea))}


def confirmed(lab: Lab) -> dict[Idea, float]:
    """Return the confirmed WINNERs and what fresh seeds claim."""
    return {idea: confirmation(lab, idea)["estimate"] for idea in lab.confirmed_winners()}


def confirmation(lab: Lab, idea: Idea) -> Answer:
    """Return what fresh seeds said of a WINNER."""
    return dict(lab.confirmed(idea)["answer"]["comparisons"][0]["confirmation"])


def show(lab: Lab) -> None:
    """Print all tables."""
    show_ideas(lab)
    show_ways(lab)
    show_costs(lab)


def show_ideas(lab: Lab) -> None:
    """Print a row for each idea."""
    print("| idea | what | kind | one run | verdict | sigmas | p | on fresh seeds | truth, in sigmas | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    lower = lower_once(lab)
    for idea in IDEAS:
        once = "lower" if idea in lower else "not lower"
        change = f"`{' '.join(idea.flags) or idea.name}`"
        cells = [
            change,
            idea.what,
            idea.kind,
            once,
            *judged_cells(lab, idea),
            fresh_cell(lab, idea),
            *truth_cells(lab, idea),
        ]
        print("|", " | ".join(cells), "|")


def judged_cells(lab: Lab, idea: Idea) -> list[str]:
    """Return verdict, sigmas and p of the first look."""
    row = row_of(lab, idea)
    p_value = "" if not row or row["p_value"] is None else f"{row['p_value']:.2g}"
    return [row["verdict"], f"{row['sigmas_better']:+.1f}", p_value] if row else ["refused", "", ""]


def fresh_cell(lab: Lab, idea: Idea) -> str:
    """Return what fresh seeds said of a WINNER; nothing where they were not asked."""
    if not lab.has_won(idea):
        return ""
    found = confirmation(lab, idea)
    word = "confirmed" if found["confirmed"] else "not confirmed"
    return f"{word}, {found['sigmas']:+.1f}, p {found['p_value']:.2g}"


def truth_cells(lab: Lab, idea: Idea) -> list[str]:
    """Return what twenty seeds a side say, in sigmas of the control's, and in a word."""
    found = truth(lab, idea.name)
    return [str(found), found.word] if found else [MISSING, ""]


def show_ways(lab: Lab) -> None:
    """Print what each way kept, how many of that are what, what is claimed for it, and the truth of each one and of all together."""
    ways = {
        "one run against one": lower_once(lab),
        "one run each, climbing": climbed(lab),
        "each WINNER": won(lab),
        "each confirmed": confirmed(lab),
    }
    print(
        "\n| way | kept | better | without effect | worse | unclear | not trained | claimed | true, summed | together |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, picks in ways.items():
        together = truth(lab, name_of(compatible(picks)))
        print("|", " | ".join([name, *map(str, tally(lab, picks)), *gains(lab, picks), str(together)]), "|")
        print("  ", ", ".join(idea.name for idea in picks), "; put together:", len(compatible(picks)))


def tally(lab: Lab, picks: Mapping[Idea, float]) -> list[int]:
    """Count what was kept by what it truly is."""
    words = Counter(word_of(lab, idea) for idea in picks)
    return [len(picks), words["better"], words[NULL], words["worse"], words["unclear"], words[MISSING]]


def word_of(lab: Lab, idea: Idea) -> str:
    """Return what an idea truly is; of those without effect it is known."""
    found = truth(lab, idea.name)
    return NULL if idea.kind == NULL else found.word if found else MISSING


def gains(lab: Lab, picks: Mapping[Idea, float]) -> list[str]:
    """Return what is claimed for all picks, and the sum of what each truly brings, in the control's sigmas."""
    found = [each for idea in picks if (each := truth(lab, idea.name)) and idea.kind != NULL]
    sigma = found[0].sigma if found else 1.0
    return [f"{sum(picks.values()) / sigma:+.2f}", f"{sum(each.gain for each in found) / sigma:+.2f}"]


def show_costs(lab: Lab) -> None:
    """Print runs and time."""
    print(f"\n{len(list((lab.project / '.exprun').glob('*/*/seed-*.json')))} runs in the store")
    for name in ("tried", "confirmed"):
        seconds = [answer["seconds"] for answer in map(read, (lab.folder / name).glob("*.json"))]
        print(f"{name}: {len(seconds)} commands, {sum(seconds) / 60:.1f} minutes")
    runs = [run for losses in map(read, (lab.folder / "runs").glob("*.json")) for run in losses.values()]
    print(f"beside it: {len(runs)} runs, {sum(run['cpu_seconds'] for run in runs) / 60:.1f} minutes of one core")
