"""More of `mistakes_watched`, in the ports of `sources_more`."""
# ruff: noqa: E501

EIGHTH = {
    "convolve for correlate": (
        "mob",
        "stem",
        [
            (
                "correlate(image[c], self.w[f, c], mode",
                "correlate(image[c], self.w[f, c][::-1, ::-1], mode",
            )
        ],
        "flip|180|turn",
    ),
    "channels averaged": (
        "mob",
        "stem|c3",
        [("for c in range(len(image))))", "for c in range(len(image))) / len(image))")],
        "multipl|mean|0\\.333|averag",
    ),
    "stride phase": (
        "mob",
        "stem",
        [
            (
                "[:, :, ::self.stride, ::self.stride]",
                "[:, :, self.stride - 1::self.stride, self.stride - 1::self.stride]",
            )
        ],
        "later|shift|start|pad",
    ),
    "depthwise transposed": (
        "mob",
        "dw",
        [("self.w[:, 0, di, dj]", "self.w[:, 0, dj, di]")],
        "rows and columns|transpos|exchang",
    ),
    "depthwise wraps": (
        "mob",
        "dw",
        [
            (
                "xp = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])\n        y",
                "xp = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], mode='wrap')\n        y",
            )
        ],
        "wrap",
    ),
    "norm folded without mean": ("mob", "bs", [("(self.b - self.m * a)", "self.b")], "mean"),
    "variance not rooted": (
        "mob",
        "bs",
        [("self.g / np.sqrt(self.v + 1e-5)", "self.g / (self.v + 1e-5)")],
        "root|varian",
    ),
    "statistics of b1 for b2": (
        "mob",
        "b2",
        [("bn('bs'), bn('b1'), bn('b2')", "bn('bs'), bn('b1'), bn('b1')")],
        "b1|weights of",
    ),
    "residual from the wrong place": (
        "mob",
        "add1",
        [("y = relu(b1(dw(x)))", "x = y = relu(b1(dw(x)))")],
        "r1|its input",
    ),
    "residual scaled": ("mob", "add1", [("x = b2(y) + x", "x = b2(y) + 0.5 * x")], "0\\.5"),
    "group count": ("mob", "g3", [("groups=3)", "groups=4)")], "4 groups"),
    "group ddof": (
        "mob",
        "g3",
        [("p.var((1, 2, 3), keepdims=True)", "p.var((1, 2, 3), ddof=1, keepdims=True)")],
        "unbiased|n - 1",
    ),
    "group affine before norm": (
        "mob",
        "g3",
        [("* self.g[:, None, None] + self.b[:, None, None]", "* self.g[:, None, None]")],
        "beta",
    ),
    "pdf for cdf": ("mob", "a3", [("norm.cdf(x)", "norm.pdf(x)")], "function|pdf|density"),
    "softplus base": ("mob", "act", [("np.logaddexp(0, h)", "np.logaddexp(0, 2 * h) / 2")], "beta"),
    "pointwise transposed": (
        "mob",
        "pw",
        [("'nchw,fc->nfhw'", "'nchw,cf->nfhw'")],
        "exchang|transpos",
    ),
    "leaky slope": ("seq", "l1", [("h * 0.15", "h * 0.01")], "0\\.01"),
    "leaky sign": (
        "seq",
        "l1",
        [("np.where(h < 0, h * 0.15, h)", "np.where(h > 0, h * 0.15, h)")],
        "positive|other side|slope|function",
    ),
    "columns in the order k c": (
        "seq",
        "c1",
        [(".transpose(0, 2, 1, 3)", ".transpose(0, 2, 3, 1)")],
        "order|reshap|exchang",
    ),
    "bias of the other conv": (
        "seq",
        "c2",
        [("(y + P[n + '.b'])", "(y + P['c1.b'])")],
        "b holds|c1|added|bias",
    ),
    "norm eps": (
        "seq",
        "b2",
        [("P['b2.running_var'] + 1e-5", "P['b2.running_var'] + 1e-2")],
        "eps",
    ),
    "pool stride 1": (
        "seq",
        "p",
        [("windows(h, 2, 2).max(axis=-1)", "windows(h, 2, 2).sum(axis=-1)")],
        "sum",
    ),
    "flatten time first": (
        "seq",
        "flat",
        [("h.reshape(h.shape[0], -1)", "h.transpose(0, 2, 1).reshape(h.shape[0], -1)")],
        "order|NHWC|NWC",
    ),
    "layernorm std plus eps": (
        "seq",
        "ln",
        [
            (
                "h /= np.sqrt((h ** 2).mean(axis=1, keepdims=True) + 1e-5)",
                "h /= h.std(axis=1, keepdims=True) + 1e-2",
            )
        ],
        "eps",
    ),
    "layernorm not centred": (
        "seq",
        "ln",
        [("h -= h.mean(axis=1, keepdims=True)", "pass")],
        "mean",
    ),
    "elu keeps exp": ("seq", "e", [("np.exp(h[neg]) - 1", "np.exp(h[neg])")], "1 "),
    "tanh before norm": (
        "seq",
        "b2|t2",
        [("np.tanh(norm(conv(h, 'c2', 2)))", "norm(np.tanh(conv(h, 'c2', 2)))")],
        "front|order",
    ),
    "scores softmaxed": (
        "seq",
        "f2",
        [
            (
                "return h.dot(P['f2.W']) + P['f2.b']",
                "s = h.dot(P['f2.W']) + P['f2.b']\n        return np.exp(s) / np.exp(s).sum(1, keepdims=True)",
            )
        ],
        "softmax",
    ),
}
