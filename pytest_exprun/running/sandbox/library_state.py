"""The state of numpy, torch and matplotlib that a training run can change: one row each. None of them is imported here."""

from __future__ import annotations

import operator
import sys
from functools import partial
from typing import Any

from pytest_exprun.running.sandbox.saved_state import (
    Kind,
    calling,
    found,
    none_replaced,
    pair,
    patched,
    put_back,
    rebound,
    same_entries,
    same_text,
)

_SEED_BYTES = 8
_DEVICES = ("cpu", "cuda")


def _numpy() -> Any:
    return sys.modules["numpy"]


def _torch() -> Any:
    return sys.modules["torch"]


def _same_numpy_state(one: Any, two: Any) -> bool:
    first, second = one["state"], two["state"]
    gaussian = [(state.get("gauss"), state.get("has_gauss")) for state in (one, two)]
    if first.keys() != second.keys() or gaussian[0] != gaussian[1]:
        return False
    return all(bool(_numpy().array_equal(first[name], second[name])) for name in first)


def _reseeded(before: Any, after: Any) -> Any:
    """The new state if the generator was seeded, None if numbers were only drawn from it."""
    return None if _numpy().array_equal(before["state"]["key"], after["state"]["key"]) else after


_NUMPY_KINDS = (
    patched("numpy"),
    patched("numpy.random"),
    Kind(
        "numpy random state",
        partial(calling("numpy.random.get_state"), legacy=False),
        calling("numpy.random.set_state"),
        "numpy",
        _same_numpy_state,
        numeric=True,
        delta=_reseeded,
    ),
    Kind(
        "numpy error handling", lambda: _numpy().geterr(), lambda kept: _numpy().seterr(**kept), "numpy", numeric=True
    ),
    pair("numpy buffer size", "numpy.getbufsize", "numpy.setbufsize", numeric=True),
)


def _same_tensor(one: Any, two: Any) -> bool:
    return bool(_torch().equal(one, two))


def _same_tensors(one: Any, two: Any) -> bool:
    return len(one) == len(two) and all(map(_same_tensor, one, two))


def _reseeded_torch(before: Any, after: Any) -> Any:
    """The new state if the generator was seeded, None if numbers were only drawn: the state begins with the seed."""
    return None if _same_tensor(before[:_SEED_BYTES], after[:_SEED_BYTES]) else after


def _cuda_runs() -> bool:
    # Only where CUDA already runs: asking would start it, which takes seconds and memory and forbids forking.
    return bool(_torch().cuda.is_available() and _torch().cuda.is_initialized())


def _cuda_states() -> list[Any]:
    return list(_torch().cuda.get_rng_state_all()) if _cuda_runs() else []


def _put_cuda_states(states: list[Any]) -> None:
    if states:
        _torch().cuda.set_rng_state_all(states)
    elif _cuda_runs():
        _torch().cuda.seed_all()


def _default_device() -> Any:
    """The device set by `torch.set_default_device`, None for none: `get_default_device` does not tell these apart."""
    context = getattr(getattr(_torch(), "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    return None if context is None else context.device


def _deterministic() -> tuple[bool, bool, bool]:
    torch = _torch()
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


def _put_deterministic(value: tuple[bool, bool, bool]) -> None:
    torch = _torch()
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])
    torch.utils.deterministic.fill_uninitialized_memory = value[2]


def _autocast() -> list[Any]:
    torch = _torch()
    states = [(torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in _DEVICES]
    return [*states, torch.is_autocast_cache_enabled()]


def _put_autocast(value: list[Any]) -> None:
    torch = _torch()
    for device, (enabled, dtype) in zip(_DEVICES, value, strict=False):
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)
    torch.set_autocast_cache_enabled(value[-1])


def _module_hooks() -> dict[str, dict[Any, Any]]:
    """Hooks that run for every module of every model."""
    return {
        name: dict(value)
        for name, value in vars(sys.modules["torch.nn.modules.module"]).items()
        if name.startswith("_global_") and isinstance(value, dict)
    }


def _put_module_hooks(before: dict[str, dict[Any, Any]]) -> None:
    for name, hooks in before.items():
        current = getattr(sys.modules["torch.nn.modules.module"], name)
        current.clear()
        current.update(hooks)


def _class_members() -> dict[type, dict[str, Any]]:
    """What is in the classes that trainers patch: tensors, layers, optimizers."""
    torch = _torch()
    spaces = (torch.nn, torch.optim, torch.optim.lr_scheduler)
    classes = {torch.Tensor, *(value for space in spaces for value in vars(space).values() if isinstance(value, type))}
    return {each: dict(vars(each)) for each in classes}


