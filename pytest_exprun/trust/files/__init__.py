"""Which files a run touched: read, listed, written, and left where they do not belong.

In come the interpreter's audit events; out goes what a run depended on and what it left behind.
"""
