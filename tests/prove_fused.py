"""Prove the fused functions of the reference trainer equal to the plain ones, and note in proof.py for which source that is so.

python tests/prove_fused.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LLM = ROOT / "experiments" / "llm"


def note(proof: Path, plain: Path) -> None:
    """Write the digest of the plain functions into proof.py."""
    sys.path.insert(0, str(ROOT))
    from experiments.llm.proof import digest

    line = f'PROVEN = "{digest(plain.read_text(encoding="utf-8"))}"'
    text = re.sub(r"^PROVEN = .*$", line, proof.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    proof.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if pytest.main([str(ROOT / "tests" / "test_fused.py"), "-q"]):
        sys.exit("nothing noted: bring experiments/llm/fused.py in line with functional.py first")
    note(LLM / "proof.py", LLM / "functional.py")
