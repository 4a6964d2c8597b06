"""The lab: a live page that shows a network learning, on the data of a run, with the layers of a run.

The run folder is the source of truth.  A training of ``handgrad train --live`` writes a few files more, in
the folder ``live`` of its run (`handgrad.lab.live`), and takes acts from there.  The server of the page is a
process of its own (`handgrad.lab.server`), which reads the folder.  Training, server and page go on when
another of them ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handgrad.lab.cell import show

__all__ = ["show"]


def __getattr__(name: str) -> Any:
    """Return `show`, which is loaded when it is asked for."""
    if name == "show":
        from handgrad.lab.cell import show

        return show
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
