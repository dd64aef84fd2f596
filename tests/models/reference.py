# SPDX-License-Identifier: GPL-2.0-or-later
"""Each real network as its own project runs it, in a few plain lines: the second opinion about our engine.

Nothing of ours is used here: the numbers are those that the networks' publishers give, and OpenCV, NumPy and ONNX
Runtime do the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Float = NDArray[np.floating]
Byte = NDArray[np.uint8]


class Reference(NamedTuple):
    """A network by its file: RGB 0..255 of its input's size goes in, a score above 0 is a person.

    `portraits` and `street` are its published person IoU on all of these pictures, where there is such a figure.
    """

    file: str
    width: int
    height: int
    feed: Callable[[Float], Float]
    score: Callable[[list[Float]], Float]
    portraits: float | None = None
    street: float | None = None


def nhwc(picture: Float) -> Float:
    return picture[None]


def nchw(picture: Float) -> Float:
    return picture.transpose(2, 0, 1)[None]


def naver(picture: Float) -> Float:
    bgr = picture[..., ::-1]
    return nchw((bgr - [102.89, 111.25, 126.91]) / (np.array([62.93, 62.82, 66.36]) * 255))


def voc_person(outputs: list[Float]) -> Float:
    planes = outputs[0][0].astype(np.float64)
    chances = np.exp(planes - planes.max(axis=-1, keepdims=True))
    chances /= chances.sum(axis=-1, keepdims=True)
    return (chances[..., 15] - 0.5).astype(np.float32)


# The figures of other projects' networks are those of ../shared/models/README.md, those of ours are of docs/models.md.
# RVM's portraits are an exception: at 256x144, to which they are squeezed here, it reaches .903 on all of them.
SHARED = [
    Reference("mediapipe/mediapipe_selfie_landscape_144x256", 256, 144, lambda p: nhwc(p / 255),
              lambda o: o[0][0, ..., 0] - 0.5, 0.958, 0.937),
    Reference("mediapipe/mediapipe_selfie_general_256", 256, 256, lambda p: nhwc(p / 255),
              lambda o: o[0][0, ..., 0] - 0.5, 0.962, 0.913),
    Reference("sinet/sinet_320", 320, 320, naver, lambda o: o[0][0, 1] - 0.5, 0.963, 0.810),
    Reference("sinet/sinet_224", 224, 224, naver, lambda o: o[0][0, 1] - o[0][0, 0], 0.954, 0.793),
    Reference("extremec3/extremec3_224", 224, 224, naver, lambda o: o[0][0, 0], 0.950, 0.867),
    Reference("portrait-mnv3/anil_mnv3_seg_float", 256, 256, lambda p: nhwc(p / 255),
              lambda o: o[0][0, ..., 1] - o[0][0, ..., 0], 0.960, 0.804),
    Reference("prisma/prisma_256", 256, 256, lambda p: nchw(p / 255), lambda o: o[0][0, 0] - 0.5, 0.939, 0.916),
    Reference("deeplab-aiseg/deeplab_aiseg_513", 513, 513, lambda p: nchw(p / 127.5 - 1),
              lambda o: o[0][0, 1] - o[0][0, 0], 0.944, 0.816),
    Reference("deeplab-voc/deeplabv3_257_mv_gpu", 257, 257, lambda p: nhwc(p / 127.5 - 1), voc_person, 0.928, 0.778),
    Reference("bodypix/bodypix_050_8", 257, 257, lambda p: nhwc(p / 127.5 - 1), lambda o: o[0][0, ..., 0],
              0.927, 0.808),
    Reference("rvm/rvm_mobilenetv3", 256, 144, lambda p: nhwc(p / 255), lambda o: o[1][0, ..., 0] - 0.5,
              0.903, 0.951),
]  # fmt: skip
SHIPPED = [
    Reference(f"person_{name}_{width}x{height}", width, height, lambda p: nchw(p / 255), lambda o: o[0][0, 0])
    for name, width, height in (("fast", 256, 144), ("quality", 352, 208))
]


def open_plainly(path: Path) -> onnxruntime.InferenceSession:
    """The file in ONNX Runtime, as it comes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def person_in(picture_rgb: Byte, reference: Reference, session: onnxruntime.InferenceSession) -> NDArray[np.bool_]:
    """Where a network sees a person in a picture, HxWx3; a recurrent one remembers nothing."""
    size = reference.width, reference.height
    small = cv2.resize(picture_rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    names = [port.name for port in session.get_inputs()]
    feed = {name: np.zeros((1, 1, 1, 1), np.float32) for name in names}
    feed["src" if "src" in names else names[0]] = np.ascontiguousarray(reference.feed(small), np.float32)
    score = np.ascontiguousarray(reference.score(session.run(None, feed)), np.float32)
    return np.asarray(cv2.resize(score, picture_rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)) > 0
