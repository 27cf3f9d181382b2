"""Which options a trainer takes, which flags cannot work, before anything runs; and what its source lacks to be told seed and budget.

Nothing here trains.
"""
