# SPDX-License-Identifier: GPL-2.0-or-later
"""Real networks of other projects, through their catalogue entries, against a plain script for each on real people."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from background_filter.filters.engine.network import Network, load_network
from background_filter.filters.engine.pipeline import Segmenter
from background_filter.models.catalog import ModelEntry, load_catalog
from background_filter.models.trust import VerifiedModel

Float = NDArray[np.floating]
PER_SET = 8  # pictures of each set for the people's overlap
PER_SET_OF_SLOW = 3  # for networks of many pixels: the tests must not take minutes
SLOW_PX = 400 * 400
SAME = 0.98  # overlap of the engine's mask and the plain script's
CLOSE = 0.01  # by how much their overlaps with the truth may differ


class Plain(NamedTuple):
    """A network as its own project runs it: float RGB 0..255 in, logits or probabilities of the person out."""

    file: str
    width: int
    height: int
    feed: Callable[[Float], Float]
    read: Callable[[list[Float]], Float]  # positive where there is a person
    portraits: float
    street: float
    upright: tuple[int, int] | None = None  # width and height for portraits, of a network that takes any

    def size_for(self, name: str) -> tuple[int, int]:
        """Width and height for the pictures of a set."""
        return self.upright if self.upright and name == "portraits" else (self.width, self.height)


def nhwc(picture: Float) -> Float:
    return picture[None]


def nchw(picture: Float) -> Float:
    return picture.transpose(2, 0, 1)[None]


def sinet(picture: Float) -> Float:
    bgr = picture[..., ::-1]
    return nchw((bgr - [102.89, 111.25, 126.91]) / (np.array([62.93, 62.82, 66.36]) * 255))


def voc_person(outputs: list[Float]) -> Float:
    planes = outputs[0][0].astype(np.float64)
    chances = np.exp(planes - planes.max(axis=-1, keepdims=True))
    chances /= chances.sum(axis=-1, keepdims=True)
    return (chances[..., 15] - 0.5).astype(np.float32)


# The figures are those of ../shared/models/README.md: person IoU on portraits and on street pictures. RVM takes
# portraits upright: at 256x144, squeezed to less than half their width, it reaches .903 on all of them.
PLAIN = [
    Plain("mediapipe/mediapipe_selfie_landscape_144x256", 256, 144, lambda p: nhwc(p / 255),
          lambda o: o[0][0, ..., 0] - 0.5, 0.958, 0.937),
    Plain("mediapipe/mediapipe_selfie_general_256", 256, 256, lambda p: nhwc(p / 255),
          lambda o: o[0][0, ..., 0] - 0.5, 0.962, 0.913),
    Plain("sinet/sinet_320", 320, 320, sinet, lambda o: o[0][0, 1] - 0.5, 0.963, 0.810),
    Plain("sinet/sinet_224", 224, 224, sinet, lambda o: o[0][0, 1] - o[0][0, 0], 0.954, 0.793),
    Plain("extremec3/extremec3_224", 224, 224, sinet, lambda o: o[0][0, 0], 0.950, 0.867),
    Plain("portrait-mnv3/anil_mnv3_seg_float", 256, 256, lambda p: nhwc(p / 255),
          lambda o: o[0][0, ..., 1] - o[0][0, ..., 0], 0.960, 0.804),
    Plain("prisma/prisma_256", 256, 256, lambda p: nchw(p / 255), lambda o: o[0][0, 0] - 0.5, 0.939, 0.916),
    Plain("deeplab-aiseg/deeplab_aiseg_513", 513, 513, lambda p: nchw(p / 127.5 - 1),
          lambda o: o[0][0, 1] - o[0][0, 0], 0.944, 0.816),
    Plain("deeplab-voc/deeplabv3_257_mv_gpu", 257, 257, lambda p: nhwc(p / 127.5 - 1), voc_person, 0.928, 0.778),
    Plain("bodypix/bodypix_050_8", 257, 257, lambda p: nhwc(p / 127.5 - 1), lambda o: o[0][0, ..., 0], 0.927, 0.808),
    Plain("rvm/rvm_mobilenetv3", 256, 144, lambda p: nhwc(p / 255),
          lambda o: o[1][0, ..., 0] - 0.5, 0.959, 0.951, (192, 256)),
]  # fmt: skip
SPREAD = {"portraits": 0.08, "street": 0.15}  # standard deviation over a whole set, of the networks that vary most
ERRORS = 3.0  # standard errors: so far may the mean of a few pictures be from that of all


class Pair(NamedTuple):
    """A picture as the network gets it, HxWx3 uint8 RGB, and where the person is."""

    picture: NDArray[np.uint8]
    truth: NDArray[np.bool_]


def pairs(folder: Path, width: int, height: int) -> list[Pair]:
    """Pictures of a development set with their masks, evenly spread over it, squeezed to the network's size."""
    count = PER_SET if width * height < SLOW_PX else PER_SET_OF_SLOW
    masks = sorted((folder / "mask").iterdir())
    found = []
    for mask in masks[:: len(masks) // count][:count]:
        picture = cv2.imread(str(next((folder / "img").glob(f"{mask.stem}.*"))))
        truth = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
        assert picture is not None and truth is not None
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        is_person = cv2.resize((truth > 127).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.5
        found.append(Pair(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8), np.asarray(is_person)))
    return found


def rgba(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame that OBS would send."""
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def entry_of(path: Path) -> ModelEntry:
    """The catalogue's entry for a file of ../shared/models."""
    return next(entry for entry in load_catalog().values() if entry.file == path.name)


@functools.cache
def network_of(path: Path, width: int, height: int) -> Network:
    """The file, loaded through its entry, which is of that size or leaves it open."""
    data, entry = path.read_bytes(), entry_of(path)
    if entry.input.multiple_of:
        entry = dataclasses.replace(entry, input=dataclasses.replace(entry.input, width=width, height=height))
    verified = VerifiedModel(data, hashlib.sha256(data).hexdigest(), "user", path.name, entry)
    return load_network(verified, "cpu").network


def plain_session(path: Path) -> onnxruntime.InferenceSession:
    """The file in ONNX Runtime, without any of our code."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def plain_mask(session: onnxruntime.InferenceSession, plain: Plain, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The mask that the network's own script would make, of the picture's size."""
    tensor = np.ascontiguousarray(plain.feed(picture.astype(np.float32)), np.float32)
    feed = {port.name: np.zeros((1, 1, 1, 1), np.float32) for port in session.get_inputs()}
    feed[next(port.name for port in session.get_inputs() if len(feed) == 1 or port.name == "src")] = tensor
    person = np.ascontiguousarray(plain.read(session.run(None, feed)), np.float32)
    if person.shape != picture.shape[:2]:
        person = np.asarray(cv2.resize(person, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    return person > 0


def test_every_shared_network_is_in_the_catalogue_and_tested(shared_folder: Path) -> None:
    paths = sorted((shared_folder / "models").glob("*/*.onnx"))
    assert {path.name for path in paths} <= {entry.file for entry in load_catalog().values()}
    assert {f"{path.parent.name}/{path.stem}" for path in paths} == {plain.file for plain in PLAIN}


@pytest.mark.parametrize("plain", PLAIN, ids=lambda plain: Path(plain.file).name)
def test_the_engine_does_what_the_plain_script_does(plain: Plain, shared_folder: Path) -> None:
    path = shared_folder / "models" / f"{plain.file}.onnx"
    session, spec = plain_session(path), entry_of(path).input
    assert (spec.width, spec.height) == (plain.width, plain.height)
    for name, expected in (("portraits", plain.portraits), ("street", plain.street)):
        size = plain.size_for(name)
        network, found, own = network_of(path, *size), [], []
        assert (network.width, network.height) == size
        for picture, truth in pairs(shared_folder / "data" / "dev" / name, *size):
            alpha = Segmenter(network).alpha(rgba(picture)) > 127
            reference = plain_mask(session, plain, picture)
            assert overlap(alpha, reference) > SAME
            found.append(overlap(alpha, truth))
            own.append(overlap(reference, truth))
        assert abs(np.mean(found) - np.mean(own)) < CLOSE
        assert abs(np.mean(found) - expected) < ERRORS * SPREAD[name] / len(found) ** 0.5
