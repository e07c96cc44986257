"""Participation ratio of every stage of a run's encoder and of the layers of its projector, on clean training images: with the running
statistics of BatchNorm (eval mode) and with those of the batch (training mode).

    python results/stages.py runs/RUN [--images 512] [--without-first-direction]

Reads `checkpoint.safetensors`, so an interrupted run will do. A forward pass of its own in NumPy, in f32: stages after their last ReLU,
averaged over the places of the map. Needs numpy, pyarrow and pillow.
"""

import argparse
import io
import json
import pathlib
import struct
import tomllib

import numpy as np
import pyarrow.parquet
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
EPSILON = 1e-5


def vectors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], np.float32)
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


class Reader:
    """Takes parameters and running statistics in the order of the layout."""

    def __init__(self, parameters, statistics, uses_batch):
        self.parameters, self.statistics, self.uses_batch = parameters, statistics, uses_batch

    def take(self, *shape):
        count = int(np.prod(shape))
        values, self.parameters = self.parameters[:count], self.parameters[count:]
        return values.reshape(shape)

    def statistic(self, count):
        values, self.statistics = self.statistics[:count], self.statistics[count:]
        return values

    def norm(self, x):
        """BatchNorm over all axes but the last."""
        weight, bias = self.take(x.shape[-1]), self.take(x.shape[-1])
        mean, variance = self.statistic(x.shape[-1]), self.statistic(x.shape[-1])
        if self.uses_batch:
            rows = x.reshape(-1, x.shape[-1])
            mean, variance = rows.mean(0), rows.var(0)
        return (x - mean) / np.sqrt(variance + EPSILON) * weight + bias

    def conv(self, x, c_out, kernel, stride):
        weight = self.take(c_out, x.shape[-1], kernel, kernel)
        pad = kernel // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        height, width = (-(-side // stride) for side in x.shape[1:3])
        out = np.zeros((x.shape[0], height, width, c_out), np.float32)
        for i in range(kernel):
            for j in range(kernel):
                tap = padded[:, i : i + stride * height : stride, j : j + stride * width : stride]
                out += tap @ weight[:, :, i, j].T
        return out

    def block(self, x, c_out, stride):
        y = np.maximum(self.norm(self.conv(x, c_out, 3, stride)), 0)
        y = self.norm(self.conv(y, c_out, 3, 1))
        if c_out != x.shape[-1]:
            x = self.norm(self.conv(x, c_out, 1, stride))
        return np.maximum(x + y, 0)


def stages(reader, x, width):
    x = np.maximum(reader.norm(reader.conv(x, width, 3, 1)), 0)
    yield "stem", x.mean((1, 2))
    for stage in range(4):
        for block in range(2):
            x = reader.block(x, width << stage, 2 if stage and not block else 1)
        yield f"stage {stage + 1}" + (" = h" if stage == 3 else ""), x.mean((1, 2))


def layers(reader, x, sizes, has_norm):
    for index, size in enumerate(sizes):
        x = x @ reader.take(size, x.shape[-1]).T
        if index == len(sizes) - 1:
            if len(reader.parameters) == size:
                x = x + reader.take(size)
            yield "projector's output = z", x
            return
        x = x + reader.take(size)
        yield f"projector, linear {index + 1}", x
        if has_norm:
            x = reader.norm(x)
            yield f"projector, BatchNorm {index + 1}", x
        x = np.maximum(x, 0)
        yield f"projector, ReLU {index + 1}", x


def participation_ratio(rows):
    values = np.linalg.svd(rows.astype(np.float64) - rows.mean(0, dtype=np.float64), compute_uv=False) ** 2
    return values.sum() ** 2 / (values**2).sum(), values[0] / values.sum()


def without_first_direction(rows):
    mean = rows.mean(0)
    u, s, v = np.linalg.svd(rows - mean, full_matrices=False)
    return ((u[:, 1:] * s[1:]) @ v[1:] + mean).astype(np.float32)


def images(config, count):
    table = pyarrow.parquet.read_table(ROOT / "data" / "cifar10" / "train-00000-of-00001.parquet", columns=["img"]).slice(0, count)
    decoded = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["img"].to_pylist()]
    normalise = config["augment"]["normalise"]
    x = np.stack(decoded).astype(np.float32) / 255
    return ((x - np.array(normalise["mean"])) / np.array(normalise["std"])).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--without-first-direction", action="store_true", help="project the first principal direction out of h before the projector")
    a = parser.parse_args()
    config = tomllib.loads((a.run / "config.toml").read_text())
    state = vectors(a.run / "checkpoint.safetensors")
    x = images(config, a.images)
    mean = x.mean((1, 2, 3))
    head = config["projector"]
    sizes = [head["hidden"]] * (head["layers"] - 1) + [head["dim"]]
    print("| | eval | training | first direction's share of the variance, training |\n|---|---|---|---|")
    found = {}
    for mode in (False, True):
        reader = Reader(state["encoder.parameters"], state["encoder.statistics"], mode)
        for name, rows in stages(reader, x, config["encoder"]["width"]):
            found.setdefault(name, []).append(participation_ratio(rows))
        h = rows
        if a.without_first_direction:
            h = without_first_direction(h)
        reader = Reader(state["projector.parameters"], state["projector.statistics"], mode)
        for name, rows in layers(reader, h, sizes, head["batch_norm"]):
            found.setdefault(name, []).append(participation_ratio(rows))
    for name, (evaluated, trained) in found.items():
        print(f"| {name} | {evaluated[0]:.2f} | {trained[0]:.2f} | {100 * trained[1]:.0f} % |")
    _, _, v = np.linalg.svd(h - h.mean(0), full_matrices=False)
    brightness = np.corrcoef((h - h.mean(0)) @ v[0], mean)[0, 1]
    print(f"\ncorrelation of h's first direction with an image's mean: {abs(brightness):.2f}")


if __name__ == "__main__":
    main()
