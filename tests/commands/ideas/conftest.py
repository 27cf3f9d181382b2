"""Projects with winners, for the tests of what is done with them."""

from __future__ import annotations

import pytest

from tests.shell import ROPE
from tests.states import Checkout

INI = "[pytest]\n# how to train\nexprun_trainer = toy:main\nexprun_plots = off\n"
IGNORED = ".exprun/\n.traces/\n*.pyc\ndocs/\n"


@pytest.fixture
def winner(project, exprun):
    """Return a project with a WINNER that fresh seeds confirmed."""
    project.write(ROPE)
    project.run().assert_outcomes(passed=1)
    exprun("confirm", "rope")
    return project


@pytest.fixture
def twins(project):
    """Return the toy project as a repository, with two branches that give the same gain, which is there once."""
    root = project.pytester.path
    checkout = Checkout(root)
    toy = (root / "toy.py").read_text(encoding="utf-8")
    toy = toy.replace("SIGMA = 0.01\n", "SIGMA = 0.01\nONE = 0\n# apart\n# from\n# it\nOTHER = 0\n")
    toy = toy.replace("loss = 2.0 +", "loss = 2.0 - 0.1 * max(ONE, OTHER) +")
    checkout.commit("first", **{"pytest.ini": INI, ".gitignore": IGNORED, "toy.py": toy})
    for name in ("one", "other"):
        checkout.branch(name, **{"toy.py": toy.replace(f"{name.upper()} = 0", f"{name.upper()} = 1")})
    return checkout
