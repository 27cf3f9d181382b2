"""`exprun init`: from a script to the first plan."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun import cli
from pytest_exprun.cli import main
from pytest_exprun.settings.project import find_project
from pytest_exprun.settings.templates import fill

ARGPARSE = """
import argparse, torch
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--max-steps", type=int, default=2000)
parser.add_argument("--batch_size", type=int, default=16)
parser.add_argument("--seq_len", type=int, default=64)
parser.add_argument("--output_dir")
parser.add_argument("--lr", type=float, default=3e-4)
args = parser.parse_args()
torch.manual_seed(args.seed)
print(f"Step 1 | val_loss: {1.0}")
"""
CONFIGURATOR = """import os
rank = 0
out_dir = "out"
max_iters = 5 * 100
compile = True
exec(open("configurator.py").read())
torch.manual_seed(1337 + rank)
torch.cuda.manual_seed(7)
print(f"step {1}: train loss {1.0:.4f}, val loss {2.0:.4f}")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder to stand in, in a repository with a commit."""
    monkeypatch.chdir(tmp_path)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "a")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@b")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    return tmp_path


def names_in(folder):
    """Return what lies in a folder, git's own apart."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".git")


def settings_of(folder):
    """Read what the project says now."""
    return find_project(folder, {}).settings({})


def test_a_script_with_options(folder, capsys):
    """Seed, folder, steps and their size come from the options; the first experiment doubles the learning rate."""
    (folder / "train.py").write_text(ARGPARSE)
    assert main(["init"]) == 0
    settings = settings_of(folder)
    assert settings.command == (
        *("python", "train.py", "--seed={seed}", "--output_dir={output_dir}", "--max-steps={steps}", "{flags}"),
    )
    assert settings.tokens_per_step == 16 * 64
    assert (settings.budget.amount, settings.budget.unit) == (1_000_000, "tokens")
    assert '@experiment("--lr=0.0006")' in (folder / "experiments" / "test_lr.py").read_text()
    out = capsys.readouterr().out
    first, edit, flag = out.partition("next:\n")[2].splitlines()
    assert first == '  git add pytest.ini experiments/test_lr.py && git commit -m "how to train"'
    assert edit.startswith("  exprun try    # ")
    assert flag.startswith("  pytest experiments/ -k lr    # ")
    assert "budget: 1M tokens a run, 977 steps of 1024; exprun_tokens changes it" in out
    assert "to do" not in out


@pytest.mark.parametrize(
    ("budget", "told"), [("70 steps", "--max-steps={steps}"), ("5000 tokens", "--max_tokens={train_tokens}")]
)
def test_a_given_budget_is_told_by_its_own_option(folder, budget, told):
    """--budget goes through the script's option for that unit."""
    (folder / "train.py").write_text(
        ARGPARSE.replace("args =", 'parser.add_argument("--max_tokens", type=int)\nargs =')
    )
    assert main(["init", "--budget", budget]) == 0
    settings = settings_of(folder)
    assert told in settings.command
    assert f"{settings.budget.amount} {settings.budget.unit}" == budget


@pytest.mark.parametrize("budget", ["20", "x steps", "0 steps", "2 minutes", "1.5 steps"])
def test_a_budget_that_is_none_is_refused(folder, capsys, budget):
    """One line says what is allowed, and nothing is written."""
    (folder / "train.py").write_text(ARGPARSE)
    assert main(["init", "--budget", budget]) == 2
    assert f"exprun_budget = '{budget}': allowed is an amount and its unit" in capsys.readouterr().err
    assert names_in(folder) == ["train.py"]


