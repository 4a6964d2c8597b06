"""The programs that are compared: what a user of each library writes, from files to a score.

Each ends with a line that prints the share of right answers, and runs in a folder that holds the data:
``photos/train/CLASS/...`` and ``photos/test/...``, ``train.csv`` and ``test.csv``, ``train.npz`` and
``test.npz``.  Networks are of about the same size, and go over the rows as often as Handgrad chooses to;
each library holds 15 % of the training rows back, as Handgrad does, and takes the epoch that is best on them.
"""

from __future__ import annotations

from typing import Final

LIBRARIES: Final = ("Handgrad", "scikit-learn", "Keras 3", "skorch")

_READ_PICTURES: Final = """
import numpy as np
from pathlib import Path
from PIL import Image, ImageOps
def read(part):
    X, y = [], []
    for path in sorted(Path("photos", part).glob("*/*")):
        try:
            picture = Image.open(path).convert("RGB")
        except OSError:
            continue
        X.append(np.asarray(ImageOps.fit(picture, (32, 32))))
        y.append(path.parent.name)
    return np.stack(X), np.array(y)
(X, y), (X_test, y_test) = read("train"), read("test")
mean, std = X.mean(axis=(0, 1, 2)), X.std(axis=(0, 1, 2))
X, X_test = ((a - mean) / std for a in (X, X_test))
"""

_READ_TABLE: Final = """
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
y, y_test = train.pop("label"), test.pop("label")
prepare = make_column_transformer(
    (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
     make_column_selector(dtype_include="number")),
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False),
     make_column_selector(dtype_exclude="number")),
)
"""

_READ_ARRAYS: Final = """
import numpy as np
from sklearn.preprocessing import StandardScaler
train, test = np.load("train.npz"), np.load("test.npz")
scaler = StandardScaler().fit(train["X"])
X, X_test = (scaler.transform(part["X"]) for part in (train, test))
y, y_test = train["y"], test["y"]
"""

_CODES: Final = """
names, y = np.unique(y, return_inverse=True)
"""

_HELD_BACK: Final = """
from sklearn.model_selection import train_test_split
X, X_val, y, y_val = train_test_split(X, y, test_size=0.15, stratify=y, random_state=0)
"""

_KERAS_ROWS: Final = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
model = keras.Sequential([
    layers.Dense(64), layers.BatchNormalization(), layers.ReLU(),
    layers.Dense(64), layers.BatchNormalization(), layers.ReLU(),
    layers.Dense(len(names)),
])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
best = keras.callbacks.EarlyStopping("val_accuracy", patience={epochs}, restore_best_weights=True)
model.fit(X, y, batch_size=32, epochs={epochs}, validation_data=(X_val, y_val), callbacks=[best], verbose=0)
print(np.mean(names[model.predict(X_test, verbose=0).argmax(axis=1)] == y_test))
"""

_KERAS_PICTURES: Final = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
model = keras.Sequential()
for filters in (16, 32, 64):
    model.add(layers.Conv2D(filters, 3, padding="same"))
    model.add(layers.BatchNormalization())
    model.add(layers.ReLU())
    model.add(layers.MaxPooling2D())
model.add(layers.Flatten())
model.add(layers.Dense(64, activation="relu"))
model.add(layers.Dense(len(names)))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
best = keras.callbacks.EarlyStopping("val_accuracy", patience={epochs}, restore_best_weights=True)
model.fit(X, y, batch_size=50, epochs={epochs}, validation_data=(X_val, y_val), callbacks=[best], verbose=0)
print(np.mean(names[model.predict(X_test, verbose=0).argmax(axis=1)] == y_test))
"""

_SKORCH_ROWS: Final = """
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint
from skorch.dataset import ValidSplit
from torch import nn
torch.manual_seed(0)
X, X_test = X.astype(np.float32), X_test.astype(np.float32)
model = nn.Sequential(
    nn.Linear(X.shape[1], 64), nn.BatchNorm1d(64), nn.ReLU(),
    nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(),
    nn.Linear(64, len(names)),
)
net = NeuralNetClassifier(
    model, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=2e-3, batch_size=32,
    max_epochs={epochs}, iterator_train__shuffle=True, verbose=0,
    train_split=ValidSplit(0.15, stratified=True, random_state=0),
    callbacks=[Checkpoint(monitor="valid_acc_best", load_best=True)],
)
net.fit(X, y)
print(np.mean(names[net.predict(X_test)] == y_test))
"""

