"""Tests of the thirty ideas: they are what the page on them says, and the trainer still has what they change."""

from __future__ import annotations

import pytest

from tests.field.ideas import HARM, HELP, IDEAS, NULL, OPTIMIZER, DoesNotApplyError, Edit, sources
from tests.field.lab import edits_of
from tests.field.ladder import compatible


def test_there_are_thirty_of_which_a_third_is_without_effect():
    """Ten without effect, thirteen meant to help, seven meant to harm, under thirty names."""
    assert [sum(idea.kind == kind for idea in IDEAS) for kind in (NULL, HELP, HARM)] == [10, 13, 7]
    assert len({idea.name for idea in IDEAS}) == 30


@pytest.mark.parametrize("idea", IDEAS, ids=lambda idea: idea.name)
def test_an_idea_is_either_flags_that_exist_or_an_edit_that_applies(idea):
    """Flags parse with the control's, and an edit changes something, into Python still."""
    assert bool(idea.flags) != bool(idea.edits)
    if idea.flags:
        train_llm = pytest.importorskip("train_llm")
        train_llm.build_parser().parse_args(["--recipe=modern", *idea.flags])
    else:
        before, after = sources(), sources(idea.edits)
        changed = [path for path in before if before[path] != after[path]]
        assert changed == sorted({edit.path for edit in idea.edits})
        for path in changed:
            compile(after[path], path, "exec")


def test_an_edit_whose_text_is_gone_does_not_apply():
    """Two edits of one text: the second one is refused, and left out where several are put together."""
    both = [idea for idea in IDEAS if idea.name in {"beta2", "forgetful"}]
    with pytest.raises(DoesNotApplyError, match=r"optim\.py has no"):
        sources(edits_of(both))
    assert compatible(both) == tuple(both[:1])


def test_an_edit_changes_every_occurrence():
    """What is renamed is renamed throughout."""
    assert "POLAR_EXPRESS" not in sources((Edit(OPTIMIZER, "POLAR_EXPRESS", "POLAR"),))[OPTIMIZER]
