"""Normalisations: what they share, and batch, layer and group normalisation."""
