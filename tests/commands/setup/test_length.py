"""How long a run trains: what the user says, the standard, or what the script does by itself; and what goes along with it."""

from __future__ import annotations

import shlex

import pytest

from pytest_exprun.commands.setup.given import Given
from pytest_exprun.commands.setup.length import FEWEST_STEPS, MOST_STEPS, how_long
from pytest_exprun.commands.setup.proposal import Proposal
from pytest_exprun.running.options.script_options import read_script
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Budget

SIZES = "max_iters = 600000\nbatch_size = {batch}\nblock_size = 1000\ngradient_accumulation_steps = 1\n"
BESIDE = "eval_interval = 2000\nlr_decay_iters = 600000\nwarmup_iters = 1500\neval_iters = 5000\n"
READS = "exec(open('configurator.py').read())\n"


def length_of(folder, text, command="train.py", asked=None, *, is_again=False):
    """Return the words and keys for a script, and the proposal."""
    (folder / "train.py").write_text(text)
    given = Given.read(folder, shlex.split(command))
    script = read_script(given.script)
    given.settle(script)
    made = Proposal.of(given, script)
    budget = Budget(int(asked.split()[0]), asked.split()[1]) if asked else None
    return *how_long(made, budget, is_again=is_again), made


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("case", "keys", "said"),
    [
        ((10, "train.py", None), {"tokens_per_step": "10000"}, "1M tokens a run, 100 steps of 10000; exprun_tokens"),
        ((11, "train.py", None), {"budget": "1000 steps"}, "1000 steps a run, of the 600000 that train.py takes by itself"),
        ((11, "train.py --max_iters=2000", None), {"budget": "2000 steps"}, "2000 steps a run, as the command says"),
        ((10, "train.py --max_iters 2000", None), {"budget": "2000 steps"}, "as the command says; exprun_budget changes it"),
        ((10, "train.py --batch_size=2000", None), {"budget": "1000 steps"}, "of the 600000"),
        ((10, "train.py --max_iters=9", "20 steps"), {"budget": "20 steps"}, ""),
        ((10, "train.py", "70000 tokens"), {"tokens": "70000", "tokens_per_step": "10000"}, ""),
    ],
)  # fmt: skip
def test_a_budget_is_neither_three_steps_nor_the_whole_training(folder, case, keys, said):
    """The user's number, else a million tokens if these are 100 steps or more, else a thousand of the script's own; said in steps."""
    batch, command, asked = case
    _, found, made = length_of(folder, SIZES.format(batch=batch) + READS, command, asked)
    assert found == keys
    assert said in "".join(made.said)
    assert (FEWEST_STEPS, MOST_STEPS) == (100, 1000)


def test_a_script_that_takes_fewer_steps_keeps_them(folder):
    """Nothing is made longer than it is."""
    text = SIZES.format(batch=500).replace("600000", "300") + READS
    _, keys, made = length_of(folder, text)
    assert keys == {"budget": "300 steps"}
    assert made.said == ["budget: 300 steps a run, as train.py takes by itself; exprun_budget changes it"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("1600 steps", ["--max_iters={steps}", "--eval_interval={steps}", "--lr_decay_iters={steps}"]),
        ("5000 steps", ["--max_iters={steps}", "--lr_decay_iters={steps}"]),
    ],
)
def test_what_belongs_to_the_length_goes_along(folder, asked, words):
    """A schedule as long as the run stays so; an evaluation that would never come, comes at the end; how many batches it takes is left."""
    found, _, made = length_of(folder, SIZES.format(batch=10) + BESIDE + READS, asked=asked)
    assert found == words
    assert made.notes == []


def test_a_schedule_of_its_own_stays_and_a_long_warmup_is_named(folder):
    """A decay that differs from the run's length was meant; a warm-up that the run does not reach is to be looked at."""
    found, _, made = length_of(
        folder, SIZES.format(batch=10) + BESIDE + READS, "train.py --lr_decay_iters=99 --eval_interval=5", "20 steps"
    )
    assert found == ["--max_iters={steps}"]
    assert len(made.notes) == 1
    assert "warmup_iters = 1500 of train.py is no shorter than a run of 20 steps" in made.notes[0]


def test_where_nothing_tells_it_the_line_says_what_to_give(folder):
    """But for a project that is set up already, which says it somewhere."""
    with pytest.raises(SettingsError, match="exprun init --budget '2000 steps'"):
        length_of(folder, "import torch\n")
    assert length_of(folder, "import torch\n", is_again=True)[:2] == ([], {})
