"""What many verdicts are worth together, as text and as a picture.

In comes a ladder of changes that were kept; out come its lines for a terminal, its section of the folder's list, its JSON and its steps.
"""
