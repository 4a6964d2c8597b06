"""Mistakes put into the ports of `strangers` by editing their source, as they are made in the open.

Each row: the network, the layer at which it lies, the edits, a pattern of the cause.  Written before a look
at what names them.  In brackets: where people met it.
"""

from __future__ import annotations

B, U, M, L = "bottleneck", "unet", "mixer", "lenet"

CONV0 = "x = F.conv2d(x, self.conv0_W, stride=2, padding=3)"
CONV2 = "x = F.conv2d(x, self.conv2_W, stride=2, padding=1, groups=2)"

FIFTH = {
    # padding and strides [flax#963, keras#19291, tensornets#25]
    "SAME of TensorFlow at stride 2": (
        B,
        "conv0",
        [(CONV0, "x = F.conv2d(F.pad(x, (2, 3, 2, 3)), self.conv0_W, stride=2)")],
        "pad|edge|shift|side",
    ),
    "SAME of TensorFlow in the block": (
        B,
        "conv2",
        [(CONV2, "x = F.conv2d(F.pad(x, (0, 1, 0, 1)), self.conv2_W, stride=2, groups=2)")],
        "pad|edge|shift|side",
    ),
    "padding by reflection": (
        B,
        "conv0",
        [(CONV0, "x = F.conv2d(F.pad(x, (3, 3, 3, 3), mode='reflect'), self.conv0_W, stride=2)")],
        "reflect",
    ),
    "the pool pads with zeros, and its input is negative": (
        U,
        "small",
        [
            (
                "x = self.small(self.big(x))",
                "x = F.avg_pool2d(F.pad(self.big(x), (1, 1, 1, 1), value=-1.0), 3, 2)",
            )
        ],
        "pad|edge",
    ),
    "the pool starts one pixel late": (
        B,
        "pool0",
        [("x = F.max_pool2d(x, 3, 2, 1)", "x = F.max_pool2d(x, 3, 2, ceil_mode=True)")],
        "pad|ceil|edge|shift",
    ),
    "floor instead of ceil [onnx2caffe#3]": (
        L,
        "max_pool1",
        [(", 3, 2, ceil_mode=True", ", 3, 2")],
        "ceil",
    ),
    "stride on the 1x1 [ResNet v1 and v1.5]": (
        B,
        "conv1",
        [
            ("x = F.conv2d(x, self.conv1_W)", "x = F.conv2d(x, self.conv1_W, stride=2)"),
            (CONV2, "x = F.conv2d(x, self.conv2_W, padding=1, groups=2)"),
        ],
        "stride",
    ),
    "dilation forgotten, the padding adapted": (
        U,
        "mix",
        [("padding=2, dilation=2", "padding=1, dilation=1")],
        "dilation",
    ),
    "ceil mode of the last pool": (
        U,
        "small",
        [
            (
                "tnn.AvgPool2d(3, stride=2, padding=1)",
                "tnn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True)",
            )
        ],
        "ceil|size|shape",
    ),
    "the border is not counted": (
        U,
        "small",
        [
            (
                "tnn.AvgPool2d(3, stride=2, padding=1)",
                "tnn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)",
            )
        ],
        "count|border|pad|edge",
    ),
    # layouts
    "channels last at the flattening": (
        L,
        "flatten1",
        [("x = x.permute(0, 3, 1, 2).reshape(x.shape[0], -1)", "x = x.reshape(x.shape[0], -1)")],
        "NHWC|order|channels last|flatten",
    ),
    "kernel reshaped, not permuted": (
        L,
        "conv2",
        [
            (
                "kernels[name] = kernels[name].permute(2, 3, 1, 0).contiguous()",
                "kernels[name] = kernels[name].reshape(*kernels[name].shape[2:], *kernels[name].shape[1::-1])"
                " if name == 'conv2.W' else kernels[name].permute(2, 3, 1, 0).contiguous()",
            )
        ],
        "reshape|order|W",
    ),
    "height and width of the kernels exchanged": (
        L,
        "conv1",
        [("kernel.permute(3, 2, 0, 1)", "kernel.permute(3, 2, 1, 0)")],
        "transpos|exchang",
    ),
    "convolution of signal processing": (
        L,
        "conv1",
        [("kernel.permute(3, 2, 0, 1)", "kernel.permute(3, 2, 0, 1).flip(2, 3)")],
        "flip|180|turned|revers",
    ),
    "square matrix not transposed": (
        M,
        "first",
        [
            (
                'layer.weight.copy_(torch.tensor(w[f"{ours}.W"].T))',
                'layer.weight.copy_(torch.tensor(w[f"{ours}.W"] if ours == "first" else w[f"{ours}.W"].T))',
            )
        ],
        "transpos",
    ),
    "columns and rows of the images exchanged": (
        L,
        "conv1",
        [
            (
                "x = x.permute(0, 2, 3, 1)\n            x = torch.tanh",
                "x = x.permute(0, 3, 2, 1)\n            x = torch.tanh",
            )
        ],
        "rows and columns|exchang|transpos",
    ),
    "the halves of the bridge exchanged": (
        U,
        "concat1",
        [("torch.cat([skip, x], dim=1)", "torch.cat([x, skip], dim=1)")],
        "order|exchang",
    ),
    "groups interleaved": (
        B,
        "conv2",
        [
            (
                CONV2,
                "x = F.conv2d(x.view(len(x), 2, 3, *x.shape[2:]).transpose(1, 2).flatten(1, 2), "
                "self.conv2_W, stride=2, padding=1, groups=2)",
            )
        ],
        "channel|group|order|permut|shuffl",
    ),
    # normalisations
    "eps of Keras": (B, "bn0", [("eps=1e-5", "eps=1e-3")], r"eps.*0\.001"),
    "momentum of TensorFlow [transformers#19454]": (
        B,
        "bn0",
        [("self.momentum = 0.1", "self.momentum = 0.9")],
        "momentum",
    ),
    "statistics frozen in training": (
        M,
        "norm2",
        [("h = F.elu(self.bn(self.fc2(h)))", "h = F.elu(self.bn.eval()(self.fc2(h)))")],
        "running|statistics|test mode|frozen",
    ),
    "batch statistics in test mode": (
        M,
        "norm2",
        [
            (
                "h = F.elu(self.bn(self.fc2(h)))",
                "h = F.elu(F.batch_norm(self.fc2(h), None, None, self.bn.weight, self.bn.bias, True))",
            )
        ],
        "batch|statistics",
    ),
    "unbiased variance in the layer norm": (
        L,
        "layernorm1",
        [("var = ((x - mu) ** 2).mean(-1, keepdim=True)", "var = x.var(-1, keepdim=True)")],
        "n - 1|unbiased|biased",
    ),
    "eps added to the deviation": (
        L,
        "layernorm1",
        [("torch.sqrt(var + 1e-5)", "(torch.sqrt(var) + 1e-5)")],
        "eps",
    ),
    "eps of BERT": (L, "layernorm1", [("var + 1e-5", "var + 1e-12")], "eps"),
    "layer norm without its shift": (
        L,
        "layernorm1",
        [(' * w["layernorm1_gamma"] + w["layernorm1_beta"]', ' * w["layernorm1_gamma"]')],
        "beta|shift",
    ),
    "divided by the variance": (
        L,
        "layernorm1",
        [("/ torch.sqrt(var + 1e-5)", "/ (var + 1e-5)")],
        "variance|root|square",
    ),
    "instance norm not affine": (
        U,
        "norm1",
        [
            ("tnn.InstanceNorm2d(6, affine=True)", "tnn.InstanceNorm2d(6)"),
            ('put("enc.1.weight", w["norm1.gamma"])', "pass"),
            ('put("enc.1.bias", w["norm1.beta"])', "pass"),
        ],
        "gamma|beta|affine|scale",
    ),
    "group norm of as many groups as channels a group": (
        U,
        "norm2",
        [("tnn.GroupNorm(3, 6)", "tnn.GroupNorm(2, 6)")],
        "group",
    ),
    "group norm as layer norm": (
        U,
        "norm2",
        [("tnn.GroupNorm(3, 6)", "tnn.GroupNorm(1, 6)")],
        "group",
    ),
    "norm behind the activation": (
        M,
        "norm2",
        [("h = F.elu(self.bn(self.fc2(h)))", "h = self.bn(F.elu(self.fc2(h)))")],
        "order|exchang|before|after|behind|front",
    ),
    "scale and shift exchanged": (
        M,
        "norm1",
        [
            (
                'layer.weight.copy_(torch.tensor(w[f"{ours}.gamma"]))',
                'layer.weight.copy_(torch.tensor(w[f"{ours}.beta"]))',
            ),
            (
                'layer.bias.copy_(torch.tensor(w[f"{ours}.beta"]))',
                'layer.bias.copy_(torch.tensor(w[f"{ours}.gamma"]))',
            ),
        ],
        "gamma|beta|exchang",
    ),
    "mean and variance exchanged": (
        M,
        "norm2",
        [
            (
                'running_mean.copy_(torch.tensor(w["norm2.running_mean"]))',
                'running_mean.copy_(torch.tensor(w["norm2.running_var"]))',
            ),
            (
                'running_var.copy_(torch.tensor(w["norm2.running_var"]))',
                'running_var.copy_(torch.tensor(w["norm2.running_mean"]).abs())',
            ),
        ],
        "mean|statistics|exchang|var",
    ),
    "statistics not loaded": (
        M,
        "norm2",
        [
            ('net.bn.running_mean.copy_(torch.tensor(w["norm2.running_mean"]))', ""),
            ('net.bn.running_var.copy_(torch.tensor(w["norm2.running_var"]))', ""),
        ],
        "0 and 1|statistics|start|loaded",
    ),
    # activations
    "GELU by erf [litgpt#1004, tinygrad#16162]": (
        M,
        "act1",
        [
            (
                "return 0.5 * x * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))",
                "return F.gelu(x)",
            )
        ],
        "tanh|erf|exact|approx",
    ),
    "GELU by tanh": (U, "act2", [("tnn.GELU()", "tnn.GELU('tanh')")], "tanh|approx"),
    "default slope": (U, "act1", [("tnn.LeakyReLU(0.1)", "tnn.LeakyReLU()")], r"0\.01"),
    "slope of Keras": (U, "act1", [("tnn.LeakyReLU(0.1)", "tnn.LeakyReLU(0.3)")], r"0\.3"),
    "one slope for all channels": (
        U,
        "act3",
        [
            ("tnn.PReLU(6)", "tnn.PReLU()"),
            (
                'put("mix.1.weight", w["act3.a"])',
                'put("mix.1.weight", w["act3.a"].mean(keepdims=True))',
            ),
        ],
        "shared|mean|one|slope|a ",
    ),
    "SELU for ELU": (M, "act2", [("F.elu(", "F.selu(")], "SELU|function"),
    "swish for softplus": (
        U,
        "act4",
        [("x = self.soft(x)", "x = F.silu(x)")],
        "silu|SiLU|swish|function",
    ),
    "softplus with beta 2": (
        U,
        "act4",
        [("tnn.Softplus()", "tnn.Softplus(beta=2)")],
        "beta|2|function",
    ),
    "ReLU for tanh": (
        L,
        "tanh1",
        [("x = torch.tanh(self.conv2d(x", "x = torch.relu(self.conv2d(x")],
        "relu|ReLU|function",
    ),
    "activation forgotten": (
        L,
        "sigmoid1",
        [
            (
                'x = torch.sigmoid(x @ w["affine1_W"] + w["affine1_b"])',
                'x = x @ w["affine1_W"] + w["affine1_b"]',
            )
        ],
        "missing|left out|identity|without|nothing|not there|function",
    ),
    "hard sigmoid of Keras 2": (
        L,
        "sigmoid1",
        [
            (
                'torch.sigmoid(x @ w["affine1_W"] + w["affine1_b"])',
                'torch.clamp(0.2 * (x @ w["affine1_W"] + w["affine1_b"]) + 0.5, 0, 1)',
            )
        ],
        "hard|function",
    ),
    # the block
    "activation before the sum": (
        B,
        "add1",
        [("x = F.relu(x + shortcut)", "x = F.relu(x) + shortcut")],
        "relu|ReLU|order|activation|function|before",
    ),
    "the shortcut starts before the pool": (
        B,
        "short",
        [
            (
                "x = F.max_pool2d(x, 3, 2, 1)\n            shortcut = x",
                "shortcut = x[:, :, ::2, ::2]\n            x = F.max_pool2d(x, 3, 2, 1)",
            )
        ],
        "pool|relu0|input|other",
    ),
    "the shortcut has no norm": (
        B,
        "bn4",
        [("shortcut = self.bn(shortcut, 4)", "")],
        "left out|missing|identity|nothing|without|not there|function",
    ),
    "the residual is scaled": (
        M,
        "add1",
        [("h = h + x", "h = h + 0.5 * x")],
        r"0\.5|half|times|factor",
    ),
    "the residual is subtracted": (
        M,
        "add1",
        [("h = h + x", "h = h - x")],
        "sign|minus|subtract|-1",
    ),
    "the residual is detached": (
        B,
        "add1",
        [("x = F.relu(x + shortcut)", "x = F.relu(x + shortcut.detach())")],
        "detach|no gradient|0|cut|stop",
    ),
    "the mean keeps the sum": (
        B,
        "gap",
        [("x = x.mean(dim=[2, 3])", "x = x.sum(dim=[2, 3])")],
        "sum|times|factor|multipl",
    ),
    "mean and maximum": (
        B,
        "gap",
        [("x = x.mean(dim=[2, 3])", "x = x.amax(dim=[2, 3])")],
        "max|largest",
    ),
    "mean over the rows of pixels": (
        U,
        "gap",
        [("x = x.flatten(2).mean(2)", "x = x[:, :, 0].mean(2)")],
        "mean|rows|part|pixel|some",
    ),
    "corners aligned": (U, "big", [("align_corners=False", "align_corners=True")], "align_corners"),
    "nearest pixels": (
        U,
        "big",
        [('mode="bilinear", align_corners=False', 'mode="nearest"')],
        "nearest",
    ),
    "bicubic": (U, "big", [('mode="bilinear"', 'mode="bicubic"')], "bicubic|cubic"),
    "transposed convolution's kernel turned": (
        U,
        "up",
        [('put("up.weight", w["up.W"])', 'put("up.weight", w["up.W"][:, :, ::-1, ::-1])')],
        "flip|180|turned|revers",
    ),
    "in and out of the transposed kernel": (
        U,
        "up",
        [('put("up.weight", w["up.W"])', 'put("up.weight", w["up.W"].swapaxes(0, 1))')],
        "transpos|exchang|in and out",
    ),
    # weights and the rest
    "no bias": (
        L,
        "conv2",
        [
            (
                'x = F.relu(self.conv2d(x, w["conv2_W"], w["conv2_b"], padding=0))',
                'x = F.relu(self.conv2d(x, w["conv2_W"], 0, padding=0))',
            )
        ],
        "bias|b ",
    ),
    "the bias of another layer": (
        L,
        "affine2",
        [('x = x @ w["affine2_W"] + w["affine2_b"]', 'x = x @ w["affine2_W"] + w["affine1_b"]')],
        "bias|other|affine1|b ",
    ),
    "two matrices exchanged": (
        M,
        "second",
        [
            ('"fc2": "second", "fc3": "third"', '"fc2": "third", "fc3": "second"'),
            ('w[f"{ours}.b"]', "w[f\"{ours if ours in ('first', 'last') else 'second'}.b\"]"),
        ],
        "third|other|exchang|W",
    ),
    "softmax at the end": (
        M,
        "last",
        [("return self.out(self.drop(h))", "return F.softmax(self.out(self.drop(h)), dim=1)")],
        "softmax",
    ),
    "logarithm of the softmax at the end": (
        B,
        "fc",
        [
            (
                "return x @ self.fc_W + self.fc_b",
                "return F.log_softmax(x @ self.fc_W + self.fc_b, 1)",
            )
        ],
        "softmax",
    ),
    "keep and drop": (
        M,
        "drop",
        [("tnn.Dropout(0.25)", "tnn.Dropout(0.75)")],
        "keep|share|0.25|0.75",
    ),
    "images as bytes": (
        L,
        "conv1",
        [
            (
                "x = x.permute(0, 2, 3, 1)\n            x = torch.tanh",
                "x = x.permute(0, 2, 3, 1) * 255\n            x = torch.tanh",
            )
        ],
        "255|times|factor|multipl",
    ),
    "BGR": (
        B,
        "conv0",
        [(CONV0, "x = F.conv2d(x[:, [2, 1, 0]], self.conv0_W, stride=2, padding=3)")],
        "BGR|channel|revers",
    ),
    "half precision on the way": (
        M,
        "second",
        [("h = F.elu(self.bn(self.fc2(h)))", "h = F.elu(self.bn(self.fc2(h.bfloat16().float())))")],
        "bfloat16|rounded|precision|float16",
    ),
}
