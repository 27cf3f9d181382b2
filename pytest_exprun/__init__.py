"""Training experiments as tests: `from pytest_exprun import Verdict, experiment`."""