def test_a_script_with_a_configurator_and_a_hard_coded_seed(folder, capsys):
    """Module variables are the options; every line that fixes the seed is changed by the patch, which is shown and written."""
    (folder / "train_gpt.py").write_text(CONFIGURATOR)
    assert main(["init"]) == 0
    settings = settings_of(folder)
    assert settings.env == ("SEED={seed}",)
    assert str(settings.budget) == "500 steps"
    out = capsys.readouterr().out
    patch = (folder / "exprun-init.patch").read_text()
    assert patch in out
    assert "next:\n  git apply exprun-init.patch" in out
    assert '+torch.manual_seed(int(os.environ.get("SEED", "1337")) + rank)' in patch
    assert '+torch.cuda.manual_seed(int(os.environ.get("SEED", "7")))' in patch


def test_a_function_that_keeps_the_contract_is_called(folder):
    """`main(argv)` that returns its metrics needs no command."""
    (folder / "train.py").write_text("def main(argv):\n    return {'val_loss': 1.0}\n")
    assert main(["init"]) == 0
    assert settings_of(folder).trainer == "train:main"
    assert settings_of(folder).command == ()


@pytest.mark.parametrize(
    ("parameters", "budget"),
    [("train_tokens", "1000000 tokens"), ("train_steps=70", "70 steps"), ("*, train_seconds", "300 seconds")],
)
def test_a_function_with_a_seed_is_called_by_keywords(folder, parameters, budget):
    """The trainer is the function; its budget is in the unit of its parameter, its own parameters are the flags."""
    (folder / "mylab.py").write_text(f"def train_model(seed, {parameters}, lr=0.25):\n    return 1.0\n")
    assert main(["init"]) == 0
    settings = settings_of(folder)
    assert (settings.trainer, settings.command) == ("mylab:train_model", ())
    assert f"{settings.budget.amount} {settings.budget.unit}" == budget
    assert "--lr=0.5" in (folder / "experiments" / "test_lr.py").read_text()


def test_a_file_that_trains_nothing_gets_no_command(folder, capsys):
    """A function that wants what nobody can give is refused with what it lacks; nothing is written."""
    (folder / "mylab.py").write_text("import math\n\ndef train_model(data, lr=0.25):\n    return 1.0\n")
    assert main(["init", "mylab.py", "--budget", "9 steps"]) == 2
    assert "it trains nothing. Give one the parameters seed and train_tokens" in capsys.readouterr().err
    assert names_in(folder) == ["mylab.py"]


SKLEARN = """import random

def train(depth=3, rate=0.25, random_state=0):
    accuracy = random.Random(random_state).random() * rate
    return accuracy
"""
NO_OPTIONS = """import random
RATE = 0.25
for step in range(30):
    loss = random.random() * RATE  # .backward()
    print(f"test loss = {loss:.4f}", loss.train if step < 0 else "")
"""


@pytest.mark.parametrize(
    ("source", "metric", "budget"), [(SKLEARN, "accuracy", "1 steps"), (NO_OPTIONS, "test_loss", "30 steps")]
)
def test_without_any_option_the_patch_is_all_that_lacks(pytester, monkeypatch, source, metric, budget):
    """No flag, no seed, no argparse: after init and its patch, the printed commands plan, train and judge."""
    monkeypatch.chdir(pytester.path)
    (pytester.path / "mylab.py").write_text(source)
    assert main(["init"]) == 0
    settings = settings_of(pytester.path)
    assert (settings.metric, f"{settings.budget.amount} {settings.budget.unit}") == (metric, budget)
    subprocess.run(["git", "apply", "exprun-init.patch"], check=True)
    for mode, outcome in (("plan", {}), ("run", {"passed": 1})):
        options = ("experiments/", f"--exprun-mode={mode}", "-p", "no:cacheprovider", "--import-mode=importlib")
        result = pytester.runpytest_subprocess(*options)
        assert result.ret in (0, 1)
        counts = result.parseoutcomes()
        assert not counts.get("errors", 0)
        assert bool(counts.get("passed", 0) + counts.get("failed", 0)) is bool(outcome)


