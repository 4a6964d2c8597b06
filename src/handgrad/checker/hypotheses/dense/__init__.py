"""Layers between matrices: affine, ReLU and what acts number by number, dropout."""
