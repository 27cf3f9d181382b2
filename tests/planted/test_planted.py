"""Planted commits get the words that they deserve, all in one session, on one baseline."""

from __future__ import annotations

import json
import re

import pytest

from tests.planted.commits import PLANTS, SAME, branch_of, plant
from tests.shell import shell


def words(told):
    """Return the word for each branch, and what was said of it."""
    found = {}
    for each in told["comparisons"]:
        found[each["name"]] = SAME if each["kind"] == "identical" else each["verdict"], str(each)
    for text in told["nothing_to_compare"]:
        found[text.partition(":")[0]] = "nothing to compare", text
    for name in set(map(branch_of, PLANTS)) - set(found):
        errors = [text for text in told["errors"] if re.search(rf"\b{re.escape(name)}\b", text)]
        found[name] = ("error" if errors else "nothing said"), "\n".join(errors)
    return found


@pytest.mark.parametrize("project", ["toy", pytest.param("nano", marks=pytest.mark.slow)])
def test_each_gets_its_word(tmp_path, project):
    """None is called better than it is, but for what cannot be told; what breaks one breaks no other."""
    lab = plant(tmp_path / "project", project)
    before = lab.state()
    process = shell("try", *map(branch_of, PLANTS), "--json", cwd=lab.root)
    out, err = process.communicate(timeout=1200)
    found = words(json.loads(out))
    assert {name: found[branch_of(name)][0] for name in PLANTS} == {name: each.word for name, each in PLANTS.items()}
    for name, each in PLANTS.items():
        assert each.said in found[branch_of(name)][1]
    assert process.returncode == 2
    assert len(re.findall(r"^main +seed", err, re.MULTILINE)) == 5
    after = lab.state()
    for each in (before, after):
        each.pop("status --porcelain --ignored")
    assert after == before
