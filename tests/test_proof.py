"""An edit of the reference trainer is never without effect: what the fused functions were not proven for takes the plain ones."""

import functools
import importlib
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train_llm
from experiments.llm import data, functional, proof

ROOT = Path(__file__).parents[1]
TRAINER, PLAIN = "train_llm.py", "functional.py"
FLAGS = [
    "--device=cpu",
    "--size=nano",
    "--data=synthetic",
    "--recipe=modern",
    "--ngram_embed=0",
    "--train_tokens=2048",
    "--seed=1",
]
EFFECT = 1e-4  # in so short a run rounding makes about 2e-7
OFF = "fused functions off"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Return a function that copies the trainer into a package of its own, replaces text in its files, and returns the package's name."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def copy(*edits):
        names.append(f"edited_{len(names)}")
        folder = tmp_path / names[-1]
        shutil.copytree(ROOT / "experiments" / "llm", folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / TRAINER, folder)
        for path in folder.glob("*.py"):
            text = path.read_text(encoding="utf-8").replace("experiments.llm", names[-1])
            for _, old, new in (edit for edit in edits if edit[0] == path.name):
                assert text.count(old) == 1, f"{path.name} does not hold {old!r} once"
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return names[-1]

    yield copy
    for module in [module for module in sys.modules if module.startswith("edited_")]:
        del sys.modules[module]


@pytest.fixture
def edited(copied):
    """Return a function that imports such a copy."""
    return lambda *edits: importlib.import_module(f"{copied(*edits)}.train_llm")


def loss(trainer, *flags):
    """Train a few steps on one thread; return the validation loss on the start of the sample."""
    config = trainer.configure([*FLAGS, *flags])
    corpus = data.load_corpus("synthetic")
    with trainer.process_settings(config):
        return trainer.train(trainer.GPT(config), corpus._replace(val=corpus.val[:2049]), config)["val_loss"]


@functools.cache
def unedited(*flags):
    """Loss of the trainer as it is."""
    return loss(train_llm, *flags)


