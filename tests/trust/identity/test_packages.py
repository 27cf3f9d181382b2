"""What a trainer stands on: installed packages and the kind of machine, none of them imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exprun.trust.identity.packages import package_versions


def test_packages_and_what_they_require(project):
    """Versions by distribution, for imports and for what these stand on; nothing of the standard library."""
    project.write(**{"toy.py": "import hypothesis\nimport json\n"})
    components = project.key().components
    assert components["package hypothesis"] == __import__("hypothesis").__version__
    assert "package sortedcontainers" in components
    assert "package json" not in components


def test_an_import_name_that_is_no_distribution_name(project):
    """`import _pytest` belongs to the distribution pytest."""
    project.write(**{"toy.py": "import _pytest.config\nimport mpl_toolkits\n"})
    assert project.key().components["package -pytest"] == pytest.__version__


def test_an_optional_package_that_appears_later(project, tmp_path_factory, monkeypatch):
    """Absent first, then installed, then another version: three keys."""
    project.write(**{"toy.py": "try:\n    import fancylib\nexcept ImportError:\n    pass\n"})
    keys = [project.key()]
    site = tmp_path_factory.mktemp("v") / "site-packages"
    metadata = site / "fancylib-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    (site / "fancylib.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    for version in ("1.0", "1.1"):
        metadata.write_text(f"Metadata-Version: 2.1\nName: fancylib\nVersion: {version}\n", encoding="utf-8")
        keys.append(project.key())
    assert [key.components["package fancylib"] for key in keys] == ["absent", "1.0", "1.1"]


def test_hiding_the_gpu_changes_the_machine(project, monkeypatch):
    """CUDA_VISIBLE_DEVICES decides where there is a GPU."""
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path, **named: str(path) == "/dev/nvidia0" or real(path, **named))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert project.key().components["machine"].startswith("cuda ")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert project.key().components["machine"].startswith("cpu ")


def test_requirements_of_extras_and_of_what_is_not_installed_do_not_count(tmp_path, monkeypatch):
    """Only what an import stands on; names are compared as an installer does."""
    metadata = tmp_path / "Fancy_Lib-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(
        "Name: Fancy_Lib\nVersion: 1.0\nRequires-Dist: nosuchlib>=2\nRequires-Dist: NumPy (>=1); python_version > '3'\n"
        "Requires-Dist: pytest; extra == 'test'\n\nRequires-Dist: hypothesis in a description\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = package_versions(["fancy_lib"])
    assert {"fancy-lib", "numpy"} <= set(found)
    assert found["fancy-lib"] == "1.0"
    assert not {"nosuchlib", "pytest", "hypothesis"} & set(found)
