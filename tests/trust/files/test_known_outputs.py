"""Files that sources name and runs only write: they are no inputs, in this session and the next."""

from __future__ import annotations

import json

import pytest

from pytest_exprun.trust.files.accesses import OpenedFiles
from pytest_exprun.trust.files.known_outputs import Outputs
from tests.ways import WAYS, make_project


def test_what_was_learned_is_known_to_the_next_session(tmp_path):
    """The names are kept in the store; nothing is written where nothing is new."""
    Outputs(tmp_path / "store", tmp_path).learn(["model.pt"])
    first = (tmp_path / "store" / "outputs.json").stat().st_ino
    again = Outputs(tmp_path / "store", tmp_path)
    again.learn(["model.pt"])
    assert again.names == {"model.pt"}
    assert (tmp_path / "store" / "outputs.json").stat().st_ino == first


def test_what_a_run_reads_is_an_input_after_all(tmp_path):
    """Also if earlier runs only wrote it."""
    heard = OpenedFiles()
    outputs = Outputs(tmp_path / "store", tmp_path, heard)
    outputs.learn(["model.pt", "log.txt"])
    heard.add(tmp_path, {"r": {"model.pt": 0.0}})
    outputs.learn([])
    assert Outputs(tmp_path / "store", tmp_path).names == {"log.txt"}


@pytest.mark.parametrize("content", ["", "{}", "3", "[" * 100_000, '[1, null, {"a": 2}]', "\x00"])
def test_a_file_that_is_not_ours_says_nothing(tmp_path, content):
    """Whatever cannot be read names no outputs."""
    (tmp_path / "outputs.json").write_text(content, encoding="utf-8")
    assert Outputs(tmp_path, tmp_path).names == set()


def test_a_store_that_cannot_be_written_is_no_error(tmp_path):
    """It is known in this session all the same."""
    (tmp_path / "file").touch()
    outputs = Outputs(tmp_path / "file", tmp_path)
    outputs.learn(["model.pt"])
    assert outputs.names == {"model.pt"}


SAVES = """
import sys
def main(argv):
    seed = int(argv[argv.index("--seed") + 1])
    loss = 2 + seed / 1000
    with open("model.pt", "w") as file:
        file.write(str(loss))
    with open("table.csv", "a") as file:
        file.write(f"{seed},{loss}\\n")
    print(f"Step 1 | val_loss: {loss}")
    return {"val_loss": loss}
"""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("way", WAYS)
def test_a_trainer_that_saves_its_model_by_name_keeps_its_stored_runs(pytester, way):
    """The file is there in the second session and named by the source, yet nothing is trained again."""
    make_project(pytester, way, SAVES)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert json.loads((pytester.path / ".exprun" / "outputs.json").read_text()) == ["model.pt", "table.csv"]
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    pytester.runpytest_inprocess("--exprun-mode=frozen").assert_outcomes(passed=1)
    assert len((pytester.path / "table.csv").read_text().splitlines()) == 5


def test_an_output_that_was_there_before_the_first_session_costs_one_training(pytester):
    """Nobody could know then that it is none of the inputs: the runs are no errors, are trained once more, and stand from then on."""
    make_project(pytester, "inprocess", SAVES)
    (pytester.path / "table.csv").write_text("", encoding="utf-8")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    again = pytester.runpytest_subprocess()
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["*stored runs do not stand: input table.csv is gone"])
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert len((pytester.path / "table.csv").read_text().splitlines()) == 5 + 5
