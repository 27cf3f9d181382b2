"""The words that everything here uses: what is declared, set, trained and concluded, and how it goes wrong.

In come a marker's arguments, options and ini files; out go frozen records and one-line errors. Standard library only.
"""
