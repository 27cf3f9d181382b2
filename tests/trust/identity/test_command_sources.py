"""Which program a command runs, and what of it is in the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError
from pytest_exprun.terms.model import Variant
from pytest_exprun.trust.identity.command_sources import Program
from pytest_exprun.trust.identity.fingerprint import Fingerprinter

COMMAND = "python train.py {seed} {output_dir} {flags}"
TAIL_WORDS = "{seed} {output_dir} {flags}"


def key_of(root: Path, command: str = COMMAND, **options: str):
    """Return the key of a baseline run."""
    settings = Settings.read({"budget": "2 steps", "command": command, **options}, root)
    return Fingerprinter(settings).key(Variant(), settings.budget)


@pytest.fixture
def place(tmp_path):
    """Return a folder with a script that imports a module, in a folder of its own."""
    (tmp_path / "src" / "lab").mkdir(parents=True)
    (tmp_path / "src" / "train.py").write_text("import model\nprint(model.LOSS)\n")
    (tmp_path / "src" / "model.py").write_text("LOSS = 1\n")
    (tmp_path / "src" / "lab" / "__init__.py").write_text("")
    (tmp_path / "src" / "lab" / "__main__.py").write_text("from lab import net\n")
    (tmp_path / "src" / "lab" / "net.py").write_text("LOSS = 1\n")
    (tmp_path / "run.sh").write_text("exec python src/train.py $@\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "run.sh").write_text("exec python src/train.py $@\n")
    (tmp_path / "cfg.yaml").write_text("lr: 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "options", "edited"),
    [
        (f"python src/train.py {TAIL_WORDS}", {}, "src/model.py"),
        (f"python -u train.py {TAIL_WORDS}", {"cwd": "src"}, "src/model.py"),
        (f"torchrun --nproc_per_node=2 src/train.py {TAIL_WORDS}", {}, "src/model.py"),
        (f"accelerate launch --num_processes 1 src/train.py {TAIL_WORDS}", {}, "src/model.py"),
        (f"python -m torch.distributed.run --nproc_per_node=2 src/train.py {TAIL_WORDS}", {}, "src/model.py"),
        (f"python -m lab {TAIL_WORDS}", {"cwd": "src"}, "src/lab/net.py"),
        (f"python -m lab {TAIL_WORDS}", {"env": "PYTHONPATH=src"}, "src/lab/net.py"),
        (f"torchrun -m lab.net {TAIL_WORDS}", {"cwd": "src"}, "src/lab/net.py"),
        (f"bash run.sh {TAIL_WORDS}", {}, "src/model.py"),
        (f"bash run.sh {TAIL_WORDS}", {}, "run.sh"),
        (f"bash bin/run.sh {TAIL_WORDS}", {}, "src/model.py"),
        (f"python src/train.py cfg.yaml {TAIL_WORDS}", {}, "cfg.yaml"),
        (f"python src/train.py --config=cfg.yaml {TAIL_WORDS}", {}, "cfg.yaml"),
        (f"nosuchtool {TAIL_WORDS}", {"inputs": "src"}, "src/model.py"),
    ],
)
def test_a_change_in_what_the_command_runs_changes_the_key(place, command, options, edited):
    """Script, module, launcher, shell script and configuration files are followed to what they import."""
    before = key_of(place, command, **options)
    assert key_of(place, command, **options) == before
    path = place / edited
    path.write_text(path.read_text().replace("1", "2").replace("exec", "exec  "))
    assert key_of(place, command, **options) != before


@pytest.mark.parametrize(
    ("changed", "component"),
    [
        ({"command": f"python src/train.py --fast {TAIL_WORDS}"}, "command"),
        ({"env": "MODE=b"}, "environment MODE (exprun_env)"),
        ({"pattern": "(?P<val_loss>.)"}, "metrics from"),
        ({"log_format": "nanogpt"}, "metrics from"),
        ({"metrics_file": "x.json"}, "metrics from"),
        ({"tokens_per_step": "7"}, "tokens per step"),
        ({"budget": "3 steps"}, "budget"),
    ],
)
def test_everything_that_is_said_of_a_command_is_in_the_key(place, changed, component):
    """Template, environment, pattern, format, file, budget: another one is another run."""
    usual = {"command": f"python src/train.py {TAIL_WORDS}", "env": "MODE=a"}
    assert component in {name for name, _, _ in key_of(place, **usual).changes(key_of(place, **(usual | changed)))}


def test_values_of_the_environment_are_hidden_in_the_key(place):
    """Records are committed: a value given in exprun_env may be a secret."""
    assert "hunter2" not in repr(key_of(place, f"python src/train.py {TAIL_WORDS}", env="TOKEN=hunter2").components)


def test_another_python_is_another_key(place):
    """A Python named by path brings what is installed beside it into the key."""
    site = place / "venv" / "lib" / "python3.12" / "site-packages"
    (site / "torch-2.0.dist-info").mkdir(parents=True)
    command = f"venv/bin/python src/train.py {TAIL_WORDS}"
    before = key_of(place, command)
    (site / "torch-2.1.dist-info").mkdir()
    assert [name for name, _, _ in before.changes(key_of(place, command))] == ["interpreter"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"python nosuch.py {TAIL_WORDS}", "there is no script nosuch.py"),
        (f"python -m nosuchmodule {TAIL_WORDS}", "module nosuchmodule not found"),
        (f"nosuchtool {TAIL_WORDS}", "no script and no module to be seen in it.*exprun_inputs"),
        (f"bash nosuch.sh {TAIL_WORDS}", "no script and no module to be seen in it"),
    ],
)
def test_a_command_whose_program_cannot_be_seen_is_refused(place, command, message):
    """A change of unseen sources would go unnoticed: the key is refused before anything is trained."""
    with pytest.raises(SettingsError, match=message):
        key_of(place, command)


def test_installed_scripts_are_followed_to_their_module(place):
    """A console script stands for the module that its entry point names."""
    assert Program.of(Settings.read({"budget": "2 steps", "command": f"pytest {TAIL_WORDS}"}, place)).module in {
        "pytest",
        "_pytest.config",
    }
    assert Program.of(Settings.read({"budget": "2 steps", "command": f"torchrun {TAIL_WORDS}"}, place)).module is None
