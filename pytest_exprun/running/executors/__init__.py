"""Where runs are performed: in this process, in fresh ones, on a Ray cluster, or by an executor of the user's.

In come runs to perform; out come their results, in any order. `contract` says what every executor must do.
"""
