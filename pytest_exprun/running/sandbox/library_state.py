"""State of numpy, torch and matplotlib that a training run can change. None of them is imported here: see `process_state`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pytest_exprun.running.sandbox.process_state import Kind, namespace, none_replaced

_SEED_BYTES = 8
_DEVICES = ("cpu", "cuda")


def _numpy() -> Any:
    return sys.modules["numpy"]


def _torch() -> Any:
    return sys.modules["torch"]


def _same_numpy_state(one: Any, two: Any) -> bool:
    first, second = one["state"], two["state"]
    if (
        first.keys() != second.keys()
        or one.get("gauss") != two.get("gauss")
        or one.get("has_gauss") != two.get("has_gauss")
    ):
        return False
    return all(bool(_numpy().array_equal(first[name], second[name])) for name in first)


def _reseeded(before: Any, after: Any) -> Any:
    """The new state if the generator was seeded, None if numbers were only drawn from it."""
    return None if _numpy().array_equal(before["state"]["key"], after["state"]["key"]) else after


def _numpy_state() -> Any:
    return _numpy().random.get_state(legacy=False)


def _put_numpy_state(state: Any) -> None:
    _numpy().random.set_state(state)


def _put_error_callback(value: Any) -> None:
    _numpy().seterrcall(value)


def _put_error_handling(value: dict[str, Any]) -> None:
    _numpy().seterr(**value)


def _put_numpy_print_options(value: dict[str, Any]) -> None:
    _numpy().set_printoptions(**value)


def _put_buffer_size(value: int) -> None:
    _numpy().setbufsize(value)


def _numpy_kinds() -> list[Kind]:
    def kind(name: str, get: str, put: Callable[[Any], object], **more: Any) -> Kind:
        def read() -> Any:
            return getattr(_numpy(), get)()

        return Kind(f"numpy {name}", read, put, "numpy", **more)

    return [
        Kind(
            "numpy random state",
            _numpy_state,
            _put_numpy_state,
            "numpy",
            same=_same_numpy_state,
            numeric=True,
            delta=_reseeded,
            apply=_put_numpy_state,
        ),
        kind("error handling", "geterr", _put_error_handling, numeric=True),
        kind("error callback", "geterrcall", _put_error_callback),
        kind("buffer size", "getbufsize", _put_buffer_size),
        kind("print options", "get_printoptions", _put_numpy_print_options, same=_same_text),
        namespace("functions of numpy", "numpy"),
        namespace("functions of numpy.random", "numpy", "random"),
    ]


def _same_text(one: Any, two: Any) -> bool:
    return repr(one) == repr(two)


def _setting(name: str, get: Callable[[Any], Any], put: Callable[[Any, Any], object], **more: Any) -> Kind:
    """One torch setting that can change numbers; `get(torch)` and `put(torch, value)`."""
    return Kind(
        f"torch {name}", lambda: get(_torch()), lambda value: put(_torch(), value), "torch", numeric=True, **more
    )


def _flag(path: str) -> Kind:
    """A backend flag that is an attribute, for instance `backends.cudnn.benchmark`."""
    *owners, last = path.split(".")

    def owner(torch: Any) -> Any:
        for part in owners:
            torch = getattr(torch, part)
        return torch

    return _setting(
        path, lambda torch: getattr(owner(torch), last, None), lambda torch, value: setattr(owner(torch), last, value)
    )


def _switch(name: str, get: str, put: str) -> Kind:
    """A backend switch that is a pair of functions in `torch.backends.cuda`."""
    return _setting(
        name,
        lambda torch: getattr(torch.backends.cuda, get)(),
        lambda torch, value: getattr(torch.backends.cuda, put)(value),
    )


def _same_tensor(one: Any, two: Any) -> bool:
    return bool(_torch().equal(one, two))


def _same_tensors(one: Any, two: Any) -> bool:
    return len(one) == len(two) and all(map(_same_tensor, one, two))


def _put_torch_state(state: Any) -> None:
    _torch().set_rng_state(state)


def _reseeded_torch(before: Any, after: Any) -> Any:
    """The new state if the generator was seeded, None if numbers were only drawn: the state begins with the seed."""
    return None if _same_tensor(before[:_SEED_BYTES], after[:_SEED_BYTES]) else after


def _cuda_states(torch: Any) -> list[Any]:
    # Only where CUDA already runs: asking would start it, which takes seconds and memory and forbids forking.
    return list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() and torch.cuda.is_initialized() else []


def _put_cuda_states(torch: Any, states: list[Any]) -> None:
    if states:
        torch.cuda.set_rng_state_all(states)
    elif torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.seed_all()


def _default_device(torch: Any) -> Any:
    """The device set by `torch.set_default_device`, None for none: `get_default_device` does not tell these apart."""
    context = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    return None if context is None else context.device


def _deterministic(torch: Any) -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


def _put_deterministic(torch: Any, value: tuple[bool, bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])
    torch.utils.deterministic.fill_uninitialized_memory = value[2]


def _autocast(torch: Any) -> list[Any]:
    states = [(torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in _DEVICES]
    return [*states, torch.is_autocast_cache_enabled()]


def _put_autocast(torch: Any, value: list[Any]) -> None:
    for device, (enabled, dtype) in zip(_DEVICES, value, strict=False):
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)
    torch.set_autocast_cache_enabled(value[-1])


def _module_hooks() -> dict[str, dict[Any, Any]]:
    """Hooks that run for every module of every model."""
    module = sys.modules["torch.nn.modules.module"]
    return {
        name: dict(value)
        for name, value in vars(module).items()
        if name.startswith("_global_") and isinstance(value, dict)
    }


def _put_module_hooks(before: dict[str, dict[Any, Any]]) -> None:
    module = sys.modules["torch.nn.modules.module"]
    for name, hooks in before.items():
        current = getattr(module, name)
        current.clear()
        current.update(hooks)


def _print_options(torch: Any) -> dict[str, Any]:
    return dict(vars(torch._tensor_str.PRINT_OPTS))  # noqa: SLF001  # torch has no public way to read them


def _put_print_options(torch: Any, value: dict[str, Any]) -> None:
    vars(torch._tensor_str.PRINT_OPTS).update(value)  # noqa: SLF001  # and none to restore them


def _class_methods() -> dict[type, dict[str, Any]]:
    """Methods of the classes that trainers patch: tensors, layers, optimizers."""
    torch = _torch()
    spaces = (torch.nn, torch.optim, torch.optim.lr_scheduler)
    classes = {torch.Tensor, *(value for space in spaces for value in vars(space).values() if isinstance(value, type))}
    return {each: {name: value for name, value in vars(each).items() if callable(value)} for each in classes}


def _same_class_methods(before: dict[type, dict[str, Any]], after: dict[type, dict[str, Any]]) -> bool:
    return all(none_replaced(methods, after.get(each, {})) for each, methods in before.items())


def _put_class_methods(before: dict[type, dict[str, Any]]) -> None:
    for each, methods in before.items():
        for name, value in methods.items():
            if vars(each).get(name) is not value:
                setattr(each, name, value)


def _torch_kinds() -> list[Kind]:
    return [
        _setting("default dtype", lambda t: t.get_default_dtype(), lambda t, v: t.set_default_dtype(v)),
        _setting("default device", _default_device, lambda t, v: t.set_default_device(v)),
        _setting(
            "random state",
            lambda t: t.get_rng_state(),
            lambda t, v: t.set_rng_state(v),
            same=_same_tensor,
            delta=_reseeded_torch,
            apply=_put_torch_state,
        ),
        _setting("cuda random state", _cuda_states, _put_cuda_states, same=_same_tensors),
        _setting("threads", lambda t: t.get_num_threads(), lambda t, v: t.set_num_threads(v)),
        _setting("gradient mode", lambda t: t.is_grad_enabled(), lambda t, v: t.set_grad_enabled(v)),
        _setting("deterministic algorithms", _deterministic, _put_deterministic),
        _setting("autocast", _autocast, _put_autocast),
        _setting(
            "matmul precision",
            lambda t: t.get_float32_matmul_precision(),
            lambda t, v: t.set_float32_matmul_precision(v),
        ),
        _setting("anomaly detection", lambda t: t.is_anomaly_enabled(), lambda t, v: t.autograd.set_detect_anomaly(v)),
        *map(_flag, ("backends.cudnn.benchmark", "backends.cudnn.deterministic", "backends.cudnn.enabled")),
        *map(_flag, ("backends.cudnn.allow_tf32", "backends.cuda.matmul.allow_tf32", "backends.mkldnn.enabled")),
        _flag("backends.cuda.matmul.allow_fp16_reduced_precision_reduction"),
        _flag("backends.cuda.matmul.allow_bf16_reduced_precision_reduction"),
        _switch("flash attention", "flash_sdp_enabled", "enable_flash_sdp"),
        _switch("memory-efficient attention", "mem_efficient_sdp_enabled", "enable_mem_efficient_sdp"),
        _switch("plain attention", "math_sdp_enabled", "enable_math_sdp"),
        _setting("warning repetition", lambda t: t.is_warn_always_enabled(), lambda t, v: t.set_warn_always(v)),
        _setting("print options", _print_options, _put_print_options),
        Kind("torch hooks on all modules", _module_hooks, _put_module_hooks, "torch"),
        namespace("functions of torch", "torch"),
        namespace("functions of torch.nn", "torch", "nn"),
        namespace("functions of torch.nn.functional", "torch", "nn.functional"),
        namespace("functions of torch.optim", "torch", "optim"),
        Kind("methods of torch classes", _class_methods, _put_class_methods, "torch", _same_class_methods),
    ]


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


def _matplotlib_kinds() -> list[Kind]:
    def parameters() -> dict[str, Any]:
        return {name: value for name, value in dict.items(sys.modules["matplotlib"].rcParams) if name != "backend"}

    def put(before: dict[str, Any]) -> None:
        dict.update(sys.modules["matplotlib"].rcParams, before)

    return [
        Kind(
            "matplotlib figures",
            lambda: sys.modules["matplotlib.pyplot"].get_fignums(),  # noqa: PLW0108  # looked up when called
            _close_new_figures,
            "matplotlib.pyplot",
        ),
        Kind("matplotlib backend", _backend, _put_backend, "matplotlib"),
        Kind("matplotlib parameters", parameters, put, "matplotlib", _same_text),
    ]


LIBRARY_KINDS = (*_numpy_kinds(), *_torch_kinds(), *_matplotlib_kinds())
LIBRARIES = frozenset(kind.module for kind in LIBRARY_KINDS)
