"""How one run is performed, by a function or a command, and what it gave: progress lines, metrics, notes.

In comes one run and a folder to write in; out comes its result, or an error that says why there is none.
"""
