"""The words that everything here uses: what is trained, what came out, when two runs are the same, and how it goes wrong.

Frozen records that convert to plain JSON and back, and one-line errors. Standard library only.
"""
