"""The hooks that others may implement."""

from __future__ import annotations

ROPE = '@experiment("--rope")\ndef test_rope(comparison):\n    """Better."""\n    assert comparison.verdict is Verdict.WINNER\n'


def test_hooks(toy_project):
    """Markdown can be replaced, and reports and runs are announced."""
    (toy_project.pytester.path / "conftest.py").write_text(
        "runs = []\n"
        "def pytest_exprun_markdown(config, comparison):\n    return f'mine: {comparison.name}\\n'\n"
        "def pytest_exprun_run_finished(config, run):\n    runs.append(run.spec.seed)\n"
        "def pytest_exprun_report(config, comparisons, paths):\n"
        "    print('REPORTED', [c.name for c in comparisons], sorted(paths), len(runs))\n",
        encoding="utf-8",
    )
    toy_project.write(ROPE)
    result = toy_project.run("-s")
    result.stdout.fnmatch_lines(["*REPORTED [[]'rope'] [[]'rope'] 8*"])
    assert toy_project.report("experiment_rope_1M.md") == "mine: rope\n"
