"""Which runs are needed, where each comes from, and when a verdict falls.

In come declared experiments; out go comparisons. Here alone meet what judges (verdict, report) and what trusts and runs (trust, running).
"""
