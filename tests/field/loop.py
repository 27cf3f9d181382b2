"""A session of thirty ideas on the reference trainer, and what each way to keep some of them would have kept.

    python tests/field/loop.py STAGE ... [--folder build/field-loop]

Stages: `try` each idea, `confirm` each winner, `truth` on twenty seeds a side that none of these saw, `ladder` (what each way kept, put
together), `table`. All but the last take long and go on where they stopped: what is there is not done again. The loop itself, the first
two, reads nothing but what `exprun ... --json` prints; nothing here knows how a verdict comes about.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.field.ideas import IDEAS, NULL, ROOT, Idea
from tests.field.lab import TRUTH_SEEDS, Lab, verdict
from tests.field.ladder import climbed, compatible, name_of
from tests.field.table import confirmed, lower_once, show, won


def try_all(lab: Lab) -> None:
    """Try each idea in turn."""
    for idea in IDEAS:
        found = lab.tried(idea)
        print(f"tried {idea.name}: {verdict(found)}, {found['seconds']:.0f} s", flush=True)


def confirm_all(lab: Lab) -> None:
    """Confirm each winner, in the order in which they were tried."""
    for idea in filter(lab.has_won, IDEAS):
        found = lab.confirmed(idea)
        print(
            f"confirm {idea.name}: exit status {found['answer']['exit_status']}, {found['seconds']:.0f} s", flush=True
        )


def find_truth(lab: Lab) -> None:
    """Train the twenty seeds of the control and of each idea, in the order of how much hangs on it, as far as that is known."""
    lab.losses("control", (), TRUTH_SEEDS)
    waiting = list(IDEAS)
    while waiting:
        idea = min(waiting, key=lambda each: urgency(lab, each))
        waiting.remove(idea)
        lab.losses(idea.name, (idea,), TRUTH_SEEDS)
        print(f"truth {idea.name}", flush=True)


def urgency(lab: Lab, idea: Idea) -> tuple[bool, ...]:
    """Return a key that sorts first what won, last what is known to be without effect, and what one run would keep before the others."""
    word = verdict(lab.tried(idea)) if lab.is_tried(idea) else ""
    return word != "WINNER", idea.kind == NULL, idea not in lower_once(lab), word == "LOSER"


def climb(lab: Lab) -> None:
    """Train what each way kept, all of it together, on the twenty seeds."""
    ways = {"climbed": climbed(lab), "winners": won(lab), "confirmed": confirmed(lab), "lower": lower_once(lab)}
    for name, picks in ways.items():
        together = compatible(picks)
        lab.losses(name_of(together), together, TRUTH_SEEDS)
        print(f"{name}: {name_of(together)}", flush=True)


STAGES: Mapping[str, Callable[[Lab], None]] = {
    "try": try_all,
    "confirm": confirm_all,
    "truth": find_truth,
    "ladder": climb,
    "table": show,
}


def main() -> None:
    """Go through the stages that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "field-loop")
    arguments = parser.parse_args()
    lab = Lab(arguments.folder.absolute())
    for stage in arguments.stages:
        STAGES[stage](lab)


if __name__ == "__main__":
    main()