EDITS = {
    "attention": ("is_causal=True", "is_causal=True, scale=1.0"),
    "rms_norm": ("return x * torch.rsqrt", "return 2 * x * torch.rsqrt"),
    "rotate": ("* rotation\n", "* (3 * rotation)\n"),
    "shift_keys": ("return torch.cat([still, F", "return torch.cat([-still, F"),
    "activation": ("F.relu(hidden).square()", "F.relu(hidden)"),
    "perceptron": ("config) @ down", "config) @ (2 * down)"),
    "cross_entropy": ("ignore_index=-1", "label_smoothing=0.1, ignore_index=-1"),
    "constant": ("EPSILON = 1e-6", "EPSILON = 1.0"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_a_plain_function_takes_effect(edit, edited, capsys):
    """The loss changes by more than rounding, and one line says that the plain functions run."""
    trainer = edited((PLAIN, *edit))
    assert abs(loss(trainer) - unedited()) > EFFECT
    assert capsys.readouterr().out.splitlines()[0].startswith(f"{OFF}: experiments/llm/functional.py was changed")


def test_plain_functions_differ_by_rounding_only():
    """Without an edit they give the same loss, so that what the edits above change is no rounding."""
    assert unedited("--no_fused") == pytest.approx(unedited(), abs=EFFECT / 10)
    assert unedited("--no_fused") != unedited()


METHODS = {
    "Norm.forward": ("return functions(self.config).rms_norm(x)", "return 2 * functions(self.config).rms_norm(x)"),
    "Block.attention": ("return F.linear(mixed, self.out)", "return F.linear(mixed.relu(), self.out)"),
    "Block.mlp": ("return functions(self.config).perceptron(x,", "return functions(self.config).perceptron(x * 2,"),
    "GPT.forward": ("head, targets, self.config.softcap)", "head, targets, 5.0)"),
    "rotation_table": ("config.rope_base ** -(", "2 * config.rope_base ** -("),
}


@pytest.mark.parametrize("edit", METHODS.values(), ids=METHODS)
def test_an_edit_of_the_model_takes_effect_at_full_speed(edit, edited, capsys):
    """What train_llm.py itself holds is part of every run, fused or not."""
    assert abs(loss(edited((TRAINER, *edit))) - unedited()) > EFFECT
    assert OFF not in capsys.readouterr().out


def test_a_new_switch_takes_effect(edited):
    """A flag that was added to the trainer and to a plain function changes its arm, and leaves the other."""
    trainer = edited(
        (TRAINER, "SWITCHES = {\n", 'SWITCHES = {\n    "my_idea": (False, "twice the values"),\n'),
        (PLAIN, "    if config.qk_norm:", "    v = 2 * v if config.my_idea else v\n    if config.qk_norm:"),
    )
    assert loss(trainer) == unedited("--no_fused")
    assert abs(loss(trainer, "--my_idea") - unedited()) > EFFECT


COMMENTS = {
    "comment": ("    heads, kv_heads = config", "    # A thought.\n\n    heads, kv_heads = config"),
    "docstring": ("Rotary position embedding of", "Turns"),
    "layout": ("return torch.cat([still, F", "return torch.cat(\n        [ still, F"),
}


@pytest.mark.parametrize("edit", COMMENTS.values(), ids=COMMENTS)
def test_comments_and_layout_cost_nothing(edit, edited, capsys):
    """An edit that changes no code leaves the fused functions on and the loss as it was, to the last bit."""
    assert loss(edited((PLAIN, *edit))) == unedited()
    assert OFF not in capsys.readouterr().out


REPLACEMENTS = {
    "function": ("rotate", lambda x, _: x),
    "wrapped function": ("rms_norm", functools.wraps(functional.rms_norm)(lambda x: 2 * x)),
    "partial": ("activation", functools.partial(functional.activation)),
    "constant": ("EPSILON", 1.0),
    "library": ("F", object()),
}


@pytest.mark.parametrize(("name", "value"), REPLACEMENTS.values(), ids=REPLACEMENTS)
def test_what_replaces_a_plain_function_is_noticed(name, value, monkeypatch):
    """Something else under the name of a function or a constant, also if it passes for it, takes the plain functions."""
    assert not proof.doubt()
    monkeypatch.setattr(functional, name, value)
    assert proof.doubt() == f"{name} of experiments/llm/functional.py was replaced"
    assert not train_llm.configure(["--device=cpu"]).fused


def test_what_replaces_a_function_of_torch_is_noticed(monkeypatch):
    """The plain functions would use it, the fused ones have the old one's gradient."""
    monkeypatch.setattr(torch.nn.functional, "gelu", torch.relu)
    assert proof.doubt() == "F.gelu of experiments/llm/functional.py was replaced"


def test_a_replacement_takes_effect(monkeypatch):
    """A run uses the function that was put in the place of a plain one."""
    monkeypatch.setattr(functional, "shift_keys", lambda k: -k)
    assert abs(loss(train_llm) - unedited()) > EFFECT


def test_a_replacement_before_the_trainer_is_imported_is_noticed(copied):
    """What counts is the file, not what the name stood for at first."""
    name = copied()
    importlib.import_module(f"{name}.functional").rms_norm = lambda x: x
    assert not importlib.import_module(f"{name}.train_llm").configure(["--device=cpu"]).fused


def test_an_edit_after_the_import_changes_nothing(copied, tmp_path):
    """What runs is what was imported, and the doubt is about that."""
    name = copied()
    trainer = importlib.import_module(f"{name}.train_llm")
    (tmp_path / name / PLAIN).write_text("", encoding="utf-8")
    assert trainer.configure(["--device=cpu"]).fused


def test_unedited_functions_are_the_proven_ones():
    """Plain functions that were changed to stay were proven again, so that they run fast."""
    assert proof.SOURCE == proof.PROVEN, (
        "experiments/llm/functional.py was changed. Runs take the plain functions meanwhile: right, but slower. If the change is to "
        "stay, bring experiments/llm/fused.py in line, then run: python tests/prove_fused.py"
    )


def test_the_proof_is_noted(tmp_path):
    """The command writes the digest of the changed source, and nothing else."""
    note = runpy.run_path(str(ROOT / "tests" / "prove_fused.py"))["note"]
    plain = tmp_path / PLAIN
    plain.write_text("x = 1", encoding="utf-8")
    before = Path(proof.__file__).read_text(encoding="utf-8")
    (tmp_path / "proof.py").write_text(before, encoding="utf-8")
    note(tmp_path / "proof.py", plain)
    after = (tmp_path / "proof.py").read_text(encoding="utf-8")
    assert after == before.replace(proof.PROVEN, proof.digest("x = 1"))


OTHER_PYTHON = """
import sys
from unittest.mock import MagicMock

sys.modules |= {"torch": MagicMock(), "torch.nn": MagicMock()}
from experiments.llm import proof

print("DOUBT", repr(proof.doubt()))
"""


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_version_of_python_reads_the_same(version):
    """The digest is that of the source, whatever Python reads it."""
    python = shutil.which(f"python{version}")
    done = python and subprocess.run(
        [python, "-c", OTHER_PYTHON], cwd=ROOT, text=True, capture_output=True, check=False
    )
    if not done or "not found" in done.stderr:
        pytest.skip(f"no Python {version} is here")
    assert done.stdout == "DOUBT ''\n", done.stderr
