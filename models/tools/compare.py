# SPDX-License-Identifier: GPL-2.0-or-later
"""A network and a copy of it, side by side: how large, how fast, how good; and where the copy goes.

Both run as in the engine, on one thread of the CPU, fed as the catalogue says, or as was guessed for an own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from ...filters.cli import models as commands
from ...filters.cli.errors import CommandError
from ...filters.cli.preview import SAMPLE
from ...filters.cli.table import table
from ...filters.engine import guess, providers
from ...filters.engine.network import InferenceError, Network, find_ports, self_test
from ...filters.engine.ports import Ports, as_choices
from ...filters.engine.runtime_errors import load_refusal
from ...filters.engine.sample_pictures import noise_picture, self_test_picture
from .. import feeding, onnx_guard, trust
from ..atomic import replace_file
from ..refusal import ModelRefused
from ..training.cost import time_side_by_side
from ..training.manifest import MASK_FOLDERS, PICTURE_FOLDERS
from ..training.metrics import MaskMetrics
from ..training.pictures import PictureError, fitted_size, list_pictures, read_pair, read_picture, resize
from ..training.quantise import Feed, Quality

LONG_SIDE = 640  # masks are compared at this size at most
PASSES = 2  # of each picture through a recurrent network: the second makes use of what it remembers

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Version:
    """One file of a network: its bytes, ONNX Runtime's session of them, and the engine's network around that."""

    data: bytes
    session: onnxruntime.InferenceSession
    network: Network

    @property
    def ports(self) -> Ports:
        """What it takes and gives."""
        return self.network.ports

    def mask(self, frame_rgba: Frame) -> NDArray[np.uint8]:
        """The mask, HxW uint8, of a single HxWx4 uint8 frame of the network's input size. Raises CommandError."""
        infer = self.network.new_sequence()
        try:
            for _ in range(PASSES if self.ports.remembers else 1):
                alpha = infer(self.network.prepare(frame_rgba), frame_rgba, 0)
        except InferenceError as error:
            raise CommandError(f"The network failed on a picture: {error}") from error
        return np.array(alpha)

    def feed(self, frame_rgba: Frame) -> Feed:
        """All inputs of one run, by name; a recurrent network remembers one frame already, the same."""
        ports = self.ports
        feed: Feed = {**ports.constants, ports.input_name: np.array(self.network.prepare(frame_rgba))}
        feed |= {state.input: state.start for state in ports.states}
        if ports.states:
            remembered = self.session.run([state.output for state in ports.states], feed)
            feed |= {state.input: value for state, value in zip(ports.states, remembered, strict=True)}
        return feed


class Original(NamedTuple):
    """The verified model that a copy is made of, and its open version."""

    model: trust.VerifiedModel
    version: Version


def read_original(name: str) -> Original:
    """A model by its catalogue id, its name in the user's folder or its path; CommandError if it may not run."""
    onnxruntime.set_default_logger_severity(4)  # what fails is said in our own words
    try:
        model = trust.read_model(commands.find(name))
        session = open_session(model.data, model.name)
        version = Version(model.data, session, Network(model.sha256, find_ports(model, session), session, "cpu"))
        check_runs(version, model.name)
    except ModelRefused as refusal:
        raise CommandError(commands.words(refusal)) from refusal
    return Original(model, version)


def open_copy(data: bytes, original: Original) -> Version:
    """A copy's bytes, looked through and opened as the engine would; CommandError if the engine would refuse them."""
    name = original.model.name
    try:
        onnx_guard.check(data, name)
        session = open_session(data, name)
        version = Version(data, session, Network(trust.digest(data), original.version.ports, session, "cpu"))
        check_runs(version, name)
    except ModelRefused as refusal:
        raise CommandError(f"The engine would refuse the result: {commands.words(refusal)}") from refusal
    return version


def open_session(data: bytes, file: str) -> onnxruntime.InferenceSession:
    """A session as the engine opens it on the CPU; ModelRefused says why not."""
    try:
        return providers.open_session(data, "cpu")
    except Exception as error:  # ONNX Runtime has no common base class for its exceptions
        raise load_refusal(file, error) from None


def check_runs(version: Version, file: str) -> None:
    """The engine's self-test; ModelRefused if no mask comes out."""
    network = version.network
    self_test(file, network, self_test_picture(network.width, network.height), runs=1)


# Pictures


class Sample(NamedTuple):
    """A picture as the network sees it, HxWx4 uint8, and the truth about it: float32 HxW in 0..1, or None."""

    frame_rgba: Frame
    truth: NDArray[np.float32] | None


