"""Libraries of the extras, which are imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from handgrad.errors import OptionError


def library(name: str, what: str, extra: str) -> Any:
    """Return the module `name`; OptionError that says how to get it, where it is missing.

    Args:
        name: of the module, as "optuna".
        what: who needs it, for the message.
        extra: the extra of Handgrad that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OptionError(
            f"{what} needs the package {name.partition('.')[0]} ({error}); "
            f"get it with: pip install 'handgrad[{extra}]'"
        ) from None
