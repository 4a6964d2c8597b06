"""The command line: the only place that parses arguments, prints, and sets exit codes.

===========  ===============================================
exit code    what it means
===========  ===============================================
0            success
1            the command ran, and its answer is no
2            a mistake in what was asked, said in one line
130, 143     stopped by Ctrl-C, or by a termination request
===========  ===============================================
"""

from __future__ import annotations

import io
import signal
import sys
from typing import Any


def main() -> None:
    """Run the ``handgrad`` command."""
    for stream in (sys.stdout, sys.stderr):  # a code page lacks letters of files' names
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        signal.signal(signal.SIGTERM, _terminate)
        try:
            from handgrad.cli.app import run
        except ModuleNotFoundError as error:
            sys.stderr.write(f"handgrad: {error.name} is missing; run: pip install handgrad\n")
            sys.exit(2)
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("handgrad: stopped\n")
        code = 130
    sys.exit(code)


def _terminate(number: int, frame: Any) -> None:
    """End as Ctrl-C does, so that what was begun is cleared away."""
    sys.exit(128 + number)
