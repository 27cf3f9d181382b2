"""Numbers in, a verdict out: the statistics, the rules, and two arms put side by side. Pure: no file, no process, no pytest.

In come the finished runs of two arms; out goes a comparison with its verdict, its reason and its evidence.
"""
