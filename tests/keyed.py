"""A small project and the keys that it gives, for the tests of what must agree."""

from __future__ import annotations

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.model import Budget, Variant
from pytest_exprun.trust.identity.fingerprint import Fingerprinter

PLAIN = Variant()
TRAINER = "import helper\n\ndef main(argv):\n    return helper.loss()\n"


class Project:
    """A folder with a trainer, and the keys that it gives."""

    def __init__(self, root):
        self.root = root
        self.write(**{"toy.py": TRAINER, "helper.py": "def loss():\n    return {'val_loss': 1.0}\n"})

    def write(self, **files):
        """Write files by name; `__` in a name is a folder."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def fingerprinter(self, **settings):
        """Return a fresh session's fingerprinter."""
        return Fingerprinter(Settings(**{"trainer": "toy:main", "root": self.root} | settings))

    def key(self, variant=PLAIN, args=(), **settings):
        """Return the key that a fresh session computes."""
        return self.fingerprinter(**settings).key(variant, Budget(), args)


def changed(old, new):
    """Return the names of the components that differ."""
    return [name for name, _, _ in old.changes(new)]
