"""Mutated files: each is read, or refused by an error of the family.

Nothing crashes, memory is bounded, no code runs and no other file is opened (an audit hook looks).

    python -m interop.fuzz_onnx 100000        (in tests/)
"""

from __future__ import annotations

import resource
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from interop.nets import layers

from handgrad import engines, export, nn
from handgrad.errors import HandgradError
from handgrad.interop import load_state_dict
from handgrad.interop.describe import describe
from handgrad.interop.onnx_in import network_of
from handgrad.interop.onnx_out import model_proto
from handgrad.interop.rebuild import model_of


def seeds():
    """Small files with every operator that is written."""
    found = []
    for name, model in layers().items():
        if name not in ("whitening",):
            found.append(model_proto(describe(model)).SerializeToString())
    wide = nn.Sequential(
        [nn.Affine(4), nn.GELU(), nn.LayerNorm(), nn.GELU("tanh"), nn.Affine(3)],
        input_shape=(5,), rng=0, dtype="float64",
    )  # fmt: skip
    return [*found, model_proto(describe(wide)).SerializeToString()]


FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect",
    "open", "pickle.find_class", "marshal.loads", "compile", "exec",
)  # fmt: skip
"""What Python announces before it does it; none of it belongs to reading bytes."""


class Watched:
    """A context in which none of `FORBIDDEN` may happen."""

    is_on = False

    def __init__(self):
        if not getattr(Watched, "hook", None):
            Watched.hook = self._look
            sys.addaudithook(Watched.hook)

    def _look(self, event, args):
        if Watched.is_on and event in FORBIDDEN:
            raise AssertionError(f"reading a file leads to {event} {args!r:.200}")

    def __enter__(self):
        Watched.is_on = True

    def __exit__(self, *error):
        Watched.is_on = False


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with some bytes changed, doubled, put in, taken out or cut off."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        # weights are long and dull: what says what they are lies between them
        place = int(rng.integers(len(out)))
        kind = int(rng.integers(6))
        if kind == 0:
            out[place] = int(rng.integers(256))
        elif kind == 1:
            out[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del out[place : place + int(rng.integers(1, 9))]
        elif kind == 3:
            out[place:place] = bytes(rng.integers(0, 256, int(rng.integers(1, 9)), np.uint8))
        elif kind == 4:
            out[place:place] = out[place : place + int(rng.integers(1, 65))]
        else:
            del out[int(rng.integers(len(out) // 2, len(out))) :]
        if not out:
            return b""
    return bytes(out)


def changed_model(onnx, data: bytes, rng: np.random.Generator) -> bytes:
    """The file with a change that a decoder takes: another number, name, operator, shape or edge."""
    model = onnx.ModelProto.FromString(data)
    nodes = list(model.graph.node)
    node = nodes[int(rng.integers(len(nodes)))]
    kind = int(rng.integers(9))
    odd = [0, -1, 1, 2, 3, 7, 1 << 31, (1 << 62), -(1 << 62)]
    if kind == 0 and node.attribute:
        attribute = node.attribute[int(rng.integers(len(node.attribute)))]
        if attribute.ints:
            attribute.ints[int(rng.integers(len(attribute.ints)))] = odd[
                int(rng.integers(len(odd)))
            ]
        else:
            attribute.i, attribute.f = odd[int(rng.integers(len(odd)))], float("nan")
    elif kind == 1:
        node.op_type = nodes[int(rng.integers(len(nodes)))].op_type
    elif kind == 2 and node.input:
        names = [n for other in nodes for n in (*other.output, *other.input)]
        node.input[int(rng.integers(len(node.input)))] = names[int(rng.integers(len(names)))]
    elif kind == 3 and model.graph.initializer:
        tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
        tensor.dims.append(odd[int(rng.integers(len(odd)))])
    elif kind == 4 and model.graph.initializer:
        tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
        tensor.data_type = int(rng.integers(0, 24))
    elif kind == 5:
        dim = model.graph.input[0].type.tensor_type.shape.dim
        dim[int(rng.integers(len(dim)))].dim_value = odd[int(rng.integers(len(odd)))]
    elif kind == 6:
        del node.input[:]
    elif kind == 7:
        others = [a for other in nodes for a in other.attribute]
        if others:
            node.attribute.add().CopyFrom(others[int(rng.integers(len(others)))])
    else:
        node.output[0] = nodes[int(rng.integers(len(nodes)))].output[0]
    return model.SerializeToString()


def fuzz(count: int, seed: int = 0) -> dict[str, int]:
    """Read `count` mutated files; return how many were read and refused."""
    import onnx

    rng = np.random.default_rng(seed)
    files = seeds()
    found = {"read": 0, "refused": 0}
    for data in files:  # modules that are imported when they are used
        model_of(network_of(data)).summary()
    engines.available()
    watched = Watched()
    for i in range(count):
        data = files[int(rng.integers(len(files)))]
        data = changed_model(onnx, data, rng) if i % 2 else mutated(data, rng)
        try:
            with watched, warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                network = network_of(data)
                if sum(a.size for node in network.nodes for a in node.arrays.values()) < 1 << 20:
                    model_of(network)
            found["read"] += 1
        except HandgradError:
            found["refused"] += 1
        except BaseException:
            sys.stderr.write(f"file {i} of seed {seed}\n")
            raise
    return found


def fuzz_weights(count: int, folder: Path, seed: int = 0) -> dict[str, int]:
    """Load `count` mutated safetensors files into a network; return how many were read and refused."""
    rng = np.random.default_rng(seed)
    net = layers()["norms"]
    (file,) = export(net, "safetensors", folder / "weights.safetensors").files
    load_state_dict(net, file)
    data = file.read_bytes()
    path, found = folder / "mutated.safetensors", {"read": 0, "refused": 0}
    head = int.from_bytes(data[:8], "little") + 8
    for i in range(count):
        broken = mutated(data[:head], rng) + data[head:] if i % 4 else mutated(data, rng)
        path.write_bytes(broken)
        try:
            load_state_dict(net, path)
            found["read"] += 1
        except HandgradError:
            found["refused"] += 1
        except BaseException:
            sys.stderr.write(f"file {i} of seed {seed}\n")
            raise
    return found


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    for part in range(0, count, 10_000):
        print(part, fuzz(min(10_000, count - part), part), flush=True)  # noqa: T201
    with TemporaryDirectory() as folder:
        print("safetensors", fuzz_weights(count // 10, Path(folder)), flush=True)  # noqa: T201
    sys.stdout.write(
        f"{count} files, peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB\n"
    )
