"""Ends the process groups of a session that was killed: nothing may go on training that nobody waits for.

Run as a script. Each line on standard input is `+PID` or `-PID`, a group to watch or to forget; when standard input ends, because the
session closed it or died in whatever way, all watched groups are killed.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Watch until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
