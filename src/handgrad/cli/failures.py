"""What the command line says of an error, and its exit code."""

from __future__ import annotations

import click

from handgrad.errors import HandgradError


def failure(error: BaseException) -> tuple[str, int] | None:
    """Return the line that tells an expected error, and the exit code; None for a bug."""
    if isinstance(error, click.ClickException):
        return error.format_message(), 2
    if isinstance(error, HandgradError):
        return str(error), 2
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "stopped", 130
    if isinstance(error, MemoryError):
        wanted = f"out of memory: {error}" if str(error) else "out of memory"
        return f"{wanted}; use a smaller batch, fewer images or a smaller network", 2
    if isinstance(error, OSError):
        told = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return told, 2
    return None
