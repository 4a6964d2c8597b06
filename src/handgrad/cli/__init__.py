"""The command line: the only place that parses arguments, prints, and sets exit codes.

Exit codes: 0 success; 1 the command ran and its answer is no; 2 a mistake in what was asked, said in
one line; 130 and 143 stopped by Ctrl-C or a termination request.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the ``handgrad`` command."""
    try:
        from handgrad.cli.app import run
    except ModuleNotFoundError as error:
        sys.stderr.write(f"handgrad: {error.name} is missing; run: pip install handgrad\n")
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))
