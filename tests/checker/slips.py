"""Wrong functions, each with one slip of a kind that students make; and right ones that no course refuses."""

import numpy as np


def windows_of(x, w, stride, pad):
    """Every window of a padded image, (N, H', W', C, HH, WW)."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    views = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))
    return views[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)


def conv_sizes(x, w, param):
    s, p = param["stride"], param["pad"]
    return 1 + (x.shape[2] + 2 * p - w.shape[2]) // s, 1 + (x.shape[3] + 2 * p - w.shape[3]) // s


def conv(x, w, b, param):
    out = np.einsum("nijcuv,fcuv->nfij", windows_of(x, w, param["stride"], param["pad"]), w)
    return out + b[:, None, None], (x, w, b, param)


def conv_over_padded_image(x, w, b, param):
    s, p = param["stride"], param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((len(x), len(w), *conv_sizes(x, w, param)))
    for f in range(len(w)):
        for i in range(0, padded.shape[2], s):
            for j in range(0, padded.shape[3], s):
                window = padded[:, :, i : i + w.shape[2], j : j + w.shape[3]]
                out[:, f, i // s, j // s] = (window * w[f]).sum(axis=(1, 2, 3)) + b[f]
    return out, None


def conv_short_of_the_last_window(x, w, b, param):
    s, p = param["stride"], param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((len(x), len(w), *conv_sizes(x, w, param)))
    for i in range(0, padded.shape[2] - w.shape[2], s):
        for j in range(0, padded.shape[3] - w.shape[3], s):
            window = padded[:, None, :, i : i + w.shape[2], j : j + w.shape[3]]
            out[:, :, i // s, j // s] = (window * w).sum(axis=(2, 3, 4)) + b
    return out, None


def conv_padded_by_one(x, w, b, param):
    return conv(x, w, b, {**param, "pad": 1})


def conv_padded_by_half_the_filter(x, w, b, param):
    return conv(x, w, b, {**param, "pad": (w.shape[2] - 1) // 2})


def conv_of_three(x, w, b, param):
    s, p = param["stride"], param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((len(x), len(w), *conv_sizes(x, w, param)))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = padded[:, None, :, i * s : i * s + 3, j * s : j * s + 3]
            out[:, :, i, j] = (window * w).sum(axis=(2, 3, 4)) + b
    return out, None


def conv_placed_between_pads(x, w, b, param):
    s, p = param["stride"], param["pad"]
    padded = np.zeros((*x.shape[:2], x.shape[2] + 2 * p, x.shape[3] + 2 * p))
    padded[:, :, p:-p, p:-p] = x
    return conv(padded, w, b, {"stride": s, "pad": 0})


def conv_backward(dout, cache, *, crop=None, columns=None, like=np.zeros, start=None):
    x, w, _, param = cache
    s, p = param["stride"], param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dpadded, dw = like(padded.shape), np.zeros(w.shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, at = slice(i * s, i * s + w.shape[2]), slice(j * s, j * s + w.shape[3])
            wrong = at if columns is None else slice(j, j + w.shape[3])
            dpadded[:, :, rows, at] += np.einsum("nf,fcuv->ncuv", dout[:, :, i, j], w)
            dw += np.einsum("nf,ncuv->fcuv", dout[:, :, i, j], padded[:, :, rows, wrong])
    cut = slice(p, dpadded.shape[2] - p), slice(p, dpadded.shape[3] - p)
    cut = cut if crop is None else (slice(crop(p), -crop(p)),) * 2
    if start is not None:
        cut = tuple(slice(start, start + size) for size in x.shape[2:])
    return dpadded[:, :, cut[0], cut[1]], dw, dout.sum(axis=(0, 2, 3))


def conv_backward_cropped_by_one(dout, cache):
    return conv_backward(dout, cache, crop=lambda p: 1)


def conv_backward_cropped_from_one(dout, cache):
    return conv_backward(dout, cache, start=min(cache[3]["pad"], 1))


def conv_backward_cropped_from_one_always(dout, cache):
    return conv_backward(dout, cache, start=1)


def conv_backward_cropped_to_minus_pad(dout, cache):
    return conv_backward(dout, cache, crop=lambda p: p)


def conv_backward_two_slips(dout, cache):
    return conv_backward(dout, cache, crop=lambda p: p, columns="by 1")


def pool(x, param):
    a, b, s = param["pool_height"], param["pool_width"], param["stride"]
    views = np.lib.stride_tricks.sliding_window_view(x, (a, b), axis=(2, 3))[:, :, ::s, ::s]
    return views.max(axis=(4, 5)), (x, param)


def pool_of_stride(x, param):
    s = param["stride"]
    out = np.zeros(pool(x, param)[0].shape)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = x[:, :, i * s : i * s + s, j * s : j * s + s].max(axis=(2, 3))
    return out, (x, param)


def pool_of_two(x, param):
    s = param["stride"]
    out = np.zeros(pool(x, param)[0].shape)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = x[:, :, i * s : i * s + 2, j * s : j * s + 2].max(axis=(2, 3))
    return out, (x, param)


def pool_over_image(x, param):
    a, b, s = param["pool_height"], param["pool_width"], param["stride"]
    out = np.zeros(pool(x, param)[0].shape)
    for i in range(0, x.shape[2], s):
        for j in range(0, x.shape[3], s):
            out[:, :, i // s, j // s] = x[:, :, i : i + a, j : j + b].max(axis=(2, 3))
    return out, (x, param)


def pool_backward(dout, cache, place=lambda top, a, b: divmod(top, b), like=np.zeros):
    x, param = cache
    a, b, s = param["pool_height"], param["pool_width"], param["stride"]
    dx = like(x.shape)
    for n, c, i, j in np.ndindex(*dout.shape):
        top = x[n, c, i * s : i * s + a, j * s : j * s + b].argmax()
        row, column = place(int(top), a, b)
        dx[n, c, i * s + row, j * s + column] += dout[n, c, i, j]
    return dx


def pool_backward_by_height(dout, cache):
    return pool_backward(dout, cache, lambda top, a, b: (top // a, top % b))


def pool_backward_all_by_height(dout, cache):
    return pool_backward(dout, cache, lambda top, a, b: divmod(top, a))


def pool_backward_reused(dout, cache):
    x, param = cache
    a, b, s = param["pool_height"], param["pool_width"], param["stride"]
    dx = np.zeros(x.shape)
    for n in range(dout.shape[0]):
        for c in range(dout.shape[1]):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    top, left = i * s, j * s
                    window = x[n, c, top : top + a, left : left + b]
                    for i in range(a):
                        for j in range(b):
                            hit = window[i, j] == window.max()
                            dx[n, c, top + i, left + j] += hit * dout[n, c, i, j]
    return dx


def pool_backward_columns_by_height(dout, cache):
    x, param = cache
    kept = 1 + (x.shape[3] - param["pool_height"]) // param["stride"]
    part = dout.copy()
    part[:, :, :, max(kept, 0) :] = 0
    return pool_backward(part, cache)


def pool_reshaped(x, param):
    """Channels are put last, and back, by reshape."""
    n, c, h, w = x.shape
    last = x.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    out = pool(last, param)[0].transpose(0, 2, 3, 1)
    return out.reshape(n, c, *out.shape[1:3]), (x, param)


def pool_backward_reshaped(dout, cache):
    x, param = cache
    n, c, h, w = x.shape
    rows, columns = dout.shape[2:]
    last = x.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    upstream = dout.reshape(n, rows, columns, c).transpose(0, 3, 1, 2)
    return pool_backward(upstream, (last, param)).transpose(0, 2, 3, 1).reshape(x.shape)


def pool_backward_ties(dout, cache):
    x, param = cache
    a, b, s = param["pool_height"], param["pool_width"], param["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*dout.shape):
        at = (n, c, slice(i * s, i * s + a), slice(j * s, j * s + b))
        dx[at] += (x[at] == x[at].max()) * dout[n, c, i, j]
    return dx


def layernorm(x, gamma, beta, param):
    eps = param.get("eps", 1e-5)
    var = x.var(axis=1, keepdims=True)
    unit = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(var + eps)
    return gamma * unit + beta, (unit, var, gamma, eps)


def layernorm_eps_default(x, gamma, beta, param):
    return layernorm(x, gamma, beta, {"eps": 1e-3, **param})


def layernorm_eps_added(x, gamma, beta, param):
    out, cache = layernorm(x, gamma, beta, {"eps": 0.0})
    return out + gamma * param.get("eps", 1e-5), cache


def norm_backward(dout, cache, first=None, second=None, root=None):
    unit, var, gamma, eps = cache
    g, D = dout * gamma, dout.shape[1]
    total = lambda value: value.sum(axis=1, keepdims=True)  # noqa: E731
    root = np.sqrt(var + eps) if root is None else root(var, eps)
    dx = (g - (first or total)(g) / D - unit * (second or total)(g * unit) / D) / root
    return dx, (dout * unit).sum(axis=0), dout.sum(axis=0)


def layernorm_backward_rows(dout, cache):
    return norm_backward(dout, cache, second=lambda value: value.sum(axis=0))


def layernorm_backward_all(dout, cache):
    return norm_backward(dout, cache, first=np.sum)


def layernorm_backward_eps_outside(dout, cache):
    return norm_backward(dout, cache, root=lambda var, eps: np.sqrt(var) + eps)


def layernorm_backward_eps_subtracted(dout, cache):
    return norm_backward(dout, cache, root=lambda var, eps: np.sqrt(np.abs(var - eps)))


def dropout_normal(x, param):
    np.random.seed(param.get("seed"))
    mask = (np.random.randn(*x.shape) > param["p"]) / param["p"]
    return (x * mask, mask) if param["mode"] == "train" else (x, None)


# (layer, forward, backward, which of the two is wrong, the causes, words in them)
SLIPS = [
    ("conv", conv_over_padded_image, None, 0, ["loops_over_image"], "padded image"),
    ("conv", conv_short_of_the_last_window, None, 0, ["loops_over_image"], "short of the last window"),
    ("conv", conv_padded_by_one, None, 0, ["pad_fixed"], "1, whatever pad is"),
    ("conv", conv_padded_by_half_the_filter, None, 0, ["pad_fixed"], "half the filter"),
    ("conv", conv_of_three, None, 0, ["filter_fixed"], "3 x 3"),
    ("conv", conv_placed_between_pads, None, 0, ["pad_slice_empty"], "pad:-pad"),
    ("conv", conv, conv_backward_cropped_by_one, 1, ["crop_fixed"], "by 1 on each side"),
    ("conv", conv, conv_backward_cropped_from_one, 1, ["crop_fixed"], "from place 1 on"),
    ("conv", conv, conv_backward_cropped_from_one_always, 1, ["crop_fixed"], "from place 1 on"),
    ("conv", conv, conv_backward_cropped_to_minus_pad, 1, ["crop_negative"], "pad:-pad"),
    ("conv", conv, conv_backward_two_slips, 1, ["crop_negative", "stride_ignored"], "columns of the windows"),
    ("max_pool", pool_of_stride, None, 0, ["window_is_stride"], "the window's size is the stride"),
    ("max_pool", pool_of_two, None, 0, ["window_fixed"], "2 x 2"),
    ("max_pool", pool_over_image, None, 0, ["loops_over_image"], "past the last window"),
    ("max_pool", pool, pool_backward_by_height, 1, ["place_by_wrong_side"], "index // pool_width"),
    ("max_pool", pool, pool_backward_all_by_height, 1, ["place_by_wrong_side"], "not by pool_height"),
    ("max_pool", pool, pool_backward_reused, 1, ["loop_variable_reused"], "reuse"),
    ("max_pool", pool, pool_backward_ties, 1, ["every_maximum"], "several equal maxima"),
    ("max_pool", pool, pool_backward_columns_by_height, 1, ["columns_by_height"], "1 + (W - pool_width)"),
    ("max_pool", pool_reshaped, None, 0, ["axes_by_reshape"], "move axes by transpose"),
    ("max_pool", pool_reshaped, pool_backward_reshaped, 1, ["axes_by_reshape"], "move axes by transpose"),
    ("layernorm", layernorm_eps_default, None, 0, ["default_eps"], "the default of eps is 0.001"),
    ("layernorm", layernorm_eps_added, None, 0, ["epsilon_outside"], "added to the fraction"),
    ("layernorm", layernorm, layernorm_backward_rows, 1, ["sum_over_wrong_axis"], "wrong axis"),
    ("layernorm", layernorm, layernorm_backward_all, 1, ["sum_over_wrong_axis"], "axis is missing"),
    ("layernorm", layernorm, layernorm_backward_eps_outside, 1, ["epsilon_outside"], "added to the root"),
    ("dropout", dropout_normal, None, 0, ["normal_mask"], "randn"),
]  # fmt: skip
