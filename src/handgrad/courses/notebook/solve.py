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
best_net = TwoLayerNet(3 * 32 * 32, 100, num_classes)
stats = best_net.train(X_train, y_train, X_val, y_val, num_iters=3000, batch_size=200,
                       learning_rate=1e-3, learning_rate_decay=0.95, reg=0.1)
"""

_BEST_NET_OF_FEATURES = """
best_net = net
best_net.train(X_train_feats, y_train, X_val_feats, y_val, num_iters=2000, batch_size=200,
               learning_rate=0.7, learning_rate_decay=0.95, reg=5e-4)
"""

_BEST_MODEL_OF_FEATURES = """
best_net = net
solver = Solver(best_net, data, update_rule="sgd", optim_config={"learning_rate": 0.2},
                lr_decay=0.95, num_epochs=20, batch_size=200, print_every=10000)
solver.train()
"""

_BEST_LINEAR = """
for lr in learning_rates:
    for reg in regularization_strengths:
        classifier = CLASS()
        classifier.train(X_train, y_train, learning_rate=lr, reg=reg, num_iters=1500)
        results[lr, reg] = (np.mean(classifier.predict(X_train) == y_train),
                            np.mean(classifier.predict(X_val) == y_val))
        if results[lr, reg][1] > best_val:
            best_val, NAME = results[lr, reg][1], classifier
"""

_FOLDS = """
X_train_folds, y_train_folds = np.array_split(X_train, num_folds), np.array_split(y_train, num_folds)
k_to_accuracies = {k: [] for k in k_choices}
for fold in range(num_folds):
    others = [i for i in range(num_folds) if i != fold]
    classifier = KNearestNeighbor()
    classifier.train(np.concatenate([X_train_folds[i] for i in others]),
                     np.concatenate([y_train_folds[i] for i in others]))
    distances = classifier.compute_distances_no_loops(X_train_folds[fold])
    for k in k_choices:
        predicted = classifier.predict_labels(distances, k=k)
        k_to_accuracies[k].append(np.mean(predicted == y_train_folds[fold]))
"""


def solution(names: set[str], code: str) -> str | None:
    """Return code that gives the open variables `names` a value, None if they are not well known.

    Args:
        names: variables that the exercise left None or empty.
        code: the notebook's code up to the exercise, and the exercise itself.
    """
    of_features = "X_train_feats" in code
    if names == {"solver"} and "model" in code:
        return _SOLVER
    if names == {"best_model"}:
        return _BEST_FULLY_CONNECTED_NET if "FullyConnectedNet(" in code else _BEST_TWO_LAYER_NET
    if names == {"best_net"} and of_features:
        return _BEST_MODEL_OF_FEATURES if "Solver" in code else _BEST_NET_OF_FEATURES
    if names == {"best_net"}:
        return _BEST_NET
    if "k_to_accuracies" in names:
        return _FOLDS
    for name, kind in (("best_svm", "LinearSVM"), ("best_softmax", "Softmax")):
        if name in names:
            text = _BEST_LINEAR.replace("CLASS", kind).replace("NAME", name)
            for part in ("X_train", "X_val") if of_features else ():
                text = text.replace(part, f"{part}_feats")
            return text
    return None