def portrait(network: Network) -> Sample:
    """The portrait that comes with the filter."""
    return Sample(as_frame(read_picture(SAMPLE), network), None)


def read_samples(folder: Path, masks: Path | None, limit: int, network: Network) -> list[Sample]:
    """At most `limit` pictures of a folder, evenly spread, with their masks if there are any.

    The folder holds pictures, or `images` and `masks` (or `img` and `mask`); each mask is a PNG file named after its
    picture. CommandError names what is missing or can't be read.
    """
    inner = next((place for name in PICTURE_FOLDERS if (place := folder / name).is_dir()), folder)
    masks = masks or next((place for name in MASK_FOLDERS if (place := folder / name).is_dir()), None)
    paths = list_pictures(inner) if inner.is_dir() else []
    if not paths:
        raise CommandError(f"--pictures: there are no pictures in {inner}")
    chosen = sorted({round(place) for place in np.linspace(0, len(paths) - 1, min(limit, len(paths)))})
    try:
        return [read_sample(paths[place], masks, network) for place in chosen]
    except PictureError as error:
        raise CommandError(str(error)) from error


def read_sample(path: Path, masks: Path | None, network: Network) -> Sample:
    """One picture, and its mask from the folder `masks`. PictureError."""
    if masks is None:
        return Sample(as_frame(read_picture(path), network), None)
    picture, mask = read_pair(path, masks / f"{path.stem}.png")
    small = resize(mask, fitted_size(mask.shape[1], mask.shape[0], LONG_SIDE))
    return Sample(as_frame(picture, network), as_alpha(small))


def as_frame(picture_bgr: Frame, network: Network) -> Frame:
    """A picture of any size as a frame for the network, HxWx4 RGBA."""
    small = resize(picture_bgr, (network.width, network.height))
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGBA), np.uint8)


# What is compared


def with_truth(samples: Sequence[Sample], version: Version) -> list[Sample]:
    """The samples themselves if they have masks; otherwise with those of this version, so that agreement is measured.

    CommandError if there is nobody in all of them.
    """
    judged = [
        sample if sample.truth is not None else Sample(sample.frame_rgba, as_alpha(version.mask(sample.frame_rgba)))
        for sample in samples
    ]
    if not any((sample.truth >= 0.5).any() for sample in judged if sample.truth is not None):
        raise CommandError("Nobody is in any of the pictures, so nothing can be said of the quality. Give others.")
    return judged


def quality_of(version: Version, samples: Sequence[Sample]) -> Quality:
    """Quality of a version on samples `with_truth`; the mask is enlarged bilinearly to the truth's size."""
    metrics = MaskMetrics()
    for sample in samples:
        assert sample.truth is not None
        size = sample.truth.shape[1], sample.truth.shape[0]
        mask = cv2.resize(version.mask(sample.frame_rgba), size, interpolation=cv2.INTER_LINEAR)
        metrics.update_probability(as_tensor(as_alpha(np.asarray(mask))), as_tensor(sample.truth))
    found = metrics.compute()
    return Quality(*(found.get(name, float("nan")) for name in ("person_iou", "boundary_f", "mad")))


def as_alpha(mask_r8: NDArray[Any]) -> NDArray[np.float32]:
    """A mask, HxW uint8, as float32 in 0..1."""
    return np.asarray(mask_r8, np.float32) / np.float32(255)


def as_tensor(mask: NDArray[Any]) -> torch.Tensor:
    """A mask HxW as float32 [1,1,H,W]."""
    return torch.from_numpy(np.ascontiguousarray(mask, np.float32))[None, None]


class Difference(NamedTuple):
    """How far two versions are apart at most: any number in any output, and the mask in steps of 1/255."""

    outputs: float
    mask: int


def difference(before: Version, after: Version) -> Difference:
    """On the portrait, the engine's test picture and noise, all outputs of one run each."""
    network = before.network
    size = network.width, network.height
    largest, mask_steps = 0.0, 0
    for frame in (portrait(network).frame_rgba, self_test_picture(*size), noise_picture(*size)):
        feed = before.feed(frame)
        names = [port.name for port in before.session.get_outputs()]
        for one, other in zip(before.session.run(names, feed), after.session.run(names, feed), strict=True):
            if one.shape != other.shape:
                raise CommandError(f"The copy gives another shape: expected {one.shape}, found {other.shape}.")
            largest = max(largest, float(np.abs(one.astype(np.float64) - other).max(initial=0)))
        steps = np.abs(before.mask(frame).astype(np.int16) - after.mask(frame))
        mask_steps = max(mask_steps, int(steps.max()))
    return Difference(largest, mask_steps)