def test_imported_files_are_read_for_the_metric_and_the_seed(folder):
    """What another file prints and seeds is known; the metric's direction by its name."""
    (folder / "train.py").write_text(
        ARGPARSE.replace("torch.manual_seed", "from lab import go\ngo").replace("print", "str")
    )
    (folder / "lab.py").write_text(
        'def go(seed):\n    random.seed(seed)\n    print(f"Step {1}: Val Loss: {2}, Val Acc: {3}")\n'
    )
    assert main(["init"]) == 0
    assert not (folder / "exprun-init.patch").exists()
    assert settings_of(folder).metric == "val_loss"


def test_a_default_is_taken_from_where_it_is(folder):
    """An option that only overrides a field of an imported class is doubled from that field's number."""
    option = '"--muon_lr", type=float'
    (folder / "train.py").write_text(ARGPARSE.replace('"--lr", type=float, default=3e-4', option) + "import config\n")
    (folder / "config.py").write_text("@dataclass\nclass C:\n    muon_lr: float = 0.25\n")
    assert main(["init"]) == 0
    assert (folder / "experiments" / "test_muon_lr.py").read_text().count("--muon_lr=0.5") == 2


def test_a_script_that_only_fits_is_one_step(folder, capsys):
    """There is no loop and no option: what it does by itself is the budget, and that is said."""
    (folder / "fit.py").write_text("model = Forest(random_state=0).fit(x)\nprint('accuracy:', model.score(x))\n")
    assert main(["init"]) == 0
    assert str(settings_of(folder).budget) == "1 steps"
    out = " ".join(capsys.readouterr().out.split())
    assert "is called 1 step" in out
    assert "reads no command line: give it an option" in out


def test_a_metric_with_another_name_gets_a_pattern(folder):
    """With its direction; what makes data is named and left."""
    text = ARGPARSE.replace("val_loss: {1.0}", "episodic_return={2}") + "split(x, random_state=0)\n"
    (folder / "train.py").write_text(text)
    assert main(["init"]) == 0
    settings = settings_of(folder)
    assert settings.metric == "episodic_return"
    assert settings.directions("episodic_return", None, "") == ()
    assert re.search(settings.pattern, "Step 3 | episodic_return=[ 22.]")["episodic_return"] == "22."


def test_an_option_that_the_script_overwrites_is_not_handed_out(folder):
    """`num_iterations` is computed from `total_timesteps`, which is the budget."""
    fields = "seed: int = 1\n    num_steps: int = 128\n    num_iterations: int = 0\n    total_timesteps: int = 900"
    (folder / "ppo.py").write_text(
        f"import tyro\n@dataclass\nclass Args:\n    {fields}\n\nargs = tyro.cli(Args)\n"
        "args.num_iterations = args.total_timesteps // 2\nrandom.seed(args.seed)\nprint(f'val_loss: {1}')\n"
    )
    assert main(["init"]) == 0
    assert "--total_timesteps={steps}" in settings_of(folder).command
    assert str(settings_of(folder).budget) == "900 steps"


@pytest.mark.parametrize(("default", "changed"), [("0.0", "0.1"), ("0.25", "0.5")])
def test_the_first_experiment_changes_an_ordinary_option(folder, default, changed):
    """Without a learning rate, the first number with a default that is no seed, budget, folder or log."""
    options = ARGPARSE.replace('"--lr", type=float, default=3e-4', f'"--dropout", type=float, default={default}')
    (folder / "train.py").write_text(options.replace("args =", 'parser.add_argument("--wd", default=0.1)\nargs ='))
    assert main(["init"]) == 0
    assert f'@experiment("--dropout={changed}")' in (folder / "experiments" / "test_dropout.py").read_text()


