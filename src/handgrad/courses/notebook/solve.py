"""Code that fills the courses' open exercises, so that the rest of a notebook runs.

Each piece runs after the exercise's own cell and uses only what the notebook itself has imported and
made: ``Solver``, ``TwoLayerNet`` or ``FullyConnectedNet``, and ``data``.
"""

from __future__ import annotations

_SOLVER = """
solver = Solver(model, data, update_rule="sgd", optim_config={"learning_rate": 1e-3},
                lr_decay=0.95, num_epochs=10, batch_size=100, print_every=1000)
solver.train()
"""

_BEST_TWO_LAYER_NET = """
best_model = TwoLayerNet(hidden_dim=200, reg=0.25)
solver = Solver(best_model, data, update_rule="sgd", optim_config={"learning_rate": 1e-3},
                lr_decay=0.95, num_epochs=12, batch_size=100, print_every=1000)
solver.train()
"""

_BEST_FULLY_CONNECTED_NET = """
best_model = FullyConnectedNet([100, 100, 100], weight_scale=2e-2, reg=1e-4)
solver = Solver(best_model, data, update_rule="adam", optim_config={"learning_rate": 5e-4},
                lr_decay=0.9, num_epochs=8, batch_size=100, print_every=1000)
solver.train()
"""

_BEST_NET = """
best_net = TwoLayerNet(3 * 32 * 32, hidden_size, num_classes)
stats = best_net.train(X_train, y_train, X_val, y_val, num_iters=3000, batch_size=200,
                       learning_rate=1e-3, learning_rate_decay=0.95, reg=0.25)
"""


def solution(names: set[str], code: str) -> str | None:
    """Return code that gives the open variables `names` a value, None if they are not well known.

    Args:
        names: variables that the exercise left None.
        code: the notebook's code up to the exercise, and the exercise itself.
    """
    if names == {"solver"} and "model" in code:
        return _SOLVER
    if names == {"best_model"}:
        return _BEST_FULLY_CONNECTED_NET if "FullyConnectedNet(" in code else _BEST_TWO_LAYER_NET
    if names == {"best_net"}:
        return _BEST_NET
    return None
