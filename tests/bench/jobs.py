"""Small jobs, and a bench whose side runs in this process."""

from handgrad.bench import Bench, Row
from handgrad.bench.worker import Desk

CONV = {"kind": "conv", "dtype": "float32", "x": (2, 2, 5, 5), "w": (3, 2, 3, 3), "stride": 2,
        "pad": 1, "part": "forward"}  # fmt: skip
POOL = {"kind": "pool", "dtype": "float64", "x": (2, 2, 5, 4), "size": 2, "part": "backward"}
STEP = {"kind": "step", "dtype": "float32", "model": "ConvNet", "batch": 3, "rule": "adam",
        "options": {"conv_params": [{"num_filters": 2, "filter_size": 3}], "hidden_dims": [4],
                    "normalization": "batchnorm", "dropout_keep_ratio": 0.5, "reg": 0.1}}  # fmt: skip
SCORES = {**STEP, "kind": "scores"}
TWO = {**STEP, "model": "TwoLayerNet", "rule": "sgd", "options": {"hidden_dim": 3}}
EPOCH = {**STEP, "kind": "epoch", "batch": 8, "rows": 20, "once": True}
RESIDUAL = {**STEP, "model": "resnet8", "batch": 8, "options": {}}
SPEED = {
    **STEP,
    "model": "speednet",
    "batch": 8,
    "options": {"widths": [[8], [8, 8]], "components": 4, "label_smoothing": 0.0},
}
JOBS = {"conv": CONV, "pool": POOL, "step": STEP, "scores": SCORES, "two": TWO,
        "residual": RESIDUAL, "speed": SPEED}  # fmt: skip


def desk(side, threads, environment=None):
    return Desk(side)


def bench_here(engine="vectorized", **options):
    options = {"rounds": 2, "seconds": 0.0, "with_torch": False, "side": desk, **options}
    return Bench(engine, **options)


def row_of(job, **more):
    return Row(1, "a row", {"a case": job}, **more)
