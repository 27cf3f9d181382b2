"""Finished runs on disk: written whole or not at all, read with suspicion, never changed.

In goes a finished run under its key; out comes the run again, or nothing if it cannot be believed.
"""
