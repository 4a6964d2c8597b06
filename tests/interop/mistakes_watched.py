"""Mistakes put into the ports of `sources`, each: the network, the layer, the edits, a pattern of the cause.

Written before a look at what names them.
"""
# ruff: noqa: E501

from interop.sources import DEC, FORM, ROWS, VGG, WAVE
from interop.sources_more import MOB, SEQ

SOURCES = {"vgg": VGG, "wave": WAVE, "dec": DEC, "rows": ROWS, "form": FORM, "mob": MOB, "seq": SEQ}

WATCHED = {
    "filters flipped": (
        "vgg",
        "c1",
        [("'nchwij,fcij->nfhw', win, W)", "'nchwij,fcij->nfhw', win, W[:, :, ::-1, ::-1])")],
        "flip|180|turn",
    ),
    "channels of the input reversed": (
        "vgg",
        "c1",
        [("def forward(x):\n", "def forward(x):\n        x = x[:, ::-1]\n")],
        "channel|order|BGR|revers",
    ),
    "images in 0..255": (
        "vgg",
        "c1",
        [("def forward(x):\n", "def forward(x):\n        x = x * 255\n")],
        "255",
    ),
    "mean not subtracted twice": (
        "vgg",
        "c1",
        [("def forward(x):\n", "def forward(x):\n        x = x - 0.5\n")],
        "0\\.5|shift|added|constant",
    ),
    "eps outside the root": (
        "vgg",
        "b1",
        [
            (
                "np.sqrt(var + EPS) * w[name + '.gamma'][:, None, None]",
                "(np.sqrt(var) + 0.01) * w[name + '.gamma'][:, None, None]",
            )
        ],
        "eps",
    ),
    "deviation instead of variance": (
        "vgg",
        "b1",
        [
            (
                "(x - mu) / np.sqrt(var + EPS) * w[name + '.gamma'][:, None",
                "(x - mu) / (var + EPS) * w[name + '.gamma'][:, None",
            )
        ],
        "varian|root|square",
    ),
    "statistics of this batch": (
        "vgg",
        "b1",
        [
            (
                "mu = w[name + '.running_mean'][:, None, None]",
                "mu = x.mean(axis=(0, 2, 3))[:, None, None]",
            ),
            (
                "var = w[name + '.running_var'][:, None, None]",
                "var = x.var(axis=(0, 2, 3))[:, None, None]",
            ),
        ],
        "batch|statistic",
    ),
    "slope 0.01": ("vgg", "r2", [("slope=0.2", "slope=0.01")], "0\\.01"),
    "residual before activation": (
        "vgg",
        "r2",
        [
            (
                "y = leaky(conv2d(x, w['c2.W'], w['c2.b']))\n        x = pool(y + x)",
                "y = conv2d(x, w['c2.W'], w['c2.b'])\n        x = pool(leaky(y + x))",
            )
        ],
        "before|order|after|sum|front",
    ),
    "residual left out": ("vgg", "add1", [("pool(y + x)", "pool(y)")], "missing|left out"),
    "residual halves": ("vgg", "add1", [("pool(y + x)", "pool((y + x) / 2)")], "0\\.5|mean|half"),
    "average pool": ("vgg", "p1", [(".max(axis=(3, 5))", ".mean(axis=(3, 5))")], "mean|average"),
    "pool reads rows twice": (
        "vgg",
        "p1",
        [
            (
                "x.reshape(N, C, H // 2, 2, W_ // 2, 2).max(axis=(3, 5))",
                "x.reshape(N, C, 2, H // 2, 2, W_ // 2).max(axis=(2, 4))",
            )
        ],
        "window|order|reshap|axes|pool|apart",
    ),
    "groups strided": (
        "vgg",
        "g3",
        [
            (
                "g = x.reshape(N, G, C // G, H, W_)",
                "g = x.reshape(N, C // G, G, H, W_).swapaxes(1, 2)",
            ),
            ("return g.reshape(N, C, H, W_)", "return g.swapaxes(1, 2).reshape(N, C, H, W_)"),
        ],
        "group|order|interleav|permut",
    ),
    "group count": ("vgg", "g3", [("'g3', 4)", "'g3', 2)")], "group"),
    "variance per row only": (
        "vgg",
        "l1",
        [("(xc ** 2).mean(axis=1, keepdims=True)", "(xc ** 2).sum(axis=1, keepdims=True)")],
        "sum|mean|divid|12",
    ),
    "layernorm gamma on uncentred": (
        "vgg",
        "l1",
        [("w[name + '.gamma'] * xc / sd", "w[name + '.gamma'] * x / sd")],
        "mean|centr|subtract",
    ),
    "flatten order": (
        "vgg",
        "flat",
        [("x.reshape(len(x), -1)", "x.transpose(0, 2, 3, 1).reshape(len(x), -1)")],
        "NHWC|order",
    ),
    "flatten width first": (
        "vgg",
        "flat",
        [("x.reshape(len(x), -1)", "x.transpose(0, 1, 3, 2).reshape(len(x), -1)")],
        "order|exchang|transpos",
    ),
    "dropout kept in test": (
        "vgg",
        "drop",
        [("return h @ w['f2.W']", "return (h * 0.5) @ w['f2.W']")],
        "0\\.5|dropout|scal",
    ),
    "softmax at the end": (
        "vgg",
        "f2",
        [
            (
                "return h @ w['f2.W'] + w['f2.b']",
                "s = h @ w['f2.W'] + w['f2.b']\n        e = np.exp(s - s.max(1, keepdims=True))\n        return e / e.sum(1, keepdims=True)",
            )
        ],
        "softmax",
    ),
    "c3 stride by averaging": (
        "vgg",
        "c3",
        [("[:, :, ::stride, ::stride]", "[:, :, stride - 1::stride, stride - 1::stride]")],
        "shift|pad|offset|pixel|edge",
    ),
    "dilation as stride": (
        "wave",
        "c2",
        [("k * dil:k * dil + out_len]", "k:k + out_len]")],
        "dilation",
    ),
    "left pad only (causal)": (
        "wave",
        "c2",
        [
            (
                "x = np.pad(x, ((0, 0), (0, 0), (pad, pad)))",
                "x = np.pad(x, ((0, 0), (0, 0), (2 * pad, 0) if dil > 1 else (pad, pad)))",
            )
        ],
        "pad|caus|shift|side",
    ),
    "kernel reversed in time": (
        "wave",
        "c1",
        [("W[g * per:(g + 1) * per, :, k]", "W[g * per:(g + 1) * per, :, K - 1 - k]")],
        "flip|revers|turn",
    ),
    "edge padding": (
        "wave",
        "c1",
        [("(pad, pad)))", "(pad, pad)), mode='edge')")],
        "edge|replicat|border|pad",
    ),
    "groups exchanged": (
        "wave",
        "c3",
        [("seg = x[:, g * Cg:(g + 1) * Cg", "seg = x[:, (groups - 1 - g) * Cg:(groups - g) * Cg")],
        "group|order|channel|permut",
    ),
    "groups ignored": (
        "wave",
        "c3",
        [("seg = x[:, g * Cg:(g + 1) * Cg", "seg = x[:, :Cg")],
        "group|channel",
    ),
    "elu alpha": (
        "wave",
        "e2",
        [("np.expm1(np.minimum(x, 0))", "0.5 * np.expm1(np.minimum(x, 0))")],
        "alpha|0\\.5",
    ),
    "gelu tanh": (
        "wave",
        "g3",
        [
            (
                "x * 0.5 * (1 + erf(x / np.sqrt(2)))",
                "0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))",
            )
        ],
        "tanh|approx",
    ),
    "erf without the root": (
        "wave",
        "g3",
        [("erf(x / np.sqrt(2))", "erf(x)")],
        "root|erf|GELU|scale|function",
    ),
    "pool of neighbours, stride 1 shift": (
        "wave",
        "p1",
        [
            (
                "np.maximum(x[:, :, 0::2], x[:, :, 1::2])",
                "np.maximum(x[:, :, 1::2], np.pad(x[:, :, 2::2], ((0, 0), (0, 0), (0, 1)), constant_values=-np.inf))",
            )
        ],
        "shift|late|pad|window|pixel",
    ),
    "sum pool": ("wave", "p2", [(") / 2\n", ")\n")], "sum|2 times|by 2"),
    "global maximum": ("wave", "gap", [("x.mean(axis=2)", "x.max(axis=2)")], "max|largest"),
    "last step instead of the mean": ("wave", "gap", [("x.mean(axis=2)", "x[:, :, -1]")], "last"),
    "bias twice": ("wave", "f", [("+ w['f.b']", "+ 2 * w['f.b']")], "bias|b is|2"),
    "float16 weights": (
        "wave",
        "c2",
        [
            (
                "elu(conv1d(x, w['c2.W'],",
                "elu(conv1d(x, w['c2.W'].astype(np.float16).astype(np.float32),",
            )
        ],
        "float16|half|round",
    ),
}