def test_a_script_without_any_option(folder, capsys):
    """Seed and folder go through the environment; how long it trains must be said."""
    (folder / "train.py").write_text("import torch\nloss.backward()\ntorch.save(model, 'm.pt')\n")
    assert main(["init"]) == 2
    assert "exprun init --budget '2000 steps'" in capsys.readouterr().err
    assert main(["init", "--budget", "2000 steps"]) == 0
    settings = settings_of(folder)
    assert settings.env == ("SEED={seed}", "OUTPUT_DIR={output_dir}")
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("to do:") == 4  # the folder, the first option, the metric, the patch
    assert "print lines such as 'Step 100 | val_loss: 2.3456'" in out


def test_a_given_command_is_checked(folder, capsys):
    """--command is taken as it is, or refused with the reason, and then nothing is written."""
    assert main(["init", "--command", "torchrun train.py {flags}", "--budget", "9 steps"]) == 2
    assert "no {seed}" in capsys.readouterr().err
    assert not names_in(folder)
    assert main(["init", "--command", "torchrun t.py {seed} {output_dir} {flags}", "--budget", "9 steps"]) == 0
    assert settings_of(folder).command[0] == "torchrun"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "pyproject.toml",
            '[project]\nname = "x"\n\n[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.other]\na = 1\n',
        ),
        ("pyproject.toml", '[tool.pytest]\naddopts = ["-q"]\n'),
        ("pytest.ini", "[pytest]\naddopts = -q\n"),
        ("setup.cfg", "[metadata]\nname = x\n\n[tool:pytest]\naddopts = -q\n"),
        ("tox.ini", "[tox]\nenvlist = x\n\n[pytest]\naddopts = -q\n"),
    ],
)
def test_an_existing_configuration_is_extended(folder, name, content):
    """The keys go below the header that pytest reads; nothing else changes."""
    (folder / "train.py").write_text(ARGPARSE)
    (folder / name).write_text(content)
    assert main(["init"]) == 0
    assert settings_of(folder).tokens_per_step == 1024
    lines = (folder / name).read_text().splitlines()
    assert [line for line in lines if "exprun" not in line] == content.splitlines()


def test_a_project_without_a_section_gets_a_pytest_ini(folder):
    """A pyproject.toml that says nothing to pytest stays as it is."""
    (folder / "train.py").write_text(ARGPARSE)
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert main(["init"]) == 0
    assert (folder / "pytest.ini").exists()
    assert settings_of(folder).command


def test_what_is_there_already_stays(folder, capsys):
    """An experiment file is never overwritten; a project that is set up is refused."""
    (folder / "train.py").write_text(ARGPARSE)
    (folder / "experiments").mkdir()
    (folder / "experiments" / "test_lr.py").write_text("mine")
    assert main(["init"]) == 0
    assert (folder / "experiments" / "test_lr.py").read_text() == "mine"
    assert "was there already" in " ".join(capsys.readouterr().out.split())
    assert main(["init"]) == 2
    assert "is set up already: exprun_command = " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "argument", "message"),
    [
        ({}, [], r"which script trains\? .* has: none"),
        ({"train_a.py": ARGPARSE, "train_b.py": ARGPARSE}, [], "has: train_a.py, train_b.py. Name it"),
        ({"train.py": ARGPARSE}, ["other.py"], "there is no script other.py"),
    ],
)
def test_no_script_or_several(folder, capsys, files, argument, message):
    """The candidates are named."""
    for name, text in files.items():
        (folder / name).write_text(text)
    assert main(["init", *argument]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def (:\n", "train.py is no Python that can be read: python -m py_compile train.py says where"),
        (b"# coding: latin-1\nrandom.seed(1)  # \xe4\n", "train.py is to be changed by a patch and must be UTF-8"),
    ],
)
def test_a_script_that_cannot_be_read_or_changed_is_one_line(folder, capsys, content, message):
    """And nothing is written."""
    (folder / "train.py").write_bytes(content)
    assert main(["init", "train.py", "--budget", "9 steps"]) == 2
    assert message in capsys.readouterr().err
    assert names_in(folder) == ["train.py"]


