# SPDX-License-Identifier: GPL-2.0-or-later
"""Small pictures with a bright person in a dark room, in the folders and networks that training starts from."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from background_filter.models.catalog import InputSpec, OutputSpec
from background_filter.models.training import manifest, pack
from background_filter.models.training.manifest import Row
from background_filter.models.training.pictures import Picture, write_picture
from background_filter.models.training.teachers import AnySize, Description, Teacher
from background_filter.tests.engine.nets import brightness_net

WIDTH, HEIGHT = 64, 48


def person(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> tuple[Picture, Picture]:
    """A noisy picture (uint8 BGR) of a bright figure that the lower edge cuts, and its soft mask (uint8)."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    centre = (int(width * rng.uniform(0.4, 0.6)), int(height * 0.35))
    cv2.circle(mask, centre, height // 5, 255, -1)
    cv2.ellipse(mask, (centre[0], height), (width // 4, height // 2), 0, 0, 360, 255, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2), np.uint8)
    cover = mask[:, :, None] / 255
    picture = 40 + 175 * cover + rng.normal(0, 4, (height, width, 3))
    return np.asarray(picture.clip(0, 255), np.uint8), mask


def room(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A dark, noisy picture (uint8 BGR) of nobody."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(40, 6, (height, width, 3)).clip(0, 255), np.uint8)


def make_folder(folder: Path, count: int, masks: bool = True) -> Path:
    """A folder with `images/` and, if wanted, `masks/`."""
    for i in range(count):
        picture, mask = person(i)
        write_picture(folder / "images" / f"p{i}.png", picture)
        if masks:
            write_picture(folder / "masks" / f"p{i}.png", mask)
    return folder


def make_pack(folder: Path) -> Path:
    """The packed pictures of twelve people, every fourth held out: `folder/pack`."""
    make_folder(folder / "people", 12)
    assert step(manifest, folder / "people", "--licence", "CC0", "--val-every", 4, "--out", folder / "all.csv") == 0
    assert step(pack, folder / "all.csv", "--out", folder / "pack") == 0
    return folder / "pack"


def make_rows(folder: Path, count: int, masks: bool = True) -> list[Row]:
    """Rows of such a folder, all for training."""
    make_folder(folder, count, masks)
    return [
        Row(
            folder / "images" / f"p{i}.png",
            folder / "masks" / f"p{i}.png" if masks else None,
            "people",
            "made",
            "train",
            "CC0",
            "made by a test",
            "people" if masks else "",
        )
        for i in range(count)
    ]


def step(module: ModuleType, *arguments: object) -> int:
    """Run a step as its command line would."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args([str(argument) for argument in arguments]))
    return code


def unit(width: int, height: int, layout: str = "NCHW", tensor: str | None = None) -> InputSpec:
    """RGB from 0 to 1."""
    return InputSpec(tensor, width, height, layout, "RGB", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def bright_teacher(folder: Path, kind: str = "probability", layout: str = "NCHW") -> Teacher:
    """A real network that calls bright pixels person."""
    path = folder / f"bright_{kind}_{layout}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(brightness_net(WIDTH, HEIGHT, layout, kind, half_size=False), path)
    channel = 1 if kind == "softmax_logits" else 0
    return Teacher(
        path, Description(path.name, "test", unit(WIDTH, HEIGHT, layout), OutputSpec(None, kind, layout, channel))
    )


def matting_teacher(folder: Path, drift: float = 0.0, bias: float = -12.0) -> Teacher:
    """A recurrent network of any size, NHWC: logit = 24 * brightness + `bias` + `drift` * (looks before)."""
    path = folder / f"matting_{drift:g}_{bias:g}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"axis": np.array([3]), "gain": np.float32(24), "bias": np.float32(bias), "drift": np.float32(drift)}
    numbers["one"] = np.float32(1)
    nodes = [
        ("ReduceMean", ["src", "axis"], "mean"),
        ("Mul", ["mean", "gain"], "scaled"),
        ("Add", ["scaled", "bias"], "steady"),
        ("Mul", ["r1i", "drift"], "drifted"),
        ("Add", ["steady", "drifted"], "logit"),
        ("Sigmoid", ["logit"], "pha"),
        ("Add", ["r1i", "one"], "r1o"),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes],
        "matting",
        [info("r1i", TensorProto.FLOAT, [1, 1, 1, 1]), info("src", TensorProto.FLOAT, [1, "h", "w", 3])],
        [info("r1o", TensorProto.FLOAT, [1, 1, 1, 1]), info("pha", TensorProto.FLOAT, [1, "h", "w", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    output = OutputSpec("pha", "probability", "NHWC", 0)
    sizes = AnySize(32, 64, 16)
    memory = {"r1o": "r1i"}
    return Teacher(path, Description(path.name, "test", unit(0, 0, "NHWC", "src"), output, sizes, memory, passes=2))
