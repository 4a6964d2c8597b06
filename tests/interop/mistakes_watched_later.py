"""More of `mistakes_watched`; the last table is of gradients that are written by hand."""

LATER = {
    "kernel not flipped for transposed": (
        "dec",
        "up1",
        [
            (
                "np.tensordot(x[:, :, i, j], self.W, axes",
                "np.tensordot(x[:, :, i, j], self.W[:, :, ::-1, ::-1], axes",
            )
        ],
        "flip|turn|180",
    ),
    "crop at one side": (
        "dec",
        "up1",
        [
            (
                "out = out[:, :, p:out.shape[2] - p, p:out.shape[3] - p]",
                "out = out[:, :, 2 * p:, 2 * p:]",
            )
        ],
        "crop|side|edge|shift",
    ),
    "instance statistics over channels": (
        "dec",
        "n1",
        [
            (
                "x.mean((2, 3), keepdims=True); v = x.var((2, 3), keepdims=True)",
                "x.mean((1, 2, 3), keepdims=True); v = x.var((1, 2, 3), keepdims=True)",
            )
        ],
        "row|group|statistics|channel",
    ),
    "instance ddof": (
        "dec",
        "n1",
        [("x.var((2, 3), keepdims=True)", "x.var((2, 3), ddof=1, keepdims=True)")],
        "unbiased|n - 1",
    ),
    "prelu on abs": (
        "dec",
        "a1",
        [
            (
                "np.maximum(x, 0) + self.alpha.reshape(-1, 1, 1) * np.minimum(x, 0)",
                "np.maximum(x, 0) - self.alpha.reshape(-1, 1, 1) * np.minimum(x, 0)",
            )
        ],
        "negat|sign",
    ),
    "prelu slope at wrong axis mean": (
        "dec",
        "a1",
        [("self.alpha.reshape(-1, 1, 1)", "self.alpha.mean()")],
        "one slope|slope",
    ),
    "groups swapped weights": (
        "dec",
        "c2",
        [("for g, c in enumerate(self.c2)]", "for g, c in enumerate(self.c2[::-1])]")],
        "group|order|reverse|filters",
    ),
    "softplus clipped": (
        "dec",
        "a2",
        [("np.log1p(np.exp(h))", "np.log(np.exp(h))")],
        "missing|activation",
    ),
    "softplus log2": (
        "dec",
        "a2",
        [("np.log1p(np.exp(h))", "np.log2(1 + np.exp(h))")],
        "1\\.44|multipl|function",
    ),
    "tile instead of repeat": (
        "dec",
        "up2",
        [("h.repeat(2, axis=2).repeat(2, axis=3)", "np.tile(h, (1, 1, 2, 2))")],
        "tile|repeat|nearest|order|side by side",
    ),
    "stride one and subsample": (
        "dec",
        "c3",
        [("Conv(w['c3.W'], w['c3.b'], 2, 2)", "Conv(w['c3.W'], w['c3.b'], 2, 1)")],
        "pad",
    ),
    "col order": (
        "dec",
        "c2",
        [("self.W.reshape(F, -1).T", "self.W.transpose(0, 2, 3, 1).reshape(F, -1).T")],
        "order|reshap|OHWI|read",
    ),
    "sigmoid of minus": (
        "dec",
        "a3",
        [("1 / (1 + np.exp(-self.c3(h)))", "1 / (1 + np.exp(self.c3(h)))")],
        "-1|sign|1 -",
    ),
    "pool excludes pad": (
        "dec",
        "p",
        [
            (
                "x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))\n        oh",
                "x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='edge')\n        oh",
            )
        ],
        "edge|repeat|pad",
    ),
    "two affine swapped": (
        "rows",
        "affine2",
        [("dense(h, 'affine2')", "dense(h, 'affine2')[:, ::-1]")],
        "reverse",
    ),
    "bn eps inside power": (
        "rows",
        "batchnorm1",
        [("(v + 1e-5) ** -0.5", "(v + 1e-5) ** -1")],
        "root|varian",
    ),
    "bn statistics swapped order": (
        "rows",
        "batchnorm1",
        [
            (
                "('gamma', 'beta', 'running_mean', 'running_var')",
                "('beta', 'gamma', 'running_mean', 'running_var')",
            )
        ],
        "gamma and beta",
    ),
    "relu leaves tiny": ("rows", "relu1", [("h[h < 0] = 0", "h[h < 0] *= 0.01")], "0\\.01"),
    "relu dropped": ("rows", "relu1", [("        h[h < 0] = 0\n", "")], "missing"),
    "relu threshold": (
        "rows",
        "relu1",
        [("h[h < 0] = 0", "h[h < 0.2] = 0")],
        "threshold|0\\.2|function",
    ),
    "maxout halves": (
        "rows",
        "maxout1",
        [("x.reshape(len(x), -1, 2).max(-1)", "x.reshape(len(x), 2, -1).max(1)")],
        "neighbour|apart",
    ),
    "maxout min": ("rows", "maxout1", [(".max(-1)", ".mean(-1)")], "mean"),
    "layer norm eps": ("rows", "layernorm1", [("eps=1e-5", "eps=1e-2")], "eps"),
    "layer norm only centres": (
        "rows",
        "layernorm1",
        [("d / np.sqrt(np.mean(d * d, -1)[:, None] + eps)", "d / np.abs(d).mean(-1)[:, None]")],
        "mean|absolute|deviation|size",
    ),
    "elu default alpha": ("rows", "elu1", [("alpha=0.7", "alpha=1.0")], "alpha is 1"),
    "elu of abs": ("rows", "elu1", [("alpha * (np.exp(x) - 1)", "alpha * x")], "leaky|0\\.7"),
    "affine bias of another": (
        "rows",
        "affine3",
        [("elu(dense(h, 'affine3'))", "elu(h @ w['affine3.W'] + w['layernorm1.beta'])")],
        "b holds|bias|beta|added",
    ),
    "scores divided by temperature": (
        "rows",
        "affine4",
        [("return dense(h, 'affine4')", "return dense(h, 'affine4') / 10")],
        "0\\.1",
    ),
}