@pytest.mark.parametrize("given", ["{}/train.py", "./train.py", "../lab/train.py"])
def test_a_script_is_found_by_any_path(tmp_path, monkeypatch, given):
    """Its name in the command and in the patch is that from here."""
    (tmp_path / "lab").mkdir()
    monkeypatch.chdir(tmp_path / "lab")
    Path("train.py").write_text("random.seed(1)\n")
    assert main(["init", "--budget", "9 steps", given.format(tmp_path / "lab")]) == 0
    assert settings_of(tmp_path / "lab").command[1] == "train.py"
    assert "--- a/train.py" in Path("exprun-init.patch").read_text()


def test_one_script_among_many_is_named(folder):
    """The argument chooses."""
    for name in ("train_a.py", "train_b.py"):
        (folder / name).write_text(ARGPARSE)
    assert main(["init", "train_b.py"]) == 0
    assert settings_of(folder).command[1] == "train_b.py"


@pytest.mark.parametrize("name", ["my train ß.py", "it's {mine} # 1.py", "train.py"])
@pytest.mark.parametrize("configuration", ["pytest.ini", "pyproject.toml"])
def test_any_name_of_a_script_is_one_word(folder, name, configuration):
    """Blanks, quotes and braces in a name come back as they were."""
    (folder / name).write_text(ARGPARSE)
    (folder / configuration).write_text("[tool.pytest.ini_options]\n" if "toml" in configuration else "[pytest]\n")
    assert main(["init", name]) == 0
    settings = settings_of(folder)
    assert fill(settings.command[1], {}) == name
    assert settings.command[2] == "--seed={seed}"


LOOP = """import random
out_dir = "out"
random.seed(1337)
for step in range(30):
    loss = random.random()  # .backward()
open(os.path.join(out_dir, "m"), "w")
print(f"val_loss: {loss}")
"""


def test_what_a_project_lacks_still_is_offered_again(folder, capsys):
    """The patch that was not applied, the keys as they are; once it is applied there is nothing to offer, and the line says what to do."""
    (folder / "train.py").write_text(LOOP)
    assert main(["init"]) == 0
    patch, keys = (folder / "exprun-init.patch").read_text(), (folder / "pytest.ini").read_text()
    (folder / "exprun-init.patch").unlink()
    capsys.readouterr()
    assert main(["init"]) == 0
    out = capsys.readouterr().out
    assert ((folder / "exprun-init.patch").read_text(), (folder / "pytest.ini").read_text()) == (patch, keys)
    assert out.startswith("pytest.ini is set up already: exprun_command = python train.py")
    assert "its keys stay as they are" in out
    assert patch in out
    assert "let exprun_env be" not in out
    assert (
        "git apply exprun-init.patch && rm exprun-init.patch && git add pytest.ini experiments train.py && git commit"
        in out
    )
    subprocess.run(["git", "apply", "exprun-init.patch"], check=True)
    assert main(["init"]) == 2
    err = capsys.readouterr().err
    assert "is set up already: exprun_command = python train.py" in err
    assert "Next: exprun try, after an edit; or remove that key and begin anew" in err
    assert main(["init", "nope.py"]) == 2
    assert "there is no script nope.py" in capsys.readouterr().err


def test_a_patched_script_is_set_up_anew_without_a_patch(folder):
    """The refusal says to remove the key and begin anew: the keys come out as before."""
    (folder / "train.py").write_text(LOOP)
    assert main(["init"]) == 0
    keys = (folder / "pytest.ini").read_text()
    subprocess.run(["git", "apply", "exprun-init.patch"], check=True)
    for name in ("pytest.ini", "exprun-init.patch"):
        (folder / name).unlink()
    assert main(["init"]) == 0
    assert (folder / "pytest.ini").read_text() == keys
    assert not (folder / "exprun-init.patch").exists()


