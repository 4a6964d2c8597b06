"""Networks as scikit-learn's estimators: `HandgradClassifier` and `HandgradRegressor`.

They take what `MLPClassifier` takes under the same names, and more: dropout, batch normalisation,
weights of rows and classes, any update rule and loss of the library.  Inputs, and the targets of a
regression, are centred and scaled inside, by the mean and deviation of the training rows.

    model = make_pipeline(SimpleImputer(), HandgradClassifier(dropout=0.2, class_weight="balanced"))
    GridSearchCV(model, {"handgradclassifier__alpha": [1e-4, 1e-2]}, n_jobs=2).fit(X, y)

An estimator is pickled as its parameters and the bytes of a safetensors file.  Needs scikit-learn:
``pip install 'handgrad[sklearn]'``.
"""

from __future__ import annotations

try:
    from handgrad.sklearn.classifier import HandgradClassifier
    from handgrad.sklearn.regressor import HandgradRegressor
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "sklearn":
        raise
    raise ModuleNotFoundError(
        f"handgrad.sklearn needs scikit-learn ({error.name} is missing): pip install 'handgrad[sklearn]'",
        name=error.name,
    ) from None

# the place that pickles name, wherever the classes are written
for _public in (HandgradClassifier, HandgradRegressor):
    _public.__module__ = __name__

__all__ = ["HandgradClassifier", "HandgradRegressor"]
