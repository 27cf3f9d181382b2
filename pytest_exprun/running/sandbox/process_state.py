"""The kinds of process state that a training run can change, each with how to read it and how to put it back.

Libraries are looked up in `sys.modules` and never imported here: state of a library that nobody imported cannot have changed.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import locale
import logging
import operator
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

MISSING = object()


@dataclass(frozen=True)
class Kind:
    """One kind of state.

    Attributes:
        name: what a person calls it.
        get: read the state; the value must be independent of later changes.
        put: restore such a value.
        module: the library it belongs to, which must be loaded.
        same: whether two values are the same state.
        numeric: it can change a run's numbers, so what a trainer sets while it is imported is set again before each run.
        delta: what changed from one value to another, in a form for `apply`, None for nothing; by default the new value, for `put`.
        apply: make such a change.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    module: str = "sys"
    same: Callable[[Any, Any], bool] = operator.eq
    numeric: bool = False
    delta: Callable[[Any, Any], Any] | None = None
    apply: Callable[[Any], object] | None = None

    @property
    def loaded(self) -> bool:
        """Whether the state exists in this process."""
        return self.module in sys.modules


def _same_object(one: Any, two: Any) -> bool:
    return one is two


def _same_members(one: Any, two: Any) -> bool:
    """Equal length and pairwise identical: lists and dicts of hooks, filters, handlers."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(value is two[name] for name, value in one.items())
    return len(one) == len(two) and all(map(_same_object, one, two))


def _attribute(name: str, owner: Any, attribute: str, module: str = "sys") -> Kind:
    """An attribute that is rebound: a hook, a stream."""

    def put(value: Any) -> None:
        if value is MISSING:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, value)

    return Kind(name, lambda: getattr(owner, attribute, MISSING), put, module, _same_object)


def _in_place(name: str, get: Callable[[], Any], module: str = "sys", *, numeric: bool = False) -> Kind:
    """A list or mapping that others hold a reference to: its members are restored, not the object."""

    def put(value: Any) -> None:
        target = get()
        if isinstance(target, MutableMapping):
            target.clear()
            target.update(value)
        else:
            target[:] = value

    return Kind(name, lambda: _copied(get()), put, module, _same_members, numeric)


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value)


def _replaced(
    owner: Callable[[], Any], names: Callable[[], Any] | None = None
) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Read and restore a namespace whose existing entries must not be replaced; new entries are none of our business."""

    def get() -> dict[str, Any]:
        return dict(names() if names else vars(owner()))

    def put(before: dict[str, Any]) -> None:
        space = owner()
        for name, value in before.items():
            if vars(space).get(name, MISSING) is not value:
                setattr(space, name, value)

    return get, put


