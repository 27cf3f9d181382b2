"""What many verdicts are worth together: chance among many experiments, the level of the next confirmation, what a session can see.

In come comparisons, outcomes of earlier confirmations, or a plan; out come expectations and levels. No verdict depends on any of it.
"""
