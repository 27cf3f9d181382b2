"""A training function is called with argv or keywords, and what it prints, returns and raises is heard."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from pytest_exprun.running.training.command import CommandTrainer
from pytest_exprun.running.training.trainers import CallableTrainer, from_settings, modules_of
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import Budget, RunSpec, Variant

SOURCE = """
calls = []

def train(seed, train_tokens, output_dir, lr: float = 1.0, **more):
    calls.append((seed, train_tokens, lr, more))
    print(f"Step 1 | val_loss: {lr}")
    return lr if lr < 5 else {"val_loss": lr, "note": "big"}

def broken(seed, train_tokens):
    raise ValueError("bad shape")

def main(argv):
    return {"val_loss": float(len(argv))}
"""


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """Return a maker of trainers over one module; it is forgotten afterwards."""
    name = f"lab_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    yield lambda function, metric="val_loss": CallableTrainer(f"{name}:{function}", tmp_path, metric)
    monkeypatch.delitem(sys.modules, name, raising=False)


def ignore(_point):
    """Hear nothing."""


def test_a_function_with_keywords_is_trained(trainer, tmp_path):
    """A lone number is the metric; progress lines are heard; the report's command calls the function again."""
    result = trainer("train").run(RunSpec(Variant(("--lr=2.5", "--x=1")), 42, Budget(7)), tmp_path, ignore)
    assert result.metrics == {"val_loss": 2.5}
    assert result.curve[0].values == {"val_loss": 2.5}
    command = result.provenance["command"]
    assert command.startswith("python -c 'from lab_")
    assert "seed=42, train_tokens=7" in command
    assert "lr=2.5, x=1)" in command
    other = trainer("train", metric="accuracy").run(RunSpec(Variant(("--lr=0.5",)), 42, Budget(7)), tmp_path, ignore)
    assert other.metrics == {"accuracy": 0.5}
    mapping = trainer("train").run(RunSpec(Variant(("--lr=9",)), 42, Budget(7)), tmp_path, ignore)
    assert (mapping.metrics, mapping.notes) == ({"val_loss": 9.0}, {"note": "big"})


def test_an_argv_function_is_called_as_before(trainer, tmp_path):
    """`main(argv)` gets the words."""
    result = trainer("main").run(RunSpec(Variant(("--rope",)), 42, Budget(7)), tmp_path, ignore)
    assert result.metrics == {"val_loss": 7.0}
    assert "command" not in result.provenance


def test_flags_are_refused_before_the_first_run(trainer):
    """The check asks the signature and calls nothing."""
    spec = RunSpec(Variant(("--lr=fast",)), 42, Budget(7))
    assert "lr must be float" in (trainer("train").rejects(spec) or "")
    assert trainer("train").rejects(RunSpec(Variant(("--lr=2",)), 42, Budget(7))) is None


def test_what_a_keyword_function_raises_is_told(trainer, tmp_path):
    """As with argv: seed, flags and the exception."""
    with pytest.raises(TrainerError, match=r"seed 42 of no flags: raised ValueError: bad shape"):
        trainer("broken").run(RunSpec(Variant(), 42, Budget(7)), tmp_path, ignore)


def test_the_settings_choose_the_trainer(tmp_path):
    """A command if there is one, else the function."""
    assert isinstance(from_settings(Settings(root=tmp_path)), CallableTrainer)
    command = {"command": "python t.py {seed} {output_dir} {flags}", "budget": "1 steps"}
    assert isinstance(from_settings(Settings.read(command, tmp_path)), CommandTrainer)


def test_what_a_module_adds_to_the_import_path_holds_while_it_trains(tmp_path):
    """A submodule whose folder is inserted at the top is imported in the function; afterwards the path is what it was."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / f"late_{tmp_path.name}.py").write_text("LOSS = 3.5\n")
    name = f"inserts_{tmp_path.name}"
    source = f"import sys\nsys.path.append({str(tmp_path / 'nets')!r})\ndef main(argv):\n    import late_{tmp_path.name} as late\n"
    (tmp_path / f"{name}.py").write_text(source + "    return {'val_loss': late.LOSS}\n")
    before = list(sys.path)
    result = CallableTrainer(f"{name}:main", tmp_path).run(RunSpec(Variant(), 42, Budget(7)), tmp_path, ignore)
    assert result.metrics == {"val_loss": 3.5}
    assert sys.path == before
    for module in (name, f"late_{tmp_path.name}"):
        sys.modules.pop(module, None)


def test_runs_import_the_project_themselves_and_tests_keep_what_they_imported(tmp_path, monkeypatch):
    """A module that a test has imported is loaded anew for the runs, once for all of them, and is the test's again afterwards."""
    name = f"own_{tmp_path.name}"
    package = tmp_path / f"zoo_{name}"
    package.mkdir()  # of a namespace
    (package / "lion.py").write_text("calls = []\n", encoding="utf-8")
    (tmp_path / f"{name}.py").write_text(
        f"import importlib\ndef main(argv):\n    calls = importlib.import_module('zoo_' + {name!r} + '.lion').calls\n"
        "    calls.append(1)\n    return {'val_loss': float(len(calls))}\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    theirs = importlib.import_module(f"zoo_{name}.lion")
    trainer = CallableTrainer(f"{name}:main", tmp_path)
    for count in (1.0, 2.0):
        assert trainer.run(RunSpec(Variant(), 42, Budget(7)), tmp_path, ignore).metrics == {"val_loss": count}
        assert sys.modules[f"zoo_{name}.lion"] is theirs
    assert theirs.calls == []
    for module in (name, f"zoo_{name}", f"zoo_{name}.lion"):
        monkeypatch.delitem(sys.modules, module)


def test_tests_and_plugins_of_pytest_are_no_modules_of_a_project(tmp_path, monkeypatch):
    """Nobody else could give them back what they hold."""
    for name in ("test_it", "it_test", "conftest", "hooks", "plain"):
        module = ModuleType(f"{name}_{tmp_path.name}")
        module.__file__ = str(tmp_path / f"{name}.py")
        monkeypatch.setitem(sys.modules, module.__name__, module)
    module = sys.modules[f"hooks_{tmp_path.name}"]
    module.pytest_configure = ignore
    assert list(modules_of(tmp_path)) == [f"plain_{tmp_path.name}"]
