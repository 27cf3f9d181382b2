"""Where the numbers of a report come from: machine, data, and the command that trains a run again."""

from __future__ import annotations

from pytest_exprun.report.markdown import experiment_report
from pytest_exprun.terms.model import Variant
from tests.report_toys import comparison, tables


def test_the_environment_names_versions_and_data_but_no_host():
    """What can change a result is there, the host's name is not."""
    text = experiment_report(comparison(provenance={"torch": "2.14.0"}))
    assert ["torch", "2.13.0", "2.14.0"] in tables(text)["Environment"]
    assert f"Losses compare only at equal `data_sha256`: `{'d' * 64}`." in text
    assert "secret-host" not in text


def test_the_command_trains_the_run_again():
    """The command is the run's own argument list."""
    text = experiment_report(
        comparison(flags=("--rope_base=500",), control=Variant(("--rope",))), trainer="train_llm:main"
    )
    command = (
        "python -m train_llm --train_tokens 1000000 --seed 42 --rope --rope_base=500 --output_dir checkpoints/again"
    )
    assert command in text.splitlines()
    assert "baseline_variance_rope_1M.md" in text


def test_the_command_keeps_every_blank_of_a_flag():
    """Two blanks and a line break are part of the value that was trained."""
    text = experiment_report(comparison(flags=("--x=a  b\nc",)), trainer="train_llm:main")
    assert r"--seed 42 $'--x=a  b\x0ac' --output_dir" in text
    recorded = comparison(provenance={"command": "train '--x=a  b\nc'"})
    assert r"train $'--x=a  b\x0ac'" in experiment_report(recorded).splitlines()


def test_a_trainer_that_is_not_called_main_is_called_by_name():
    """`python -m` runs a module's main only."""
    text = experiment_report(comparison(), trainer="pkg.train:fit")
    assert "python -c 'import sys; from pkg.train import fit; fit(sys.argv[1:])' --train_tokens 1000000" in text
