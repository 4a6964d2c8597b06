"""The networks of the studies: the ready ones, and ConvNet with other activations and groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handgrad import models, nn
from handgrad.errors import check_choice, check_known, keywords_of
from handgrad.models import ConvNet, Network

ACTIVATIONS: dict[str, type[nn.Layer]] = {
    cls.pair_name: cls for cls in (nn.ReLU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.GELU)
}


class StudyNet(ConvNet):
    """`ConvNet` with another activation behind its affine layers, or group for layer normalisation.

    activation: relu, sigmoid, tanh, leaky_relu, elu or gelu, of the hidden affine layers that nothing
    normalises.  groups: the channels of a convolution are normalised in so many groups (normalization
    'layernorm'); 1 is layer normalisation.  Without convolutions it is a fully-connected network.
    """

    def __init__(self, *, activation: str = "relu", groups: int = 1, **options: Any) -> None:
        check_choice("StudyNet", "activation", activation, ACTIVATIONS)
        self._chosen = ACTIVATIONS[activation]
        self._norm_groups = groups
        super().__init__(**options)

    def _activation(self) -> nn.Layer:
        return self._chosen() if self.normalization is None else nn.ReLU()


def build_network(
    options: Mapping[str, Any], image_shape: tuple[int, ...], num_classes: int
) -> Network:
    """Build the network of a trial for images of `image_shape`.

    options: ``name``, a model of `handgrad.models` or StudyNet, and its options.
    """
    sizes: dict[str, Any] = {"input_dim": image_shape, "num_classes": num_classes}
    rest = {key: value for key, value in options.items() if key != "name"}
    if options["name"] == "StudyNet":
        check_known("StudyNet", rest, keywords_of(StudyNet, ConvNet))
        return StudyNet(**sizes, **rest)
    return models.build(options["name"], **sizes, **rest)
