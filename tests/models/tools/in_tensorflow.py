# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in the environment with TensorFlow: makes networks with Keras, converts them, and says what happened.

    python in_tensorflow.py FOLDER make|convert

``convert`` prints one JSON object: for each case of CASES its exit code and what it said.
"""

import contextlib
import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
CASES = {
    "h5": ["net.h5", "h5.onnx"],
    "saved_model": ["saved", "saved.onnx", "--trust", "--size", "64x48"],
    "saved_model without a size": ["saved", "no.onnx", "--trust"],
    "saved_model not trusted": ["saved", "no.onnx", "--size", "64x48"],
    "lambda": ["lambda.keras", "no.onnx"],
    "lambda, trusted": ["lambda.keras", "lambda.onnx", "--trust"],
    "damaged": ["cut.h5", "no.onnx"],
}


def make(folder: Path) -> None:
    keras: Any = importlib.import_module("keras")
    keras.utils.set_random_seed(1)
    layers = keras.layers

    def network(height: int | None, width: int | None) -> Any:
        picture = layers.Input((height, width, 3), name="picture")
        x = skip = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(picture)
        x = layers.SeparableConv2D(8, 3, padding="same")(x)
        x = layers.Activation("hard_swish")(layers.BatchNormalization()(x))
        # Keras can't enlarge bilinearly what has no size.
        x = layers.UpSampling2D(interpolation="bilinear" if height else "nearest")(layers.Add()([x, skip]))
        x = layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid")(x)
        return keras.Model(picture, x)

    fixed = network(48, 64)
    fixed.save(folder / "net.keras")
    fixed.save(folder / "net.h5")
    network(None, None).export(str(folder / "saved"), verbose=False)
    picture = layers.Input((48, 64, 3))
    keras.Model(picture, layers.Lambda(lambda x: x[..., :1] * 2)(picture)).save(folder / "lambda.keras")
    (folder / "cut.h5").write_bytes((folder / "net.h5").read_bytes()[:3000])


def convert(folder: Path) -> dict[str, tuple[int, str]]:
    sys.path.insert(0, str(ROOT))
    import obs_background_filter  # noqa: F401  (makes the package importable)
    from background_filter.filters.cli import commands

    found = {}
    for name, (source, out, *more) in CASES.items():
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            arguments = ["models", "--here", "convert", str(folder / source), str(folder / out), *more]
            code = commands.run(arguments)
        found[name] = (code, said.getvalue())
    return found


if __name__ == "__main__":
    if sys.argv[2] == "make":
        make(Path(sys.argv[1]))
    else:
        print(json.dumps(convert(Path(sys.argv[1]))))