def _same_class_methods(before: dict[type, dict[str, Any]], after: dict[type, dict[str, Any]]) -> bool:
    return all(
        same_entries(members, after.get(each, {})) or none_replaced(_methods(members), after.get(each, {}))
        for each, members in before.items()
    )


def _put_class_methods(before: dict[type, dict[str, Any]]) -> None:
    for each, members in before.items():
        put_back(each, _methods(members))


def _methods(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if callable(value)}


_of_torch = partial(Kind, module="torch", numeric=True)
_FLAGS = (
    *(f"cudnn.{name}" for name in ("benchmark", "deterministic", "enabled", "allow_tf32")),
    *(
        f"cuda.matmul.allow_{name}"
        for name in ("tf32", "fp16_reduced_precision_reduction", "bf16_reduced_precision_reduction")
    ),
    "mkldnn.enabled",
)
_ATTENTIONS = ("flash", "mem_efficient", "math")
_TORCH_KINDS = (
    *map(patched, ("torch", "torch.nn", "torch.nn.functional", "torch.optim")),
    _of_torch("methods of torch classes", _class_members, _put_class_methods, same=_same_class_methods, numeric=False),
    _of_torch("torch hooks on all modules", _module_hooks, _put_module_hooks, numeric=False),
    pair("torch default dtype", "torch.get_default_dtype", "torch.set_default_dtype", numeric=True),
    _of_torch("torch default device", _default_device, calling("torch.set_default_device")),
    pair(
        "torch random state",
        "torch.get_rng_state",
        "torch.set_rng_state",
        same=_same_tensor,
        numeric=True,
        delta=_reseeded_torch,
    ),
    _of_torch("torch cuda random state", _cuda_states, _put_cuda_states, same=_same_tensors),
    pair("torch threads", "torch.get_num_threads", "torch.set_num_threads", numeric=True),
    pair("torch gradient mode", "torch.is_grad_enabled", "torch.set_grad_enabled", numeric=True),
    pair("torch anomaly detection", "torch.is_anomaly_enabled", "torch.autograd.set_detect_anomaly", numeric=True),
    pair(
        "torch matmul precision",
        "torch.get_float32_matmul_precision",
        "torch.set_float32_matmul_precision",
        numeric=True,
    ),
    _of_torch("torch deterministic algorithms", _deterministic, _put_deterministic),
    _of_torch("torch autocast", _autocast, _put_autocast),
    *(rebound(f"torch.backends.{name}", operator.eq, numeric=True) for name in _FLAGS),
    *(
        pair(
            f"torch {name} attention",
            f"torch.backends.cuda.{name}_sdp_enabled",
            f"torch.backends.cuda.enable_{name}_sdp",
            numeric=True,
        )
        for name in _ATTENTIONS
    ),
)


def _close_new_figures(before: list[int]) -> None:
    pyplot = sys.modules["matplotlib.pyplot"]
    for number in set(pyplot.get_fignums()) - set(before):
        pyplot.close(number)


def _backend() -> Any:
    """The backend as rcParams hold it, a sentinel while none was chosen: `get_backend` would choose one."""
    return dict.__getitem__(sys.modules["matplotlib"].rcParams, "backend")


def _put_backend(backend: Any) -> None:
    if isinstance(backend, str):
        sys.modules["matplotlib"].use(backend, force=True)
        return
    dict.__setitem__(sys.modules["matplotlib"].rcParams, "backend", backend)
    if "matplotlib.pyplot" in sys.modules:
        vars(sys.modules["matplotlib.pyplot"])["_backend_mod"] = None  # pyplot's own mark for "not chosen yet"


def _parameters() -> dict[str, Any]:
    return {name: value for name, value in dict.items(found("matplotlib.rcParams")) if name != "backend"}


def _put_parameters(before: dict[str, Any]) -> None:
    dict.update(found("matplotlib.rcParams"), before)


_MATPLOTLIB_KINDS = (
    Kind(
        "matplotlib figures",
        lambda: sys.modules["matplotlib.pyplot"].get_fignums(),  # noqa: PLW0108  # looked up when called
        _close_new_figures,
        "matplotlib.pyplot",
    ),
    Kind("matplotlib backend", _backend, _put_backend, "matplotlib"),
    Kind("matplotlib parameters", _parameters, _put_parameters, "matplotlib", same_text),
)
LIBRARY_KINDS = (*_NUMPY_KINDS, *_TORCH_KINDS, *_MATPLOTLIB_KINDS)
LIBRARIES = frozenset(kind.module for kind in LIBRARY_KINDS)
