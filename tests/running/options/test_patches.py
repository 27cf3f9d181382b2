"""Patches are real ones: what git and patch take, whatever the file looks like."""

from __future__ import annotations

import ast
import shutil
import subprocess

import pytest

from pytest_exprun.running.options.patches import Literal, Patch


def told(path, name="SEED"):
    """Return the patch that lets a variable say each number that a call in the file is given."""
    patch = Patch()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            patch.tell(Literal.of(path, node.args[0]), name)
    return patch


SOURCES = {
    "plain": "import os\nseed(1337)\n",
    "no import of os": '"""What it is."""\nfrom __future__ import annotations\n\nimport random\n\nrandom.seed(1)\n',
    "no new line at its end": "import os\nx = 1\nseed(1337)",
    "Windows": "import os\r\n\r\nseed(1337)\r\n",
    "Windows, with a line to add": "x = 1\r\nseed(1337)\r\n",
    "other letters": 'import os\nx = "äöü", seed(7), "ß"; seed(8)\n',
    "nothing but the call": "seed(3)\n",
}


@pytest.mark.parametrize("tool", ["git", "patch"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_tool_takes_it(tmp_path, monkeypatch, source, tool):
    """Applied, the file asks the variable, and without it does what it did."""
    if shutil.which(tool) is None:
        pytest.skip(f"there is no {tool}")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.py"
    path.write_bytes(source.encode())
    (tmp_path / "p").write_bytes(told(path).diff(tmp_path).encode())
    command = ["git", "apply", "p"] if tool == "git" else ["patch", "-p1", "--binary", "-i", "p"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    changed = path.read_bytes().decode()
    assert changed.count("\r\n") in (0, changed.count("\n"))
    for variable, added in (({}, 0), ({"SEED": "5000"}, 5000)):
        seen: list[int] = []
        with monkeypatch.context() as patched:
            patched.delenv("SEED", raising=False)
            for name, value in variable.items():
                patched.setenv(name, value)
            code = compile(changed.replace("import random\n\nrandom.", ""), "train.py", "exec")
            exec(code, {"seed": seen.append})  # noqa: S102
        assert seen == (
            [added] * len(seen) if added else [int(n) for n in ["1337", "1", "7", "8", "3"] if f"({n})" in source]
        )


def test_lines_and_words_are_added_where_they_belong(tmp_path):
    """After a line, before the first one, into a list with and without others."""
    path = tmp_path / "a.py"
    path.write_text("def f(a=1):\n    pass\ndef g():\n    pass\n")
    patch = Patch()
    assert not patch
    patch.insert(path, 1, 9, True, "seed=0")
    patch.insert(path, 3, 6, False, "seed=0")
    patch.add(path, 0, ["# first"])
    patch.add(path, 3, ["    # within"])
    assert patch.files() == [path]
    path.write_text("def f(a=1):\n    pass\ndef g():\n    pass\n")
    subprocess.run(["git", "apply", "-"], input=patch.diff(tmp_path).encode(), check=True, cwd=tmp_path)
    assert path.read_text() == "# first\ndef f(a=1, seed=0):\n    pass\ndef g(seed=0):\n    # within\n    pass\n"
