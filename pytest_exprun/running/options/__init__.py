"""Which options a trainer takes: as keyword arguments, as its script declares them; and which flags cannot work, before anything runs.

Nothing here trains.
"""
