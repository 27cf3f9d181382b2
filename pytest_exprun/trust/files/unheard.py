"""What nobody hears of a run though it is known that there was something: what hosts answer that it asked, what silent Pythons read."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_exprun.terms.errors import one_line
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.files.places import counts, is_below

if TYPE_CHECKING:
    from pytest_exprun.trust.files.accesses import Heard

ASKED, SILENT = "asked_network", "silent_pythons"
"""Names in a run's provenance: hosts on other machines that it asked, and scripts below the root whose Python told nothing."""
MOST_TOLD, MOST_SHOWN = 10, 3


def unheard(heard: Heard, root: str) -> dict[str, list[str]]:
    """Return for a run's provenance what was not heard."""
    asked = [_shown(*told) for told in (name.split(" ") for name in heard.asked) if not _is_ours(told[-1])]
    silent = [name for name in heard.silent if is_below(name, root) and counts(name, root)]
    return {ASKED: sorted(set(asked)), SILENT: sorted(os.path.relpath(name, root) for name in silent)}


def _shown(host: str, port: str, _: str) -> str:
    return one_line(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _is_ours(address: str) -> bool:
    """Whether an address is this machine's: only there a socket can be bound."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


@dataclass
class Unheard:
    """Says once a session what nobody heard of its runs."""

    _told: set[str] = field(default_factory=set)

    def notices(self, result: RunResult) -> Iterator[str]:
        """Take in a finished run, and say what the user must know and was not told before."""
        run = f"seed {result.spec.seed} of {result.spec.variant}"
        if new := self._new(result.provenance.get(ASKED, [])):
            yield (
                f"{run} asked the network: {listed(new)}. A stored run stands whatever is answered there later: keep data and models in "
                "files, whose changes are noticed, or return data_sha256 from the trainer; what only reports there (telemetry) does no harm"
            )
        if new := self._new(result.provenance.get(SILENT, [])):
            yield (
                f"{run} started a Python that tells nothing: {listed(new)}. A stored run stands whatever becomes of what that reads: start "
                "it without -I, -E and -S and with the PYTHONPATH that the run has, or name in exprun_inputs what it reads"
            )

    def _new(self, names: Sequence[str]) -> Sequence[str]:
        """Return the names that were not told yet, and remember them; not without end, as each run may ask another host."""
        new = [name for name in names if name not in self._told][: MOST_TOLD - len(self._told)]
        self._told.update(new)
        return new


def listed(names: Sequence[str]) -> str:
    """Name the first of them."""
    shown = ", ".join(names[:MOST_SHOWN])
    return f"{shown} and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else shown
