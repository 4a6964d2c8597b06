"""A search small enough for a test."""

from handgrad.training.config import RunConfig
from handgrad.tuning import Settings, Space

CONFIG = {
    "name": "small",
    "data": {"name": "digits"},
    "model": {"name": "FullyConnectedNet", "hidden_dims": [8], "weight_scale": "kaiming"},
    "optimizer": {"name": "adam", "learning_rate": 1e-3},
    "training": {"epochs": 3, "batch_size": 200, "num_train_samples": 50},
}
SPACE = {
    "optimizer": {
        "name": {"type": "choice", "values": ["adam", "sgd_momentum"]},
        "learning_rate": {"type": "log", "low": 1e-3, "high": 0.1},
        "momentum": {
            "type": "float",
            "low": 0.5,
            "high": 0.95,
            "when": {"optimizer.name": "sgd_momentum"},
        },
    },
    "model": {"hidden_dims": {"type": "choice", "values": [[4], [8], [8, 8]]}},
    "training": {"batch_size": {"type": "int", "low": 100, "high": 300, "step": 50}},
}


def settings(out, **options):
    """Return the search, without the checks of its edges."""
    config = RunConfig.from_dict(CONFIG).to_dict()
    known = {"name": "small", "trials": 3, "sampler": "random", "pruner": "none", **options}
    return Settings(config, Space(SPACE).tables, str(out), **known)
