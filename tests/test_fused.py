"""The proof that the fused functions of the reference trainer equal the plain ones; tests/prove_fused.py notes that it was given."""

import ast
import inspect
from pathlib import Path

import pytest
import torch

import train_llm
from experiments.llm import functional, fused

NAMES = ["rms_norm", "attention", "perceptron", "cross_entropy"]


VARIANTS = {
    "gpt2": [],
    "modern": ["--recipe", "modern", "--value_embed"],
    "shared heads": ["--rope", "--heads", "4", "--n_kv_heads", "2"],
    "softcap": ["--softcap", "2", "--relu2", "--no_weight_tying", "--key_shift"],
    "swiglu": ["--swiglu", "--rope", "--qk_norm"],
}


@pytest.mark.parametrize("flags", VARIANTS.values(), ids=VARIANTS)
def test_fused_model_equals_the_plain_one(flags, monkeypatch):
    """Loss and every gradient of the fused functions are those of the plain ones, in double precision."""
    monkeypatch.setattr(functional.torch.Tensor, "float", torch.Tensor.double)
    config = train_llm.configure(["--device", "cpu", "--size", "nano", "--dim", "32", "--heads", "2", *flags])
    model = train_llm.GPT(config).double()
    model.rotation = model.rotation.to(torch.complex128)
    for index, parameter in enumerate(model.parameters()):
        parameter.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(index))
    tokens, targets = torch.randint(256, (3, 64)), torch.randint(256, (192,))
    targets[100:] = -1
    results = []
    for config.fused in (True, False):
        model.zero_grad()
        loss = model(tokens, targets)
        loss.backward()
        results.append([loss.detach(), *(parameter.grad.to_dense() for parameter in model.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_fused_rms_norm_gradcheck():
    """The hand-written gradient of RMSNorm is the numerical one."""
    x = torch.randn(3, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(fused.FusedRMSNorm.apply, x)


@pytest.mark.parametrize("relu2", [True, False])
def test_fused_mlp_gradcheck(relu2, monkeypatch):
    """The hand-written gradients of the perceptron are the numerical ones, also over several blocks of rows."""
    monkeypatch.setattr(fused, "MLP_ROWS", 2)
    x, up, down = (torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((3, 4), (6, 4), (6, 4)))
    assert torch.autograd.gradcheck(fused.FusedMLP.apply, (x, up, down, relu2))


@pytest.mark.parametrize("softcap", [0.0, 1.5])
def test_fused_cross_entropy_gradcheck(softcap):
    """The hand-written gradients of the output layer are the numerical ones, ignored targets included."""
    x, head = (torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((4, 3), (5, 3)))
    targets = torch.tensor([0, 4, -1, 2])
    assert torch.autograd.gradcheck(fused.FusedCrossEntropy.apply, (x, head, targets, softcap))


@pytest.mark.parametrize("flags", [["--qk_norm", "--rope", "--key_shift"], []])
def test_fused_attention_gradcheck(flags, monkeypatch):
    """The hand-written gradients of attention are the numerical ones, over several chunks, with an addend to the values."""
    monkeypatch.setattr(fused, "CAUSAL_CHUNK", 2)
    config = train_llm.configure(
        ["--device", "cpu", "--dim", "8", "--heads", "2", "--n_kv_heads", "1", "--context", "4", *flags]
    )
    rotation = train_llm.rotation_table(config).to(torch.complex128)
    qkv, extra = (torch.randn(1, 4, width, dtype=torch.double, requires_grad=True) for width in (16, 4))
    assert torch.autograd.gradcheck(lambda *x: fused.FusedAttention.apply(*x, rotation, config), (qkv, extra))


def test_layers_may_have_settings_of_their_own():
    """A switch that changes after a layer's forward leaves that layer's gradient as it was."""
    config = train_llm.configure(["--device=cpu", "--dim=8", "--heads=2", "--context=4", "--key_shift"])
    gradients = []
    for module in (fused, functional):
        qkv = torch.linspace(-1, 1, 96).view(1, 4, 24).requires_grad_()
        config.rope = True
        mixed = module.attention(qkv, None, train_llm.rotation_table(config), config)
        config.rope = False
        gradients += torch.autograd.grad(mixed.square().sum(), qkv)
    torch.testing.assert_close(*gradients)


def test_no_gradient_of_a_gradient_is_made_up():
    """A second derivative, which the hand-written gradients do not have, is an error and no wrong number."""
    x = torch.randn(3, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(fused.rms_norm(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


FLOATS = torch.randn(2, 4, 8)
ROTATION = torch.ones(4, 1, 1, dtype=torch.complex64)
CONFIG = train_llm.configure(["--dim=8", "--heads=2", "--context=4"])
UNPROVEN = {
    "half precision": ("rms_norm", [FLOATS.bfloat16()]),
    "long context": ("attention", [torch.zeros(1, fused.LONG_CONTEXT + 1, 24), None, ROTATION, CONFIG]),
    "learned rotation": ("attention", [FLOATS, None, ROTATION.clone().requires_grad_(), CONFIG]),
    "half attention": ("attention", [FLOATS.half(), None, ROTATION, CONFIG]),
    "swiglu": ("perceptron", [FLOATS, FLOATS, FLOATS, train_llm.configure(["--swiglu"])]),
    "half perceptron": ("perceptron", [FLOATS.half(), FLOATS, FLOATS, CONFIG]),
    "learned bound": ("cross_entropy", [FLOATS, FLOATS, FLOATS, torch.tensor(5.0, requires_grad=True)]),
    "half loss": ("cross_entropy", [FLOATS.bfloat16(), FLOATS, FLOATS, 0.0]),
}


@pytest.mark.parametrize(("name", "given"), UNPROVEN.values(), ids=UNPROVEN)
def test_calls_of_another_kind_take_the_plain_function(name, given, monkeypatch):
    """Lower precision, a constant that is to be learned, and what has no fused form go to the plain function."""
    monkeypatch.setattr(functional, name, lambda *_: "plain")
    assert getattr(fused, name)(*given) == "plain"


def test_autocast_takes_the_plain_function(monkeypatch):
    """Under autocast on a CPU nothing is fused."""
    monkeypatch.setattr(functional, "rms_norm", lambda _: "plain")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert fused.rms_norm(FLOATS) == "plain"
    assert torch.is_tensor(fused.rms_norm(FLOATS))


@pytest.mark.parametrize("name", NAMES)
def test_twins_take_the_same_parameters(name):
    """A parameter that is added to a plain function is missed in its twin."""
    assert inspect.signature(getattr(fused, name)) == inspect.signature(getattr(functional, name))


def switches(module):
    """Return the names of the settings that a module reads."""
    nodes = ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
    return {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("config")
    }


def test_twins_know_every_switch():
    """A switch that the plain functions got and the fused ones did not would do nothing: off, as the comparison has it, all is equal."""
    assert switches(functional) == switches(fused)


def test_plain_functions_stand_alone():
    """They import nothing of the project, whose edits no one would notice."""
    tree = ast.parse(Path(functional.__file__).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {
        name
        for node in nodes
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert modules == {"__future__", "argparse", "typing", "torch", "torch.nn"}
