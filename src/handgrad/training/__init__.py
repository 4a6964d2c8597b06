"""Training: the Solver, what listens to it, checkpoints, and evaluation."""

from handgrad.files import atomic_write
from handgrad.training.callback import Callback
from handgrad.training.callbacks import (
    Checkpointer,
    HistoryWriter,
    LayerStatistics,
    StopOnSignal,
)
from handgrad.training.checkpoint import (
    Checkpoint,
    ModelFile,
    ResumeWarning,
    latest_checkpoint,
    load_checkpoint,
    load_model_arrays,
    restore,
    save_checkpoint,
    save_model,
)
from handgrad.training.evaluate import (
    Evaluation,
    evaluate,
    examples,
    predict,
    predict_probabilities,
)
from handgrad.training.health import HealthCheck
from handgrad.training.lr_find import RangeTest, lr_find
from handgrad.training.one_call import resume, train
from handgrad.training.progress import ProgressBar
from handgrad.training.solver import Solver
from handgrad.training.trained import TrainedRun, load
from handgrad.training.weights import LoadedWeights, load_weights

__all__ = [
    "Callback",
    "Checkpoint",
    "Checkpointer",
    "Evaluation",
    "HealthCheck",
    "HistoryWriter",
    "LayerStatistics",
    "LoadedWeights",
    "ModelFile",
    "ProgressBar",
    "RangeTest",
    "ResumeWarning",
    "Solver",
    "StopOnSignal",
    "TrainedRun",
    "atomic_write",
    "evaluate",
    "examples",
    "latest_checkpoint",
    "load",
    "load_checkpoint",
    "load_model_arrays",
    "load_weights",
    "lr_find",
    "predict",
    "predict_probabilities",
    "restore",
    "resume",
    "save_checkpoint",
    "save_model",
    "train",
]
