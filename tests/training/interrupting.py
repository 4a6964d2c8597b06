"""A training that is interrupted at a line of its sources."""

import os
import sys


def is_interrupted(work, at, files):
    """Do `work`, with a KeyboardInterrupt before line number `at` that runs in `files`; say if it came."""
    seen = 0

    def trace(frame, event, arg):
        nonlocal seen
        if not frame.f_code.co_filename.replace(os.sep, "/").endswith(files):
            return None
        if event == "line":
            seen += 1
            if seen == at:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
