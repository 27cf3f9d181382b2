"""What a session of ideas came to, as the tables of docs/field/loop.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tests.field.ideas import IDEAS, NULL, Idea
from tests.field.lab import TRUTH_SEEDS, Answer, Lab
from tests.field.ladder import climbed, compatible


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
        losses = json.loads(runs.read_text(encoding="utf-8")) if runs.exists() else {}
        if not losses.keys() >= set(map(str, TRUTH_SEEDS)):
            return None
        path = lab.folder / "truth" / f"{each}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({seed: losses[str(seed)]["val_loss"] for seed in TRUTH_SEEDS}), encoding="utf-8")
        files.append(str(path))
    report = lab.exprun("judge", *files, "--json")["answer"]["report"]
    effect, sigma = report["effects"]["val_loss"], report["evidence"]["s_b"]
    return Truth(effect["improvement"], -effect["ci_high"], -effect["ci_low"], sigma, effect["p_value"])


def row_of(lab: Lab, idea: Idea) -> Answer:
    """Return what `try` or `run` said of an idea; nothing if it was refused, or was not tried yet."""
    rows = lab.tried(idea)["answer"].get("comparisons") if lab.is_tried(idea) else []
    return dict(rows[0]) if rows else {}


def runs_of(lab: Lab, idea: Idea, arm: str) -> list[float]:
    """Return the losses of an arm of a judged idea in the order of its seeds, from the report's records."""
    path = next((lab.project / "docs" / "research").glob(f"experiment_{row_of(lab, idea)['name']}_*.json"))
    return [run["metrics"]["val_loss"] for run in json.loads(path.read_text(encoding="utf-8"))[arm]["runs"]]


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
    print("| idea | what | kind | one run | verdict | sigmas | p | fresh seeds | truth, in sigmas | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    lower, winners = lower_once(lab), lab.winners()
    for idea in IDEAS:
        row, found = row_of(lab, idea), truth(lab, idea.name)
        verdict = (
            [row["verdict"], f"{row['sigmas_better']:+.1f}", f"{row['p_value']:.2g}"] if row else ["refused", "", ""]
        )
        fresh = confirmation(lab, idea) if idea in winners else {}
        said = (
            f"{'yes' if fresh['confirmed'] else 'no'}, {fresh['sigmas']:+.1f}, p {fresh['p_value']:.2g}"
            if fresh
            else ""
        )
        once = "lower" if idea in lower else "higher" if row else ""
        true = [str(found), found.word] if found else ["not trained", ""]
        change = f"`{' '.join(idea.flags) or idea.name}`"
        print("|", " | ".join([change, idea.what, idea.kind, once, *verdict, said, *true]), "|")


def show_ways(lab: Lab) -> None:
    """Print what each way kept, what it claims for that, and what the twenty seeds say."""
    ways = {
        "one run against one": (lower_once(lab), "all-lower"),
        "one run each, climbing": (climbed(lab), "all-climbed"),
        "each WINNER": (won(lab), "all-winners"),
        "each confirmed": (confirmed(lab), "all-confirmed"),
    }
    print("\n| way | kept | better | without effect | worse | unclear | claimed | true, summed | together |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (picks, together) in ways.items():
        print("|", " | ".join([name, *map(str, tally(lab, picks)), *gains(lab, picks), str(truth(lab, together))]), "|")
        print("  ", ", ".join(idea.name for idea in picks), "; together:", len(compatible(picks)))


def tally(lab: Lab, picks: Mapping[Idea, float]) -> list[int]:
    """Count what was kept by what it truly is."""
    words = Counter(word_of(lab, idea) for idea in picks)
    return [len(picks), words["better"], words[NULL], words["worse"], words["unclear"]]


def word_of(lab: Lab, idea: Idea) -> str:
    """Return what an idea truly is; of those without effect it is known."""
    found = truth(lab, idea.name)
    return NULL if idea.kind == NULL else found.word if found else "not trained"


def gains(lab: Lab, picks: Mapping[Idea, float]) -> list[str]:
    """Return what is claimed for all picks, and the sum of what each truly brings, in the control's sigmas."""
    found = [each for idea in picks if (each := truth(lab, idea.name)) and idea.kind != NULL]
    sigma = found[0].sigma if found else 1.0
    return [f"{sum(picks.values()) / sigma:+.2f}", f"{sum(each.gain for each in found) / sigma:+.2f}"]


def show_costs(lab: Lab) -> None:
    """Print runs and time."""
    records = [
        json.loads(path.read_text(encoding="utf-8")) for path in (lab.project / ".exprun").glob("*/*/seed-*.json")
    ]
    print(f"\n{len(records)} runs in the store")
    for name in ("tried", "confirmed"):
        seconds = [
            json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in (lab.folder / name).glob("*.json")
        ]
        print(f"{name}: {len(seconds)} commands, {sum(seconds) / 60:.1f} minutes")
    runs = [each for path in (lab.folder / "runs").glob("*.json") for each in json.loads(path.read_text()).values()]
    print(f"beside it: {len(runs)} runs, {sum(run['cpu_seconds'] for run in runs) / 60:.1f} minutes of one core")
