"""What a ledger costs: `python tests/benchmarks/ledger.py [LINES]`. A line a step, in milliseconds of CPU and wall time."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Experiment, Variant
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.ledger import chain
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.questions import ASKED, OUTCOME, Question, Questions, others

LINES, ROUNDS = 100_000, 5
FOUND = {
    "result": "judged",
    "verdict": "NEUTRAL",
    "verdict_kind": "inconclusive",
    "seeds": [42, 137, 256, 512, 1024],
    "sigmas": 0.123456789,
    "delta": -0.00123456789,
    "interval": [-0.01, 0.01],
    "p_value": 0.123456789,
    "stale": False,
    "no_effect": False,
}


def question(number: int, control: str = "c") -> Question:
    """Return one of many questions on a control."""
    variant = Variant((f"--lr={number}",))
    return Question(Experiment(f"lr-{number}", variant), (Key({"arm": control}), Key({"arm": f"lr-{number}"})))


def fill(path: Path, count: int) -> None:
    """Write a ledger of so many lines, a thousand questions on each control."""
    lines, prev, moment = [], chain.FIRST, "2026-01-01T00:00:00.000000+00:00"
    for number in range(count // 2):
        control = f"c{number // 1000}"
        asked = question(number, control)
        outcome = {
            "id": asked.id,
            "control_key": asked.control_key,
            **FOUND,
            "baseline": f"{control:0>16}",
            "judged": f"{number:016x}",
        }
        how = {"mode": "run", "stale": "verify", "version": "0.1.0"}
        for kind, content in ((ASKED, {**asked.content(), **how}), (OUTCOME, outcome)):
            moment = chain.later("", moment)
            lines.append(chain.written(kind, moment, content, prev))
            prev = chain.digest(lines[-1])
    path.write_bytes(b"".join(lines))


def measured(what: str, step: Callable[[int], object], rounds: int = ROUNDS) -> None:
    """Print the medians of some rounds."""
    times = []
    for number in range(rounds):
        start = time.process_time(), time.perf_counter()
        step(number)
        times.append((1000 * (time.process_time() - start[0]), 1000 * (time.perf_counter() - start[1])))
    cpu, wall = (statistics.median(each) for each in zip(*times, strict=True))
    print(f"{what:45} {cpu:9.2f} ms of CPU {wall:9.2f} ms")


def main(count: int) -> None:
    """Measure on a ledger of so many lines."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        fill(ledger.path, count)
        print(f"{count:,} lines, {ledger.path.stat().st_size / 1e6:.1f} MB")
        measured("head", lambda _: ledger.head, 20)
        measured("a line appended", lambda number: ledger.append(ASKED, question(-1 - number).content()), 20)
        questions = Questions(ledger, Settings(trainer="toy:main"))
        measured("a new question asked", lambda number: questions.ask(question(count + number)), 20)
        measured(
            "its outcome noted", lambda number: questions.answer(question(count + number), FOUND | {"judged": "x"}), 20
        )
        measured(
            "the same question from the store",
            lambda number: questions.answer(question(count + number), FOUND | {"judged": "x"}),
            20,
        )
        measured("what one of the baselines was asked (1,000)", lambda _: others(ledger, f"{'c1':0>16}", set()))
        measured("all lines read", lambda _: ledger.entries())
        measured("verified", lambda _: ledger.verified())
        measured("merged with itself", lambda _: chain.merged(ledger.read(), ledger.read()), 1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else LINES)
