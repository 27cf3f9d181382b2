"""What runs cost, and what that says of a change: which clock counts, whether times may be compared, how fast a loss is reached.

In come the finished runs of two arms; out go figures, or the reason why there are none. No verdict depends on any of it.
"""
