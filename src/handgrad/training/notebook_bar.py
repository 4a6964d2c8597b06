"""A progress bar in a Jupyter notebook: one element of the page, which is written anew."""

from __future__ import annotations

import sys
from html import escape
from typing import Any


def is_in_notebook() -> bool:
    """Whether this is the kernel of a notebook; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A bar with a text beside it."""

    def __init__(self, total: int, completed: int) -> None:
        """Show the bar."""
        import IPython.display as page

        shown: Any = page  # IPython has no types
        self._html = shown.HTML
        self.total = total
        first = self._html(self._page(completed, "starting"))
        self._handle: Any = shown.display(first, display_id=True)

    def update(self, completed: int, text: str) -> None:
        """Show how far it is, in place."""
        if self._handle is not None:
            self._handle.update(self._html(self._page(completed, text)))

    def _page(self, completed: int, text: str) -> str:
        return (
            f'<div class="handgrad"><progress value="{completed}" max="{max(self.total, 1)}" '
            f'style="width:300px"></progress> {completed}/{self.total} <code>{escape(text)}</code></div>'
        )
