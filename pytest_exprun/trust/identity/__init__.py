"""What must agree before a stored run may stand: sources, inputs, packages, machine. Nothing of the trainer is imported.

In come the settings and an arm; out comes its key, and what changed from one key to another.
"""
