"""A run is performed: where (`executors`), how and with which result (`training`), and what surrounds it (`sandbox`).

In goes the plain description of one run, out comes its plain result.
"""
