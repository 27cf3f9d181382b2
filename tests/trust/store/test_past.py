"""An earlier state of a project: whether one seed may prove that nothing has changed that matters, and what has."""

from __future__ import annotations

import pytest

from pytest_exprun.trust.store.past import Past
from tests.stored import make_key

NOW, OLD, OTHER_DATA = make_key(), make_key(source="1" * 64), make_key(input_x="1")


@pytest.mark.parametrize(
    ("past", "may"),
    [
        (Past(NOW, {"source a.py": "1"}), True),
        (Past(NOW, {"file a.py": "1"}), True),
        (Past(OLD, {"source a.py": "1"}), True),
        (Past(OLD), True),
        (Past(NOW, {"file a.txt": "1"}), False),
        (Past(NOW, {"source a.py": "1", "environment X": "absent"}), False),
        (Past(OLD, {"library a.so": "1"}), False),
        (Past(OTHER_DATA), False),
    ],
)
def test_only_sources_may_be_proved(past, may):
    """Of the key and of what runs asked for; a `.py` file that was read may be one."""
    assert past.may_equal(NOW) is may


def test_what_has_changed_is_said_in_one_line():
    """Components of the key first."""
    assert Past(OLD, {"source b.py": "1"}).why(NOW) == "source toy.py changed; source b.py changed"
    assert Past(NOW, {"source b.py": "1"}).why(NOW) == "source b.py changed"
