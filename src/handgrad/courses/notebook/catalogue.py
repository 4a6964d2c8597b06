"""The courses' notebooks and what of them runs."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One set of notebooks: the profiles that fit, the notebooks, and what runs of them."""

    profiles: str
    notebooks: str
    runs: str


CATALOGUE = (
    Entry("cs231n-2016", "assignments 1 and 2",
          "all cells; --python2 converts them; unseeded: bounds only"),
    Entry("cs231n-2016 … cs231n-2026, nndl-drop, skynet",
          "knn, svm, softmax, two_layer_net, features (assignment 1)",
          "all cells; the searches left open are exercises, --solve fills them"),
    Entry("cs231n-2017",
          "FullyConnectedNets, BatchNormalization, Dropout, ConvolutionalNetworks",
          "all cells; exercises left open are noted, --solve fills them"),
    Entry("cs231n-2018 … cs231n-2024",
          "FullyConnectedNets, BatchNormalization, Dropout, ConvolutionalNetworks (assignment 2)",
          "all cells; solver = None and best_model = None are open exercises, --solve fills them"),
    Entry("cs231n-2021 … cs231n-2026", "two_layer_net (assignment 1)",
          "all cells; solver = None and best_model = None are open exercises, --solve fills them"),
    Entry("cs231n-2025, cs231n-2026",
          "FullyConnectedNets (assignment 1), BatchNormalization, Dropout, ConvolutionalNetworks",
          "all cells; best_model = None is an open exercise, --solve fills it"),
    Entry("nndl-drop, nndl-keep, nndl-2024-mix",
          "two_layer_nn, FC_nets, Optimization, Batch-Normalization, Dropout, CNN-Layers, "
          "CNN-BatchNorm, CNN", "all cells"),
    Entry("skynet", "FullyConnectedNets, BatchNormalization, Dropout, ConvolutionalNetworks",
          "all cells"),
    Entry("cs231n, skynet", "RNN_Captioning, LSTM_Captioning (assignment 3)",
          "the cells of the layers; captioning itself is outside and is marked so"),
    Entry("every course", "PyTorch, TensorFlow, transformers, generative models",
          "outside of Handgrad: refused before anything runs"),
)  # fmt: skip
