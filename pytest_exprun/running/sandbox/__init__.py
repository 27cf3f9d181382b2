"""What surrounds a run: a process like a fresh one before it, everything as it was after it, nothing left running.

In comes a block or a process to run; out comes a report of what it left behind.
"""
