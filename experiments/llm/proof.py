"""Whether functional.py is what the tests proved fused.py equal to. As soon as it is not, or may not be, only functional.py runs.

After a change of functional.py that is there to stay, bring fused.py in line and run `python tests/prove_fused.py`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util

from experiments.llm import functional

PROVEN = "6ca0e47c3a00faed4298c73f26a40371bdaa2fed4bf67576ba08b5de19b31f0e"


def meaning(node: object) -> str:
    """Write a syntax tree so that comments, layout, docstrings and the version of Python do not show."""
    if isinstance(node, list):
        return f"[{','.join(meaning(each) for each in node if not is_docstring(each))}]"
    if not isinstance(node, ast.AST):
        return ascii(node)
    # Newer versions have fields more, which are empty here.
    fields = (f"{name}={meaning(value)}" for name, value in ast.iter_fields(node) if value not in (None, []))
    return f"{type(node).__name__}({','.join(fields)})"


def is_docstring(node: object) -> bool:
    """Whether this is a statement that is nothing but a text."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def digest(source: str) -> str:
    """Hash what a source means."""
    return hashlib.sha256(meaning(ast.parse(source)).encode()).hexdigest()


def is_same(one: object, other: object) -> bool:
    """Whether two functions have the same code, and whether anything else is equal."""
    return type(one) is type(other) and getattr(one, "__code__", one) == getattr(other, "__code__", other)


# All are taken at the first import: an edit while the process lives changes nothing in it. The functions are loaded once more, as they
# stand in their file, to compare with what someone may have put in their place, and torch's are noted.
SPEC = importlib.util.find_spec(functional.__name__)
SOURCE = digest(SPEC.loader.get_source(SPEC.name) or "")
UNTOUCHED = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(UNTOUCHED)
TORCH = functional.F.__dict__.copy()


def doubt() -> str:
    """Say why what is loaded of functional.py may not be what was proven; nothing where it is."""
    if SOURCE != PROVEN:
        return "experiments/llm/functional.py was changed"
    names = [name for name in UNTOUCHED.__dict__ if not name.startswith("__")]
    replaced = [name for name in names if not is_same(getattr(functional, name, None), getattr(UNTOUCHED, name))]
    replaced += [f"F.{name}" for name, value in TORCH.items() if getattr(functional.F, name, None) is not value]
    return f"{replaced[0]} of experiments/llm/functional.py was replaced" if replaced else ""
