"""Versions of the installed packages that a trainer stands on, and the kind of machine, without importing any of them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

ABSENT = "absent"


def machine() -> str:
    """`cpu x86_64`, or `cuda ...` where the device file of a GPU is visible and not hidden by CUDA_VISIBLE_DEVICES."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in {"", "-1", "NoDevFiles"}
    present = any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd"))
    return f"{'cuda' if present and not hidden else 'cpu'} {platform.machine()}"


def _distribution_of(package: str) -> importlib.metadata.Distribution | None:
    # Most are installed under the name that is imported; for the others their own lists of files tell.
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
        return importlib.metadata.distribution(package)
    for candidate in importlib.metadata.distributions():
        if package in (candidate.read_text("top_level.txt") or "").split():
            return candidate
    for candidate in importlib.metadata.distributions():
        record = candidate.read_text("RECORD") or ""
        if f"\n{package}/" in record or record.startswith(f"{package}/") or f"\n{package}.py," in record:
            return candidate
    return None


def _requirements(distribution: importlib.metadata.Distribution) -> list[str]:
    """Names of what a distribution needs, extras left out. The header is scanned: parsing the whole text costs milliseconds."""
    names = []
    for line in (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").splitlines():
        if not line:
            break
        if line.startswith("Requires-Dist:") and "extra ==" not in line:
            match = re.match(r"[A-Za-z0-9._-]+", line.removeprefix("Requires-Dist:").strip())
            names.extend([match.group()] if match else [])
    return names


def _header(distribution: importlib.metadata.Distribution, name: str) -> str:
    for line in (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    return ""


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of the distributions behind import names and of everything these require, by normalised name.

    A name that no installed distribution provides has the version `absent`: an optional import that appears later changes the key.
    """
    versions: dict[str, str] = {}
    pending = [(name, True) for name in packages]
    while pending:
        name, imported = pending.pop()
        if _normalised(name) in versions:
            continue
        distribution = _distribution_of(name) if imported else _installed(name)
        if distribution is None:
            if imported:
                versions[_normalised(name)] = ABSENT
            continue
        versions[_normalised(name)] = _header(distribution, "Version") or "unknown"
        pending.extend((requirement, False) for requirement in _requirements(distribution))
    return versions


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