BACKWARD = {
    "tanh derivative at input": (
        "form",
        "affine1|layernorm1|tanh1",
        [("(1 - h1 ** 2)", "(1 - n1 ** 2)")],
        ".",
    ),
    "leaky slope lost": (
        "form",
        "affine2|leaky_relu1",
        [("np.where(z2 > 0, 1, 0.1)", "(z2 > 0)")],
        ".",
    ),
    "layer norm mean term": (
        "form",
        "affine1|layernorm1",
        [("dx - dx.mean(1, keepdims=True) - xhat", "dx - xhat")],
        ".",
    ),
    "gamma without xhat": (
        "form",
        "layernorm1",
        [("(dn1 * xhat).sum(0)", "(dn1 * z1).sum(0)")],
        ".",
    ),
    "db mean": (
        "form",
        "affine2",
        [("g['affine2.b'] = dz2.sum(0)", "g['affine2.b'] = dz2.mean(0)")],
        "0\\.2|mean|multipl",
    ),
    "weights transposed back": (
        "form",
        "affine2|leaky_relu1",
        [("dh2 = ds @ p['affine3.W'].T", "dh2 = ds @ p['affine3.W'].T * 2")],
        "2",
    ),
    "not divided by N": ("form", "affine3", [("; ds /= N", "")], "5|sum|mean"),
    "forward eps": ("form", "layernorm1", [("var + 1e-5", "var + 1e-3")], "eps"),
    "forward slope": (
        "form",
        "leaky_relu1",
        [("0.1 * z2)\n        s", "0.2 * z2)\n        s")],
        "0\\.2",
    ),
    "regularised": (
        "form",
        "affine3",
        [("g['affine3.W'] = h2.T @ ds;", "g['affine3.W'] = h2.T @ ds + 0.01 * p['affine3.W'];")],
        "0\\.01|decay",
    ),
}
