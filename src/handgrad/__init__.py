"""Handgrad: every layer is a pair of functions you can read, every gradient is written by hand."""

__version__ = "0.1.0"
