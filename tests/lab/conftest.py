"""Fixtures of the lab."""

from lab.serving import serve, trained

__all__ = ["serve", "trained"]
