"""Each kind of state of numpy, torch and matplotlib that a run changes is put back."""

from __future__ import annotations

import os

import pytest

from tests.leaks import Rows, check_stays, check_undone, space

LEAKS: Rows = {
    "numpy random state": ("np.random.seed(0)", "np.random.get_state()[1].tobytes(), np.random.get_state()[2:]"),
    "numpy error handling": ("np.seterr(all='raise')", "np.geterr()"),
    "numpy buffer size": ("np.setbufsize(4096)", "np.getbufsize()"),
    "numpy function": ("np.random.rand = lambda: 4", "np.random.rand"),
    "numpy mean": ("np.mean = max", "np.mean"),
    "torch random state": ("torch.manual_seed(0)", "torch.get_rng_state().numpy().tobytes()"),
    "torch threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", "torch.get_num_threads()"),
    "torch default dtype": ("torch.set_default_dtype(torch.float64)", "torch.get_default_dtype()"),
    "torch default device": ("torch.set_default_device('meta')", "torch.empty(1).device.type"),
    "torch gradient mode": ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()"),
    "torch deterministic": (
        "torch.use_deterministic_algorithms(True, warn_only=True)",
        "torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()",
    ),
    "torch memory filling": (
        "torch.utils.deterministic.fill_uninitialized_memory = False",
        "torch.utils.deterministic.fill_uninitialized_memory",
    ),
    "cudnn benchmark": ("torch.backends.cudnn.benchmark = True", "torch.backends.cudnn.benchmark"),
    "cudnn deterministic": ("torch.backends.cudnn.deterministic = True", "torch.backends.cudnn.deterministic"),
    "cudnn off": ("torch.backends.cudnn.enabled = False", "torch.backends.cudnn.enabled"),
    "tf32": ("torch.backends.cuda.matmul.allow_tf32 = True", "torch.backends.cuda.matmul.allow_tf32"),
    "matmul precision": ("torch.set_float32_matmul_precision('medium')", "torch.get_float32_matmul_precision()"),
    "mkldnn": ("torch.backends.mkldnn.enabled = False", "torch.backends.mkldnn.enabled"),
    "flash attention": ("torch.backends.cuda.enable_flash_sdp(False)", "torch.backends.cuda.flash_sdp_enabled()"),
    "efficient attention": (
        "torch.backends.cuda.enable_mem_efficient_sdp(False)",
        "torch.backends.cuda.mem_efficient_sdp_enabled()",
    ),
    "plain attention": ("torch.backends.cuda.enable_math_sdp(False)", "torch.backends.cuda.math_sdp_enabled()"),
    "autocast": ("torch.set_autocast_enabled('cpu', True)", "torch.is_autocast_enabled('cpu')"),
    "autocast dtype": ("torch.set_autocast_dtype('cpu', torch.float16)", "torch.get_autocast_dtype('cpu')"),
    "anomaly detection": ("torch.autograd.set_detect_anomaly(True)", "torch.is_anomaly_enabled()"),
    "hook on all modules": (
        "torch.nn.modules.module.register_module_forward_hook(lambda *a: None)",
        "len(torch.nn.modules.module._global_forward_hooks)",
    ),
    "patched functional": ("torch.nn.functional.gelu = torch.relu", "torch.nn.functional.gelu"),
    "patched tensor method": ("torch.Tensor.backward = print", "torch.Tensor.backward"),
    "patched layer": ("torch.nn.Linear.forward = print", "torch.nn.Linear.forward"),
    "patched module": ("torch.nn.Module.train = print", "torch.nn.Module.train"),
    "patched optimizer": ("torch.optim.AdamW = torch.optim.SGD", "torch.optim.AdamW"),
    "patched torch": ("torch.save = print", "torch.save"),
    "matplotlib parameters": ("matplotlib.rcParams['figure.dpi'] = 33", "matplotlib.rcParams['figure.dpi']"),
    "matplotlib backend": ("matplotlib.use('svg')", "dict.__getitem__(matplotlib.rcParams, 'backend')"),
    "matplotlib figures": (
        "import matplotlib.pyplot; matplotlib.use('agg'); matplotlib.pyplot.figure()",
        "len(matplotlib.pyplot.get_fignums())",
    ),
}


@pytest.fixture(scope="module")
def trainer():
    """Return the namespace of an adversarial trainer."""
    pytest.importorskip("torch")
    return space("import matplotlib.pyplot, torch", "import numpy as np")


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_is_undone(kind, trainer):
    """After the run the probe gives what it gave before, and nothing is reported as left."""
    check_undone(LEAKS[kind], trainer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="unguarded leaks stay in a fork")
@pytest.mark.parametrize("kind", LEAKS)
def test_without_the_guard_it_stays(kind, trainer):
    """The row is no empty promise: in a fork without the guard the probe changes."""
    check_stays(LEAKS[kind], trainer)
