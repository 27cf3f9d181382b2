"""Files that the sources name but runs only write (`torch.save(model, "model.pt")`): no inputs, though they are there in the next session.

Known from what was heard of runs, and kept in the store, beside the records that it belongs to.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from pytest_exprun.terms.whole_file import replace_file
from pytest_exprun.trust.files.accesses import OPENED, OpenedFiles


class Outputs:
    """The outputs of one project's runs, named from its root.

    Args:
        store: the folder of the records.
        root: the root directory.
    """

    def __init__(self, store: Path, root: Path, heard: OpenedFiles = OPENED) -> None:
        self._path, self._root, self._heard = store / "outputs.json", root.resolve(), heard

    @cached_property
    def names(self) -> set[str]:
        """What is known now; nothing if the file is not there or not ours."""
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return set()
        return {name for name in known if isinstance(name, str)} if isinstance(known, list) else set()

    def learn(self, written: Iterable[str]) -> None:
        """Take in what a run wrote and never read. What any run has read is an input after all."""
        names = {name for name in {*self.names, *written} if not self._heard.is_read(self._root / name)}
        if names == self.names:
            return
        self.names = names
        with contextlib.suppress(OSError):  # it spares work only: without it such a file counts as an input
            replace_file(self._path, json.dumps(sorted(names), indent=1) + "\n")
