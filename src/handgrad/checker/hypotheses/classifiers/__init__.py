"""Assignment 1: losses of W, nearest neighbours, the two-layer network."""
