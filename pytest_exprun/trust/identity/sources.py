"""What a Python source counts by: its syntax tree as it is written, so that only comments and layout are free.

Names, order, docstrings, annotations and unused functions all count: each can be read by some program, and nobody can tell from the
text that it is not. An edit that turns out to change nothing costs one run an arm (study/stale.py).
"""

from __future__ import annotations

import ast
import hashlib


def parse(source: bytes) -> ast.Module | None:
    """Return the syntax tree, None if there is none."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def source_digest(source: bytes, tree: ast.Module | None = None) -> str:
    """SHA-256 of a source's syntax tree without positions; of its bytes if it has none. `tree`: what it parses to, if known."""
    tree = tree or parse(source)
    try:
        written = source if tree is None else ast.dump(tree).encode("utf-8", "surrogatepass")
    except RecursionError:
        written = source
    return hashlib.sha256(written).hexdigest()
