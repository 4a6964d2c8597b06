"""An independent judge of the courses' functions: PyTorch in float64 says what is right.

`corpus.py` uses it to find out where `handgrad check` is mistaken.  It shares no code with the checker.
`judge(file)` loads a file by a simple loader of its own and calls each function that it knows, in the
situations of the courses' notebooks and a few more.  A verdict is "right", "wrong", "not written",
"cannot run" (an old Python or NumPy, a missing module), or "either" (what the course leaves open).
What the course does not judge is not tried: integer inputs, other memory layouts, batch norm's backward in
test mode.
"""

from __future__ import annotations

import signal
from typing import Any

import numpy as np

from oracle.chains import chain_of, judge_chain
from oracle.functions import FUNCTIONS
from oracle.loading import defined, load
from oracle.networks import CLASSES

SECONDS = 20  # for one function


def judge(path: str) -> dict[str, dict[str, Any]]:
    """Judge all that the oracle knows in a file: name -> verdict, keys (results that are wrong), why."""
    names = defined(path)
    if isinstance(names, str):
        return {"": {"verdict": "cannot run", "keys": [], "why": names}}
    try:
        module = load(path)
    except BaseException as error:
        return {
            "": {
                "verdict": "cannot run",
                "keys": [],
                "why": f"import: {type(error).__name__}: {error}"[:200],
            }
        }
    verdicts: dict[str, dict[str, Any]] = {}
    for name in names:
        thing = getattr(module, name, None)
        special = CLASSES.get(name) if isinstance(thing, type) else FUNCTIONS.get(name)
        if not callable(thing) or (special is None and chain_of(name) is None):
            continue
        signal.signal(signal.SIGALRM, _late)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            with np.errstate(all="ignore"):
                verdicts[name] = special(thing, module) if special else judge_chain(name, module)
        except TimeoutError:
            verdicts[name] = {"verdict": "cannot run", "keys": [], "why": f"more than {SECONDS} s"}
        except BaseException as error:
            verdicts[name] = {
                "verdict": "cannot run",
                "keys": [],
                "why": f"ORACLE {type(error).__name__}: {error}"[:200],
            }
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return verdicts


def _late(*_: Any) -> None:
    raise TimeoutError
