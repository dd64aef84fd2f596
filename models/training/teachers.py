# SPDX-License-Identifier: GPL-2.0-or-later
"""The networks whose answers serve as labels or as a yardstick, behind one function each.

A teacher takes one picture (uint8 RGB, HxWx3) and returns a person alpha (float32, HxW, 0..1) of the
same size. The weights are read from a folder of third-party models, which is not part of this repository.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime

RVM_FILE = "rvm/rvm_mobilenetv3.onnx"
MEDIAPIPE_GENERAL_FILE = "mediapipe/mediapipe_selfie_general_256.onnx"
MEDIAPIPE_LANDSCAPE_FILE = "mediapipe/mediapipe_selfie_landscape_144x256.onnx"


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU with a fixed number of threads that do not spin while idle."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class RobustVideoMatting:
    """RVM (Lin et al. 2022, "Robust High-Resolution Video Matting"), run as a still-picture matting network.

    The same picture is shown `steps` times, so that the recurrent state settles; the last alpha counts. Its
    long side is brought to between `SMALLEST_SIDE` and `long_side` pixels.
    """

    SMALLEST_SIDE = 320

    def __init__(self, models: Path, long_side: int = 448, steps: int = 2, threads: int = 1) -> None:
        self.session = open_session(models / RVM_FILE, threads)
        self.long_side = long_side
        self.steps = steps

    def __call__(self, picture_rgb: np.ndarray) -> np.ndarray:
        """Alpha of all people, float32 HxW in 0..1, for a uint8 RGB picture HxWx3."""
        height, width = picture_rgb.shape[:2]
        scale = np.clip(max(height, width), self.SMALLEST_SIDE, self.long_side) / max(height, width)
        size = tuple(max(16, round(side * scale / 16) * 16) for side in (width, height))
        small = cv2.resize(picture_rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        source = small[None].astype(np.float32) / 255
        state = {f"r{i}i:0": np.zeros((1, 1, 1, 1), np.float32) for i in range(1, 5)}
        names = ["pha", "r1o", "r2o", "r3o", "r4o"]
        for _ in range(self.steps):
            alpha, *memory = self.session.run(names, {"src": source, **state})
            state = {f"r{i}i:0": value for i, value in enumerate(memory, 1)}
        return cv2.resize(alpha[0, :, :, 0], (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)


class MediaPipe:
    """A MediaPipe selfie segmenter: NHWC RGB/255 in, person probability out, the picture squeezed to fit."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.session = open_session(path, threads)
        self.input = self.session.get_inputs()[0]

    def __call__(self, picture_rgb: np.ndarray) -> np.ndarray:
        """Person probability, float32 HxW in 0..1, for a uint8 RGB picture HxWx3."""
        height, width = picture_rgb.shape[:2]
        _, rows, columns, _ = self.input.shape
        small = cv2.resize(picture_rgb, (columns, rows), interpolation=cv2.INTER_AREA)
        feed = {self.input.name: small[None].astype(np.float32) / 255}
        probability = self.session.run(None, feed)[0].reshape(rows, columns)
        return cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