_SKORCH_PICTURES: Final = """
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint
from skorch.dataset import ValidSplit
from torch import nn
torch.manual_seed(0)
X, X_test = (a.transpose(0, 3, 1, 2).astype(np.float32) for a in (X, X_test))
parts, channels = [], 3
for filters in (16, 32, 64):
    parts += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
    channels = filters
parts += [nn.Flatten(), nn.Linear(64 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, len(names))]
net = NeuralNetClassifier(
    nn.Sequential(*parts), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=2e-3,
    batch_size=50, max_epochs={epochs}, iterator_train__shuffle=True, verbose=0,
    train_split=ValidSplit(0.15, stratified=True, random_state=0),
    callbacks=[Checkpoint(monitor="valid_acc_best", load_best=True)],
)
net.fit(X, y)
print(np.mean(names[net.predict(X_test)] == y_test))
"""

_SKLEARN: Final = """
from sklearn.neural_network import MLPClassifier
model = MLPClassifier(random_state=0, early_stopping=True, validation_fraction=0.15).fit({rows}, y)
print(model.score({test}, y_test))
"""

_PREPARED: Final = """
X, X_test = prepare.fit_transform(train), prepare.transform(test)
"""

PROGRAMS: Final[dict[str, dict[str, str]]] = {
    "pictures": {
        "Handgrad": """
from handgrad.data import from_folder
from handgrad.training import train
run = train(from_folder("photos", skip_unreadable=True, image_size=32), "runs")
print(run.evaluate()["accuracy"])
""",
        "scikit-learn": _READ_PICTURES
        + _SKLEARN.format(rows="X.reshape(len(X), -1)", test="X_test.reshape(len(X_test), -1)"),
        "Keras 3": _READ_PICTURES + _CODES + _HELD_BACK + _KERAS_PICTURES,
        "skorch": _READ_PICTURES + _CODES + _SKORCH_PICTURES,
    },
    "table": {
        "Handgrad": """
import pandas as pd
from handgrad.data import from_table
from handgrad.training import train
run, test = train(from_table("train.csv", "label", test=0.0), "runs"), pd.read_csv("test.csv")
print((run.predict(test) == test["label"]).mean())
""",
        "scikit-learn": _READ_TABLE
        + """
from sklearn.neural_network import MLPClassifier
network = MLPClassifier(random_state=0, early_stopping=True, validation_fraction=0.15)
model = make_pipeline(prepare, network).fit(train, y)
print(model.score(test, y_test))
""",
        "Keras 3": _READ_TABLE + _PREPARED + _CODES + _HELD_BACK + _KERAS_ROWS,
        "skorch": _READ_TABLE + _PREPARED + _CODES + _SKORCH_ROWS,
    },
    "arrays": {
        "Handgrad": """
import numpy as np
from handgrad.data import from_arrays
from handgrad.training import train
run, test = train(from_arrays("train.npz", test=0.0), "runs"), np.load("test.npz")
print((run.predict(test["X"]) == test["y"]).mean())
""",
        "scikit-learn": _READ_ARRAYS + _SKLEARN.format(rows="X", test="X_test"),
        "Keras 3": _READ_ARRAYS + _CODES + _HELD_BACK + _KERAS_ROWS,
        "skorch": _READ_ARRAYS + _CODES + _SKORCH_ROWS,
    },
}
"""kind of data -> library -> its program."""


def program(kind: str, library: str, epochs: int) -> str:
    """Return the text of a program; the peers' that say their number of epochs go over the rows so often."""
    return PROGRAMS[kind][library].strip().replace("{epochs}", str(epochs)) + "\n"


def lines_of(text: str) -> int:
    """Return how many lines there are but for empty ones."""
    return sum(1 for line in text.splitlines() if line.strip())
