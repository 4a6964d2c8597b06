"""The devices of this machine that PyTorch computes on beside the processor: ["cuda"], or none."""

import importlib.util

GPUS: list[str] = []
if importlib.util.find_spec("torch"):
    import torch

    if torch.cuda.is_available():
        GPUS.append("cuda")
