"""What was asked, and what became of it: an append-only file beside the runs, whose lines hold each other.

In come questions before they are trained, and their outcomes; out come the lines, a head that stands for all of them, and every change.
"""
