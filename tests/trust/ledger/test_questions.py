"""What a session puts into the ledger: what is asked before it is trained, once, and what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import Experiment, Tree, Variant
from pytest_exprun.trust.ledger.ledger import Ledger
from pytest_exprun.trust.ledger.questions import Question, Questions, others
from tests.stored import BASELINE, ROPE, make_key

EXPERIMENT = Experiment("rope", ROPE)
ASKED = Question(EXPERIMENT, (make_key(BASELINE), make_key(ROPE)))
FOUND = {"result": "judged", "verdict": "WINNER", "baseline": "b" * 16, "judged": "1" * 16, "no_effect": False}


@pytest.fixture
def new_questions(tmp_path):
    """Return a function that makes what a process of a session has."""

    def make(mode="run"):
        return Questions(Ledger(tmp_path), Settings(trainer="toy:main", mode=mode))

    return make


def story(ledger):
    """Return what the lines say in a few words, after checking that the ledger is valid."""
    assert ledger.verified().faults == ()
    return [each["result"] if each["kind"] == "outcome" else each["kind"] for each in ledger.entries()]


# One process and another.


def test_a_question_is_asked_once_and_answered_once(new_questions):
    """However often it is said, in this process or in the next one."""
    for is_asked in (True, False):
        questions = new_questions()
        if is_asked:
            questions.ask(ASKED)
            questions.ask(ASKED)
        questions.answer(ASKED, FOUND)
        questions.answer(ASKED, FOUND)
    assert story(questions.ledger) == ["asked", "judged"]


def test_what_a_question_says(new_questions):
    """Everything that is asked, by content: flags, keys, trees, the diff's hash, how it is judged, and by which code."""
    questions = new_questions()
    questions.ask(ASKED)
    (line,) = questions.ledger.entries()
    assert line["flags"] == ["--rope"]
    assert (line["control_flags"], line["control_key"], line["key"]) == ([], ASKED.keys[0].short, ASKED.keys[1].short)
    assert (line["metric"], line["rule"], line["min_effect"], line["gate"]) == (
        "val_loss",
        "two_sigma",
        2.0,
        "not_loser",
    )
    assert (line["budget"], line["seeds"], line["mode"], line["stale"]) == (
        "1000000 tokens",
        [42, 137, 256, 512, 1024],
        "run",
        "verify",
    )
    assert (line["tree"], line["patch"]) == (None, None)
    assert line["version"]


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"name": "another"}, True),
        ({"gate": "winner"}, True),
        ({"nodeids": ("x",)}, True),
        ({"variant": replace(ROPE, tree=Tree("1" * 40, "branch"))}, True),  # the keys say what is the same
        ({"rule": "tested"}, False),
        ({"min_effect": 1.0}, False),
        ({"metric": "accuracy"}, False),
        ({"seeds": (1, 2, 3)}, False),
        ({"baseline_seeds": (42, 137, 256, 512, 1024, 2048)}, False),
    ],
)
def test_the_same_question(changes, is_same):
    """Content and judgement make it; what it is called does not."""
    assert (Question(replace(EXPERIMENT, **changes), ASKED.keys).id == ASKED.id) is is_same


def test_another_key_is_another_question():
    """Of either arm; where no key can be told flags and trees stand for it."""
    other = make_key(source="1" * 64)
    assert (
        len(
            {ASKED.id, Question(EXPERIMENT, (other, ASKED.keys[1])).id, Question(EXPERIMENT, (ASKED.keys[0], other)).id}
        )
        == 3
    )
    unknown = [Question(replace(EXPERIMENT, variant=each), (None, None)).id for each in (ROPE, Variant(("--x",)))]
    assert len({*unknown, ASKED.id}) == 3


def test_workers_ask_once(new_questions):
    """The second one finds the question open, and after it the same answer."""
    first, second = new_questions(), new_questions()
    first.ask(ASKED)
    second.ask(ASKED)
    first.answer(ASKED, FOUND)
    second.answer(ASKED, FOUND)
    assert story(first.ledger) == ["asked", "judged"]


def test_a_killed_question_is_taken_up_again(new_questions):
    """It is open until somebody answers it."""
    new_questions().ask(ASKED)
    again = new_questions()
    again.ask(ASKED)
    again.answer(ASKED, FOUND)
    assert story(again.ledger) == ["asked", "judged"]


def test_training_again_is_asking_again(new_questions):
    """Run until lucky: each time two lines, even where nothing else came out."""
    for _ in range(3):
        questions = new_questions()
        questions.ask(ASKED)
        questions.answer(ASKED, FOUND)
    assert story(questions.ledger) == ["asked", "judged"] * 3


def test_seeds_that_a_gate_wants_later_are_of_the_same_asking(new_questions):
    """In one process a question is asked once, also after its answer."""
    questions = new_questions()
    questions.ask(ASKED)
    assert questions.waits(ASKED)
    questions.answer(ASKED, FOUND)
    questions.ask(ASKED)
    assert not questions.waits(ASKED)
    assert story(questions.ledger) == ["asked", "judged"]


