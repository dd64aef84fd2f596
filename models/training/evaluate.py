# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure person networks on the hand-masked development sets and print one table.

    ... models.training.evaluate --data ../shared/data --models ../shared/models \\
        --network models/weights/person_unet_256x144.onnx

Each picture is squeezed to the network's input; the answer is brought back to the truth's size (long side at
most 640 pixels) by bilinear interpolation and nothing else. IoU and boundary F (2 pixels) cut at probability
.5; MAD is the mean absolute difference of the soft mask, times 1000. All figures are means over pictures.
Milliseconds are the median of single-threaded runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from .metrics import boundary_f, mean_absolute_difference, person_iou
from .teachers import MEDIAPIPE_GENERAL_FILE, MEDIAPIPE_LANDSCAPE_FILE, MediaPipe, open_session

LONG_SIDE = 640
Predictor = Callable[[np.ndarray], np.ndarray]


class OwnNetwork:
    """A network of this project: NCHW RGB in 0..1 in, half-resolution logits out."""

    def __init__(self, path: Path) -> None:
        self.session = open_session(path)
        self.input = self.session.get_inputs()[0]

    def logits(self, picture_rgb: np.ndarray) -> np.ndarray:
        """Logits, float32 at half the input resolution, for a uint8 RGB picture HxWx3 of any size."""
        rows, columns = self.input.shape[2:]
        small = cv2.resize(picture_rgb, (columns, rows), interpolation=cv2.INTER_AREA)
        feed = {self.input.name: small.transpose(2, 0, 1)[None].astype(np.float32) / 255}
        return self.session.run(None, feed)[0][0, 0]

    def __call__(self, picture_rgb: np.ndarray) -> np.ndarray:
        """Person probability, float32 HxW, for uint8 RGB HxWx3; upsampled as logits, like in the engine."""
        size = picture_rgb.shape[1::-1]
        logits = cv2.resize(self.logits(picture_rgb), size, interpolation=cv2.INTER_LINEAR)
        return 1 / (1 + np.exp(-logits.clip(-30, 30)))


def read_pictures(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield uint8 RGB pictures HxWx3 and boolean truth HxW from `folder`/img and `folder`/mask."""
    for path in sorted((folder / "img").iterdir()):
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(folder / "mask" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        scale = min(1.0, LONG_SIDE / max(mask.shape))
        size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        yield picture, cv2.resize(mask, size, interpolation=cv2.INTER_AREA) >= 128


def measure(predict: Predictor, folder: Path) -> tuple[float, float, float]:
    """Mean person IoU, boundary F at 2 pixels and MAD of a predictor over one development set."""
    rows = []
    for picture, truth in read_pictures(folder):
        probability = predict(picture)
        seen = probability >= 0.5
        difference = mean_absolute_difference(probability, truth)
        rows.append((person_iou(seen, truth), boundary_f(seen, truth), difference))
    return tuple(np.mean(rows, axis=0))


def milliseconds(predictor: OwnNetwork | MediaPipe, runs: int = 200) -> float:
    """Median time of the bare network, one thread."""
    noise = np.random.default_rng(0).random(predictor.input.shape, dtype=np.float32)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        predictor.session.run(None, {predictor.input.name: noise})
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def print_table(predictors: dict[str, OwnNetwork | MediaPipe], sets: list[Path]) -> None:
    """Print a Markdown table with one row per predictor."""
    print("| network | ms | " + " | ".join(f"{folder.name} IoU / F / MAD" for folder in sets) + " |")
    print("|---|---|" + "---|" * len(sets))
    for name, predictor in predictors.items():
        cells = []
        for folder in sets:
            iou, boundary, difference = measure(predictor, folder)
            cells.append(f"{iou:.3f} / {boundary:.3f} / {1000 * difference:.1f}")
        print(f"| {name} | {milliseconds(predictor):.2f} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with dev/")
    parser.add_argument("--models", type=Path, required=True, help="folder with MediaPipe's ONNX files")
    parser.add_argument("--network", type=Path, nargs="+", required=True, help="ONNX files to measure")
    arguments = parser.parse_args()
    predictors: dict[str, OwnNetwork | MediaPipe] = {
        "MediaPipe landscape": MediaPipe(arguments.models / MEDIAPIPE_LANDSCAPE_FILE),
        "MediaPipe general": MediaPipe(arguments.models / MEDIAPIPE_GENERAL_FILE),
    }
    predictors |= {path.stem: OwnNetwork(path) for path in arguments.network}
    print_table(predictors, sorted(path for path in (arguments.data / "dev").iterdir() if path.is_dir()))


if __name__ == "__main__":
    main()
