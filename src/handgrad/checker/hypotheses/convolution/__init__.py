"""Convolution and max pooling: windows that move over an image."""
