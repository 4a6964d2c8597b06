"""What test_pyodide.py runs in Pyodide: a proof of gradients, and a training.  It prints one line of JSON."""

import json
import sys

import numpy as np

import handgrad
from handgrad import engines, layers
from handgrad.data import load_digits
from handgrad.gradcheck import check_pair

rng = np.random.default_rng(0)
x, w, b = (
    rng.standard_normal((2, 3, 6, 6)),
    rng.standard_normal((4, 3, 3, 3)),
    rng.standard_normal(4),
)


def forward(x, w, b):
    """Return a convolution with zeros around the images."""
    return layers.conv_forward(x, w, b, {"stride": 1, "pad": 1})


gradients = check_pair(forward, layers.conv_backward, [x, w, b])
model = handgrad.FullyConnectedNet([30], input_dim=64, weight_scale="kaiming", rng=0)
options = {"optim_config": {"learning_rate": 0.01}, "num_epochs": 6, "verbose": False, "rng": 0}
solver = handgrad.Solver(model, load_digits(), update_rule="adam", **options)
with engines.use("vectorized"):
    solver.train()
said = {
    "platform": sys.platform,
    "engines": list(engines.available()),
    "errors": [gradient.error for gradient in gradients],
    "losses": solver.loss_history[::20],
    "accuracy": solver.best_val_acc,
}
sys.stdout.write(json.dumps(said, default=float) + "\n")
