"""A run is performed: where (`executors`), how (`training`), with which flags (`options`), and what surrounds it (`sandbox`).

In goes the plain description of one run, out comes its plain result.
"""
