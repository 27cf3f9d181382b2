"""What the user says: options and ini keys, the project they stand in, commands with placeholders, the `@experiment` marker.

In come texts and a marker's arguments; out go checked settings and declared experiments, or one line that says what is allowed.
"""