Row = tuple[str, str, str, str]


def cost_rows(before: Version, after: Version, rounds: int) -> list[Row]:
    """Size, operators and milliseconds of both, side by side in one run, and the share of the first."""
    frame = portrait(before.network).frame_rgba
    feed: dict[str, NDArray[Any]] = dict(before.feed(frame))
    runners = {"before": (before.session, feed), "after": (after.session, feed)}
    timings = time_side_by_side(runners, "before", rounds)
    sizes = len(before.data), len(after.data)
    counts = [len(onnx.load_from_string(version.data).graph.node) for version in (before, after)]
    ratio = timings["after"].ratio
    assert ratio is not None
    return [
        ("bytes", f"{sizes[0]:,}", f"{sizes[1]:,}", f"{sizes[1] / sizes[0]:.0%}"),
        ("operators", str(counts[0]), str(counts[1]), f"{counts[1] / counts[0]:.0%}"),
        ("ms, one thread", f"{timings['before'].ms:.2f}", f"{timings['after'].ms:.2f}", f"{ratio:.0%}"),
    ]


def quality_rows(before: Quality, after: Quality) -> list[Row]:
    """Both in the measures' usual units, and the difference."""
    measures = (
        ("person IoU", before.person_iou, after.person_iou, 1, 4),
        ("boundary F", before.boundary_f, after.boundary_f, 1, 4),
        ("MAD x 1000", before.mad, after.mad, 1000, 1),
    )
    return [
        (name, f"{factor * a:.{digits}f}", f"{factor * b:.{digits}f}", f"{factor * (b - a):+.{digits}f}")
        for name, a, b, factor, digits in measures
    ]


def show(rows: Sequence[Row]) -> None:
    """Print what was compared."""
    print(table([("", "before", "after", ""), *rows], numbers=(1, 2, 3)), flush=True)


# Where it goes


def check_target(original: Original, name: str, out: Path) -> None:
    """CommandError for a place where the copy can't go, before anything takes time."""
    if out.suffix != ".onnx":
        raise CommandError(f"OUT: expected a name that ends in .onnx, found {out.name!r}", 2)
    if not out.parent.is_dir():
        raise CommandError(f"OUT: there is no folder {out.parent}", 2)
    if out.exists() and trust.digest_file(out) == original.model.sha256:
        raise CommandError(f"OUT: {out} is {name} itself. Choose another name.", 2)


def serialised(model: onnx.ModelProto, original: Original, done: str) -> bytes:
    """A copy's bytes, with what the original says about itself, how it is fed, what it was, and what was done to it."""
    said = {each.key: each.value for each in onnx.load_from_string(original.model.data).metadata_props}
    said |= feeding.metadata(as_choices(original.version.ports))
    said |= {"derived_from": f"{original.model.name}, SHA-256 {original.model.sha256}", "derived_by": done}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, said)
    return bytes(model.SerializeToString(deterministic=True))


def write(copy: Version, original: Original, out: Path) -> None:
    """Put the copy into its place in one step, and say what to do next.

    CommandError if the engine would feed it otherwise than the original.
    """
    if not is_fed_alike(copy):
        raise CommandError("As an own file it would be fed otherwise than the original, and so can't be used.")
    try:
        replace_file(out, copy.data)
    except OSError as error:
        raise CommandError(f"{out} can't be written: {error.strerror or error}.") from error
    entry = original.model.entry
    print(f"{out}: {len(copy.data):,} bytes\nSHA-256 {copy.network.sha256}")
    if entry is not None:
        print(f"It remains under the licence of the original: {entry.license}.")
    print("It is a file of your own now, which nobody has vouched for. It says itself how it is fed.")
    print(f"Next: models import {out}, and look at models preview {out}")


def is_fed_alike(copy: Version) -> bool:
    """Whether the engine takes the copy, as an own file, for what the original is."""
    try:
        found = guess.guess_ports("", copy.session, {})
    except ModelRefused:
        return False
    return as_choices(found) == as_choices(copy.ports) and told(found) == told(copy.ports)


def told(ports: Ports) -> tuple[set[tuple[str, str]], set[str]]:
    """What else goes in: the pairs of what is remembered, and the names of constants."""
    return {(state.input, state.output) for state in ports.states}, set(ports.constants)
