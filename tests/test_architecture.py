"""Who may import whom, held by reading the imports; and that loading the plugin stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pytest_exprun"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")
}
HEAVY = {"numpy", "scipy", "torch", "matplotlib", "ray"}
SHELL = {"plugin", "hookspec", "reporter", "__init__"}
STDLIB_ONLY = {f"terms.{name}" for name in ("errors", "model", "settings", "templates")}


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Return the names of all imported modules; those under TYPE_CHECKING are no imports at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    nodes = tree.body if top_level_only else [node for node in ast.walk(tree) if node not in typing_only]
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module.startswith("pytest_exprun"):
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def ours(path: Path) -> set[str]:
    """Return the package's own modules that one imports."""
    return {name.removeprefix("pytest_exprun.") for name in imports(path) if name.startswith("pytest_exprun.")} & set(
        MODULES
    )


@pytest.mark.parametrize("name", sorted(MODULES))
def test_pytest_is_seen_by_the_shell_only(name):
    """Only plugin, hookspec, reporter and experiment() import pytest; nobody imports plugin."""
    found = {each.partition(".")[0] for each in imports(MODULES[name])}
    assert name in SHELL or not found & {"pytest", "_pytest"}
    assert "plugin" not in ours(MODULES[name])


@pytest.mark.parametrize("name", sorted(STDLIB_ONLY))
def test_the_nouns_import_only_the_standard_library(name):
    """errors, model and settings stand on nothing else."""
    foreign = (
        {each.partition(".")[0] for each in imports(MODULES[name])} - set(sys.stdlib_module_names) - {"pytest_exprun"}
    )
    assert not foreign
    assert ours(MODULES[name]) <= STDLIB_ONLY


@pytest.mark.parametrize("name", sorted(MODULES))
def test_heavy_libraries_are_imported_where_they_are_used(name):
    """No module imports numpy, scipy, torch or matplotlib at its top."""
    assert not {each.partition(".")[0] for each in imports(MODULES[name], top_level_only=True)} & HEAVY


@pytest.mark.parametrize("name", sorted(MODULES))
def test_layers(name):
    """Reports never see the study or the session; the study sees no report; the core sees neither."""
    found = ours(MODULES[name])
    if name.startswith("report"):
        assert not {each for each in found if each.startswith(("study", "running", "trust"))}
    elif name not in {"study.session", "plugin", "reporter", "cli"} and not name.startswith("commands"):
        assert not {each for each in found if each.startswith("report")}
        assert name.startswith("study") or not {each for each in found if each.startswith("study")}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_reference_trainer_is_only_a_default(name):
    """The package never imports train_llm: it is the default of an ini key and nothing more."""
    assert "train_llm" not in imports(MODULES[name])


def test_the_trainer_does_not_know_the_plugin():
    """train_llm.py never imports pytest_exprun."""
    assert not {name for name in imports(PACKAGE.parent / "train_llm.py") if name.startswith("pytest_exprun")}


PROBE = """
import sys, pytest
class Probe:
    def pytest_unconfigure(self):
        print("LOADED", sorted({{"numpy", "scipy", "torch", "train_llm"}} & set(sys.modules)))
{extra}
sys.exit(pytest.main(["--co", "-q", "-p", "pytest_exprun.plugin", "-p", "no:cacheprovider"], plugins=[Probe()]))
"""


@pytest.mark.parametrize(("extra", "loaded"), [("", "LOADED []"), ("import numpy", "LOADED ['numpy']")])
def test_an_empty_session_loads_nothing_heavy(tmp_path, extra, loaded):
    """numpy, scipy and torch stay out of a session without experiments; the second row proves that the first can fail."""
    (tmp_path / "test_plain.py").write_text("def test_plain(): ...\n", encoding="utf-8")
    script = tmp_path / "probe.py"
    script.write_text(PROBE.format(extra=extra), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert loaded in done.stdout, done.stdout + done.stderr


def test_a_stored_session_loads_no_torch_and_no_trainer(toy_project):
    """Judging stored runs imports neither the trainer nor scipy.stats, which alone takes longer than the rest."""
    toy_project.write('@experiment("--rope")\ndef test_rope(): ...')
    toy_project.run_fresh().assert_outcomes(passed=1)
    (toy_project.pytester.path / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n"
        "    print('LOADED', sorted({'toy', 'torch', 'scipy.stats', 'matplotlib'} & set(sys.modules)))\n",
        encoding="utf-8",
    )
    result = toy_project.run_fresh("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*LOADED []*"])
