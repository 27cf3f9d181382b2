"""Where the runs of an arm come from: memory, the store, one run that proves that the others still stand, or training.

In come a variant and its seeds; out come runs that stand, or why there are none.
"""