def test_no_secret_is_written(new_questions, monkeypatch):
    """Wherever one stands."""
    monkeypatch.setattr("pytest_exprun.terms.secrets._TRUE", {"hidden-0123456789abcdef": "correct-horse"})
    questions = new_questions()
    questions.ask(Question(replace(EXPERIMENT, common_args=("--x=correct-horse",)), ASKED.keys))
    questions.fail(ASKED, TrainerError("correct-horse"))
    assert b"correct-horse" not in questions.ledger.path.read_bytes()
    assert questions.ledger.path.read_bytes().count(b"hidden-0123456789abcdef") == 2


def test_another_answer_from_the_store_is_noted(new_questions):
    """A verdict that is new is a line, though nothing was trained for it."""
    new_questions().answer(ASKED, FOUND)
    new_questions().answer(ASKED, {**FOUND, "verdict": "NEUTRAL"})
    assert story(new_questions().ledger) == ["asked", "judged"] * 2


def test_errors(new_questions):
    """With runs an error, without runs refused, and that only once."""
    questions = new_questions()
    questions.ask(ASKED)
    questions.fail(ASKED, TrainerError("seed 42 of --rope: it crashed"))
    for _ in range(2):
        new_questions().fail(ASKED, TrainerError("no such flag" + "!" * 1000))
    assert story(questions.ledger) == ["asked", "error", "asked", "refused"]
    assert questions.ledger.entries()[1]["reason"] == "seed 42 of --rope: it crashed"
    assert len(questions.ledger.entries()[3]["reason"]) == 500


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_stops_what_is_open(new_questions, error):
    """Not what another worker has answered by then."""
    questions, answered = new_questions(), Question(replace(EXPERIMENT, rule="tested"), ASKED.keys)

    def block():
        with questions.interruptible():
            questions.ask(ASKED)
            questions.ask(answered)
            new_questions().answer(answered, FOUND)
            raise error

    with pytest.raises(error):
        block()
    assert story(questions.ledger) == ["asked", "asked", "judged", "stopped"]
    assert questions.ledger.entries()[3] | {"id": ASKED.id, "reason": error.__name__} == questions.ledger.entries()[3]


@pytest.mark.parametrize("mode", ["plan", "frozen"])
def test_modes_that_train_nothing_write_nothing(new_questions, mode):
    """Whatever they find."""
    questions = new_questions(mode)
    questions.ask(ASKED)
    questions.answer(ASKED, FOUND)
    questions.fail(ASKED, TrainerError("x"))
    assert not questions.ledger.path.exists()


# How much a baseline was asked.


def asked(number, **found):
    """Return a question on the same control, and what became of it."""
    return Question(EXPERIMENT, (ASKED.keys[0], make_key(source=f"{number:064x}"))), {
        **FOUND,
        "judged": f"{number:016x}",
        **found,
    }


def test_what_else_a_baseline_was_asked(new_questions):
    """All but what is known, refused, without effect, or judged by other runs; also what crashed, was stopped, or has no outcome."""
    questions = new_questions()
    outcomes = [
        {},
        {},
        {"no_effect": True},
        {"baseline": "c" * 16},
        {"result": "refused"},
        {"result": "error"},
        {"result": "stopped"},
        None,
    ]
    for number, outcome in enumerate(outcomes):
        question, found = asked(number, **(outcome or {}))
        questions.ask(question)
        if outcome is not None:
            questions.answer(question, found)
    questions.ask(Question(replace(EXPERIMENT, metric="accuracy"), ASKED.keys))  # is of the family of that metric
    elsewhere = Question(EXPERIMENT, (make_key(source="e" * 64), ASKED.keys[1]))
    questions.answer(elsewhere, {**FOUND, "baseline": "d" * 16})
    assert others(questions.ledger, "b" * 16, {f"{0:016x}"}) == [("two_sigma", 2.0)] * 4
    assert others(questions.ledger, "b" * 16, ()) == [("two_sigma", 2.0)] * 5
    assert others(questions.ledger, "f" * 16, ()) == []


def test_a_harmless_edit_does_not_make_a_baseline_young(new_questions):
    """Where the same values of the baseline stand under another key, both keys' questions count, and the same numbers once."""
    questions = new_questions()
    edited = make_key(BASELINE, source="e" * 64)
    for question, found in (asked(1), asked(2)):
        questions.answer(question, found)
    questions.answer(Question(EXPERIMENT, (edited, make_key(source="2" * 64))), asked(2)[1])
    questions.answer(Question(EXPERIMENT, (edited, make_key(source="3" * 64))), asked(3)[1])
    assert len(others(questions.ledger, "b" * 16, {f"{3:016x}", f"{2:016x}"})) == 1