def none_replaced(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether all entries of a namespace are the same objects; new ones are none of our business."""
    return all(after.get(name, MISSING) is value for name, value in before.items())


def namespace(name: str, module: str, path: str = "", only: tuple[str, ...] = ()) -> Kind:
    """Functions and classes of a module that a run may have patched."""

    def owner() -> Any:
        found: Any = sys.modules[module]
        for part in path.split(".") if path else ():
            found = getattr(found, part)
        return found

    def names() -> dict[str, Any]:
        entries = vars(owner())
        chosen = {key: entries[key] for key in only if key in entries} if only else entries
        return {key: value for key, value in chosen.items() if callable(value) and not key.startswith("_")}

    get, put = _replaced(owner, names)
    return Kind(name, get, put, module, none_replaced)


def _reseeded(before: Any, after: Any) -> Any:
    """The new state if the generator was seeded, None if numbers were only drawn from it."""
    return None if before[1][:-1] == after[1][:-1] else after


def _environ_delta(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    return {name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)}


def _apply_environ(delta: dict[str, str | None]) -> None:
    for name, value in delta.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _put_environ(before: dict[str, str]) -> None:
    _apply_environ(_environ_delta(dict(os.environ), before))
    if hasattr(time, "tzset"):
        time.tzset()


def _added_entries(before: list[str], after: list[str]) -> list[str]:
    return [entry for entry in after if entry not in before]


def _add_entries(entries: list[str]) -> None:
    sys.path[:0] = [entry for entry in entries if entry not in sys.path]


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # text, as chdir takes it
    except OSError:
        return ""  # somebody deleted it


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _signal_handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _put_signal_handlers(before: dict[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, handler)


def _loggers() -> dict[str, tuple[Any, ...]]:
    """Level, handlers, filters and flags of the root logger and of every logger there is."""
    named = {name: item for name, item in logging.root.manager.loggerDict.items() if isinstance(item, logging.Logger)}
    return {
        name: (item.level, tuple(item.handlers), tuple(item.filters), item.disabled, item.propagate)
        for name, item in {"": logging.root, **named}.items()
    }


def _put_loggers(before: dict[str, tuple[Any, ...]]) -> None:
    for name, (level, handlers, filters, disabled, propagate) in before.items():
        logger = logging.getLogger(name or None)
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters
        logger.disabled, logger.propagate = disabled, propagate


def _same_loggers(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return all(after.get(name) == value for name, value in before.items())


def _put_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]  # typeshed says Sequence; it is a list
    getattr(warnings, "_filters_mutated_lock_held", getattr(warnings, "_filters_mutated", lambda: None))()


def _put_modules(before: dict[str, Any]) -> None:
    for name, module in before.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module


def _trace_functions() -> tuple[Any, Any]:
    return sys.gettrace(), sys.getprofile()


def _put_trace_functions(before: tuple[Any, Any]) -> None:
    sys.settrace(before[0])
    sys.setprofile(before[1])


def _put_resource_limits(before: dict[int, tuple[int, int]]) -> None:
    import resource

    for which, (soft, hard) in before.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (soft, hard))


def _resource_limits() -> dict[int, tuple[int, int]]:
    try:
        import resource
    except ImportError:
        return {}
    return {
        getattr(resource, name): resource.getrlimit(getattr(resource, name))
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    }


def _flushes_denormals() -> bool:
    """Whether this thread's floating-point unit turns denormal numbers into zero (`torch.set_flush_denormal`)."""
    return sys.float_info.min * _half() == 0.0


def _half() -> float:
    return float("0.5")  # not a literal: the product must be computed now and not by the compiler


def _put_flush_denormals(value: bool) -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(value)


def _decimal_context() -> Any:
    return sys.modules["decimal"].getcontext().copy()


def _put_decimal_context(context: Any) -> None:
    sys.modules["decimal"].setcontext(context)


def _socket_timeout() -> Any:
    return sys.modules["socket"].getdefaulttimeout()


def _put_socket_timeout(value: float | None) -> None:
    sys.modules["socket"].setdefaulttimeout(value)


def _same_decimal(one: Any, two: Any) -> bool:
    return repr(one) == repr(two)


def _start_method(value: Any) -> None:
    sys.modules["multiprocessing"].set_start_method(value, force=True)


def _interval_timer() -> Any:
    return signal.getitimer(signal.ITIMER_REAL)


def _put_interval_timer(before: tuple[float, float]) -> None:
    if before == (0.0, 0.0):
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _same_timer(before: tuple[float, float], after: tuple[float, float]) -> bool:
    """A timer that was running counts down on its own; only one that appeared is a change."""
    return before != (0.0, 0.0) or after == before


def _set_affinity(cpus: frozenset[int]) -> None:
    os.sched_setaffinity(0, cpus)


def _python_kinds() -> list[Kind]:
    kinds = [
        Kind(
            "random state of python",
            random.getstate,
            random.setstate,
            numeric=True,
            delta=_reseeded,
            apply=random.setstate,
        ),
        Kind(
            "environment variables",
            lambda: dict(os.environ),
            _put_environ,
            numeric=True,
            delta=_environ_delta,
            apply=_apply_environ,
        ),
        Kind("working directory", _working_directory, lambda path: os.chdir(path) if path else None, numeric=True),
        Kind("file mode mask", _umask, os.umask),
        _in_place("sys.argv", lambda: sys.argv),
        Kind(
            "sys.path",
            lambda: list(sys.path),
            lambda v: operator.setitem(sys.path, slice(None), v),
            numeric=True,
            delta=_added_entries,
            apply=_add_entries,
        ),
        _in_place("import finders", lambda: sys.meta_path),
        _in_place("import path hooks", lambda: sys.path_hooks),
        Kind("replaced modules", lambda: dict(sys.modules), _put_modules, same=none_replaced),
        *(_attribute(f"sys.{name}", sys, name) for name in ("stdout", "stderr", "stdin", "excepthook", "displayhook")),
        *(
            _attribute(f"sys.{name}", sys, name)
            for name in ("unraisablehook", "breakpointhook", "tracebacklimit", "dont_write_bytecode")
        ),
        _attribute("threading.excepthook", threading, "excepthook"),
        Kind("trace functions", _trace_functions, _put_trace_functions, same=_same_members),
        Kind("loggers", _loggers, _put_loggers, same=_same_loggers),
        Kind("logging.disable", lambda: logging.root.manager.disable, logging.disable),
        Kind("logger class", logging.getLoggerClass, logging.setLoggerClass, same=_same_object),
        Kind("warning filters", lambda: list(warnings.filters), _put_filters),
        _attribute("warnings.showwarning", warnings, "showwarning"),
        _attribute("warnings.formatwarning", warnings, "formatwarning"),
        Kind("signal handlers", _signal_handlers, _put_signal_handlers, same=_same_members),
        Kind("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, numeric=True),
        Kind("thread switch interval", sys.getswitchinterval, sys.setswitchinterval),
        Kind("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        Kind("garbage collection threshold", gc.get_threshold, lambda counts: gc.set_threshold(*counts)),
        Kind("garbage collection debugging", gc.get_debug, gc.set_debug),
        _in_place("garbage collection callbacks", lambda: gc.callbacks),
        Kind(
            "locale",
            lambda: locale.setlocale(locale.LC_ALL),
            lambda v: locale.setlocale(locale.LC_ALL, v),
            numeric=True,
        ),
        _attribute("tempfile.tempdir", tempfile, "tempdir"),
        Kind("resource limits", _resource_limits, _put_resource_limits),
        Kind("flushing of denormal numbers", _flushes_denormals, _put_flush_denormals, numeric=True),
        Kind(
            "decimal context",
            _decimal_context,
            _put_decimal_context,
            "decimal",
            _same_decimal,
            numeric=True,
        ),
        Kind(
            "socket timeout",
            _socket_timeout,
            _put_socket_timeout,
            "socket",
        ),
        Kind(
            "start method of processes",
            lambda: sys.modules["multiprocessing"].get_start_method(allow_none=True),
            _start_method,
            "multiprocessing",
            numeric=True,
        ),
        namespace("builtins", "builtins", only=tuple(vars(builtins))),
        namespace("functions of time", "time"),
        namespace("functions of random", "random"),
        namespace("functions of math", "math"),
        namespace("functions of os", "os"),
    ]
    if hasattr(sys, "set_int_max_str_digits"):
        kinds.append(Kind("digits limit of int", sys.get_int_max_str_digits, sys.set_int_max_str_digits))
    if hasattr(os, "sched_getaffinity"):
        kinds.append(Kind("cpu affinity", lambda: frozenset(os.sched_getaffinity(0)), _set_affinity))
    if hasattr(signal, "pthread_sigmask"):
        kinds.append(
            Kind(
                "signal mask",
                lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
                lambda m: signal.pthread_sigmask(signal.SIG_SETMASK, m),
            )
        )
        kinds.append(Kind("interval timer", _interval_timer, _put_interval_timer, same=_same_timer))
    return kinds


PYTHON_KINDS = tuple(_python_kinds())