def test_a_key_that_the_patch_needs_is_named(folder, capsys):
    """A project that was set up by hand gets the variables of the patch as a line to write, and its data that git ignores."""
    (folder / "train.py").write_text(LOOP + "open('big.bin')\n")
    (folder / "big.bin").write_text("x")
    (folder / ".gitignore").write_text("*.bin\n")
    (folder / "pytest.ini").write_text(
        "[pytest]\nexprun_command = python train.py {seed} {output_dir} {flags}\nexprun_env = A=1\nexprun_budget = 9 steps\n"
    )
    assert main(["init"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "to do: let exprun_env be: A=1 SEED={seed} OUTPUT_DIR={output_dir}" in out
    assert "to do: let exprun_shared be: big.bin" in out
    assert "STEPS" not in (folder / "exprun-init.patch").read_text()


def test_a_function_that_was_named_by_hand_gets_its_parameters(folder):
    """The trainer of the configuration is what is read."""
    (folder / "mylab.py").write_text(SKLEARN)
    (folder / "pytest.ini").write_text("[pytest]\nexprun_trainer = mylab:train\nexprun_budget = 1 steps\n")
    assert main(["init"]) == 0
    assert "seed=0, train_steps=1" in (folder / "exprun-init.patch").read_text()


def test_data_that_git_ignores_are_shared(folder):
    """As the sources name them."""
    (folder / "train.py").write_text(ARGPARSE + "open('data/big.bin')\n")
    (folder / "data").mkdir()
    (folder / "data" / "big.bin").write_text("x")
    (folder / ".gitignore").write_text("*.bin\n")
    assert main(["init"]) == 0
    assert settings_of(folder).shared == ("data/big.bin",)


def test_the_command_that_somebody_trains_with_is_taken(folder, capsys):
    """Behind two dashes; its number of steps is the budget, its config file goes into the commit. Without them the line says so."""
    (folder / "train.py").write_text(CONFIGURATOR)
    (folder / "small.py").write_text("max_iters = 7\n")
    assert main(["init", "--json", "python", "train.py", "--device=cpu"]) == 2
    assert (
        "goes behind two dashes, after the options: exprun init -- python train.py --device=cpu"
        in capsys.readouterr().err
    )
    assert main(["init", "--", "python", "train.py", "small.py", "--device=cpu"]) == 0
    settings = settings_of(folder)
    assert settings.command[:4] == ("python", "train.py", "small.py", "--device=cpu")
    assert str(settings.budget) == "7 steps"
    assert "git add pytest.ini experiments/test_your_flag.py small.py train.py" in capsys.readouterr().out


def test_the_skill_for_agents(folder, capsys):
    """Beside the set-up or afterwards, in a folder of the user's; one that differs stops everything before anything is written."""
    (folder / "train.py").write_text(ARGPARSE)
    assert main(["init", "--agent"]) == 0
    path = folder / ".claude" / "skills" / "exprun" / "SKILL.md"
    assert path.read_text().startswith("---\nname: exprun\n")
    assert "git add pytest.ini experiments/test_lr.py .claude/skills/exprun/SKILL.md" in capsys.readouterr().out
    assert main(["init", "--agent=.agents/skills"]) == 0
    assert (folder / ".agents" / "skills" / "exprun" / "SKILL.md").exists()
    assert "skill for coding agents: .agents/skills/exprun/SKILL.md" in capsys.readouterr().out
    path.write_text("mine")
    (folder / "pytest.ini").unlink()
    assert main(["init", "--agent"]) == 2
    assert "differs from this version's" in capsys.readouterr().err
    assert not (folder / "pytest.ini").exists()
    assert path.read_text() == "mine"


def test_a_program_reads_one_object(folder, capsys):
    """Which the schema knows: what was written, what is to do and what to type; a refusal, too."""
    import jsonschema

    schema = json.loads((Path(cli.__file__).parent / "report" / "answer.schema.json").read_text(encoding="utf-8"))
    (folder / "train.py").write_text(CONFIGURATOR)
    assert main(["init", "--json", "--agent"]) == 0
    answer = json.loads(capsys.readouterr().out)
    jsonschema.validate(answer, schema)
    assert answer["keys"]["exprun_budget"] == "500 steps"
    assert (answer["file"], answer["patch"]) == ("pytest.ini", "exprun-init.patch")
    assert (folder / answer["experiment"]).exists()
    assert (folder / answer["skill"]).exists()
    assert answer["commands"][1] == "exprun try"
    subprocess.run(["sh", "-c", answer["commands"][0]], check=True, capture_output=True)
    assert main(["init", "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    jsonschema.validate(answer, schema)
    assert "is set up already" in answer["errors"][0]


def test_a_newcomer_gets_to_a_plan(pytester, monkeypatch):
    """After init, a plan of the first experiment lists what would be trained."""
    monkeypatch.chdir(pytester.path)
    (pytester.path / "train.py").write_text(ARGPARSE)
    assert main(["init"]) == 0
    result = pytester.runpytest_inprocess("experiments/", "--exprun-mode=plan", "-p", "no:cacheprovider")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["baseline (no flags) at 1M tokens: stored none; missing 42, 137, 256, 512, 1024; *"])


NEWCOMERS = """import os, random
out_dir = "out"
rate = 0.1
max_iters = 5000
eval_interval = 2000
exec(open("configurator.py").read())
random.seed(1337)
data = open(os.path.join("data", "set.bin")).read()
from model import step
loss = 2.0 + random.random() / 100
for n in range(1, max_iters + 1):
    loss = step(loss, rate)
    if n % eval_interval == 0:
        print(f"step {n}: train loss {loss:.4f}, val loss {loss:.4f}")
"""
CONFIGURATION = """import sys
for word in sys.argv[1:]:
    name, equals, value = word.removeprefix("--").partition("=")
    globals().update({name: int(value) if value.isdecimal() else value}) if equals else exec(open(word).read())
"""


def test_three_commands_lead_to_a_verdict_on_an_edit(folder):
    """Init with the command that trains, the line that it prints, and a try: no hand edit, data that git ignores, nothing left behind."""
    files = {"train.py": NEWCOMERS, "small.py": "max_iters = 7\n", ".gitignore": "*.bin\n__pycache__/\n"}
    files["configurator.py"] = CONFIGURATION
    files["model.py"] = "def step(loss, rate):\n    return loss * (1 - rate)\n"
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "data").mkdir()
    (folder / "data" / "set.bin").write_text("x")
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-qm", "theirs"], check=True)

    def shell(*words):
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    exprun = (sys.executable, "-c", "import sys; from pytest_exprun.cli import main; sys.exit(main())")
    printed = shell(*exprun, "init", "--", "python", "train.py", "small.py")
    first = printed.partition("next:\n")[2].splitlines()[0]
    assert "git add pytest.ini experiments/test_rate.py train.py && git commit" in first  # small.py is in a commit
    shell("sh", "-c", first)
    assert shell("git", "status", "--porcelain") == ""
    (folder / "model.py").write_text("def step(loss, rate):\n    return loss * (1 - 2 * rate)\n")
    assert "WINNER" in shell(*exprun, "try")
    assert str(settings_of(folder).budget) == "7 steps"
    assert settings_of(folder).shared == ("data/set.bin",)
    assert not (folder / "out").exists()


def test_the_page_of_commands_describes_init():
    """The table has it, and its section has every argument and a session."""
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.partition("\n## exprun init\n")[2].partition("\n## ")[0]
    assert "| [`exprun init`](#exprun-init) |" in page
    assert "| `init` | `file` and the `keys`" in page
    assert all(each in section for each in ("`SCRIPT`", "`--budget`", "`--command`", "`--agent`", "$ exprun init\n"))
