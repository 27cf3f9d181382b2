from pytest_exprun import experiment


@experiment("--rope")
def test_rope(): ...
