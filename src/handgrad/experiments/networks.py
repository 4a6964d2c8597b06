"""The networks of the studies: the ready ones, and ConvNet with other activations and groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from handgrad import models
from handgrad.errors import check_known, keywords_of
from handgrad.models import ConvNet, Network
from handgrad.models.network import Stage


class StudyNet(ConvNet):
    """`ConvNet` with another activation behind its affine layers, or group for layer normalisation.

    activation: relu, sigmoid, tanh, leaky_relu, elu or gelu, of the hidden affine layers.
    groups: the channels of a convolution are normalised in so many groups (normalization
    'layernorm'); 1 is layer normalisation.  Without convolutions it is a fully-connected network.
    """

    def __init__(self, *, activation: str = "relu", groups: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self._stages = [
            new for stage in self._stages for new in _changed(stage, activation, groups)
        ]


def _changed(stage: Stage, activation: str, groups: int) -> Iterator[Stage]:
    if stage.pair == "spatial_groupnorm":
        yield stage._replace(before=(groups,))
    elif stage.pair == "affine_relu" and activation != "relu":
        yield stage._replace(pair="affine")
        yield Stage(stage.block, activation)
    else:
        yield stage


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
