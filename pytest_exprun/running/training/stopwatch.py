"""The clocks of one run, and what is known of the machine that it ran on."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pytest_exprun.trust.identity.checkouts import Checkout

SHORTEST = 1.0
"""Seconds below which the kernel's busy counters, in hundredths of a second, say nothing about neighbours."""


@cache
def _cpu() -> tuple[str, str]:
    """Return the CPU's model and its widest vector instructions (which change the last bits of floating-point sums)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    isa = next((isa for isa in ("avx512f", "avx2", "avx", "asimd") if isa in flags), platform.machine())
    return facts.get("model name", platform.processor() or platform.machine()), isa


@cache
def _package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Name the GPU only if the trainer has already set one up: asking would start the driver."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())


def _commit() -> str | None:
    """Name the commit that the working directory is at, with a `+` where tracked files differed at the first run; None outside git."""
    try:
        checkout = Checkout.around(Path.cwd())
    except OSError:
        return None
    return _commit_of(checkout.top) if checkout else None


@cache
def _commit_of(top: Path) -> str | None:
    try:
        head = _git(top, "rev-parse", "--short=12", "HEAD")
        changed = _git(top, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+" if changed else head


def _git(top: Path, *words: str) -> str:
    command = ["git", *words]
    return subprocess.run(command, cwd=top, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603


def _busy_jiffies() -> int | None:
    """Return the machine's busy time since boot in clock ticks, or None where the kernel does not tell."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as stat:
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    except (OSError, ValueError):
        return None
    return user + nice + system + irq + softirq


def _other_busy_cores(busy_before: int | None, wall: float, cpu: float) -> float | None:
    """Return how many cores others kept busy meanwhile; None where that is unknown or the time too short to tell."""
    busy = _busy_jiffies()
    if busy is None or busy_before is None or wall < SHORTEST:
        return None
    return max(0.0, (busy - busy_before) / os.sysconf("SC_CLK_TCK") - cpu) / wall


@dataclass
class Stopwatch:
    """Measures one run from construction to `stop`: wall seconds, CPU seconds of this process and its finished children, neighbours."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=lambda: sum(os.times()[:4]))
    _busy: int | None = field(default_factory=_busy_jiffies)

    def stop(self, *, threads: int | None = None, concurrency: int = 1) -> dict[str, Any]:
        """Return the provenance of the run that just ended. `threads` is what the trainer said it used."""
        wall, cpu = time.perf_counter() - self._wall, sum(os.times()[:4]) - self._cpu
        others = _other_busy_cores(self._busy, wall, cpu)
        model, isa = _cpu()
        torch = sys.modules.get("torch")
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "wall_time": wall,
            "cpu_time": cpu,
            "other_busy_cores": others,
            "concurrency": concurrency,
            "threads": threads if threads is not None or torch is None else torch.get_num_threads(),
            "python": platform.python_version(),
            "torch": _package_version("torch") if torch is not None else None,
            "numpy": _package_version("numpy"),
            "cpu": model,
            "isa": isa,
            "gpu": _gpu(),
            "platform": platform.platform(),
            "commit": _commit(),
            "host": socket.gethostname(),
        }
