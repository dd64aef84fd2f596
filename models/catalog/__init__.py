# SPDX-License-Identifier: GPL-2.0-or-later
"""The known models. Each is one JSON file here, named after its id; nothing about a model is said in code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import rules

FOLDER = Path(__file__).resolve().parent
MAX_SIDE_PX = 1024
FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}\.onnx"  # what a model's file may be called on every system

KINDS = ("logits", "probability", "softmax_logits", "classes", "saliency")
USES = ("portrait", "person", "matting", "saliency")
# The order of an input's planes; M is the mask of the frame before, 0 to 1.
CHANNELS = ("RGB", "BGR", "RGBM", "BGRM")
FORMATS = ("onnx", "tflite", "pytorch", "tensorflow", "tfjs")


class CatalogError(Exception):
    """A catalogue file is not what it must be; says which file and field."""


@dataclass(frozen=True)
class InputSpec:
    """What a model takes: one picture of ``height`` x ``width`` pixels, ``x = (pixel * scale - mean) / std``.

    ``tensor`` is the input's name in the graph (None: the first); ``layout`` NCHW or NHWC; ``channels`` one of
    ``CHANNELS``; ``mean`` and ``std`` have one number per colour, in that order. With ``multiple_of`` the graph takes
    any sides that are multiples of it, and ``width`` and ``height`` are those to use; without, they are the only ones.
    """

    tensor: str | None
    width: int
    height: int
    layout: str
    channels: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    multiple_of: int | None = None

    @property
    def takes_mask(self) -> bool:
        """Whether the mask of the frame before stands beside the colours: 0 to 1, zeros for a first frame."""
        return self.channels.endswith("M")


@dataclass(frozen=True)
class OutputSpec:
    """What a model gives in the output ``tensor`` (its name in the graph; None: the first); ``layout`` NCHW or NHWC.

    ``kind`` is ``logits`` (of a sigmoid), ``probability`` (0 to 1), ``softmax_logits`` (one channel for each class,
    before the softmax), ``classes`` (the number of the likeliest class for each pixel) or ``saliency`` (any numbers,
    stretched to 0 to 1 frame by frame: in an empty room that makes a person of noise). ``channel`` is the person's, or
    for ``classes`` the person's number. ``inverted``: it is the background's instead, and the person is all else.
    """

    tensor: str | None
    kind: str
    layout: str
    channel: int
    inverted: bool = False


@dataclass(frozen=True)
class StateSpec:
    """What a recurrent model remembers: after each frame the tensor ``output`` becomes ``input`` of the next.

    The first frame gets zeros of ``shape``.
    """

    input: str
    output: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ConstantSpec:
    """An input that is no picture and stays as it is: ``shape`` filled with ``value`` (float32)."""

    input: str
    shape: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class Download:
    """The publisher's own file: where it is, and how to know it.

    ``sha256`` is set only where the publisher gives it; ``digest_note`` says where, or why there is none. ``hint`` is
    something weaker of theirs, ``md5:…`` or the beginning of a digest, ``sha256:…``: it can refuse a file, never vouch
    for it.
    """

    url: str
    format: str
    digest_note: str
    sha256: str | None = None
    hint: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Measured:
    """What we measured: person IoU (threshold .5) on three sets of photographs, ms a frame on one CPU thread.

    ``portraits`` and ``street`` show people from the chest up, as a camera does; ``everyday`` small and many ones.
    """

    on: str
    portraits_iou: float | None = None
    street_iou: float | None = None
    everyday_iou: float | None = None
    cpu_ms: float | None = None

    @property
    def quality(self) -> float | None:
        """The one number that models are compared by: the mean of the IoU on portraits and on street pictures.

        None if either was not measured.
        """
        if self.portraits_iou is None or self.street_iou is None:
            return None
        return (self.portraits_iou + self.street_iou) / 2


@dataclass(frozen=True)
class ModelEntry:
    """One known model. ``file`` is a name in ``models/weights`` or in the user's folder of models.

    ``source`` is the publisher's page, ``note`` what one should know before choosing it. ``use`` is what it was made
    for: ``portrait`` (head and shoulders), ``person``, ``matting`` (hair, soft edges), ``saliency`` (whatever stands
    out). ``replaces`` are former ids: a setting that names one means this model. ``is_default`` marks the one model
    that runs when nobody chose another.
    """

    id: str
    name: str
    file: str
    license: str
    source: str
    note: str
    input: InputSpec
    output: OutputSpec
    use: str = "person"
    paper: str | None = None
    opset: int | None = None
    recurrence: tuple[StateSpec, ...] = ()
    constants: tuple[ConstantSpec, ...] = ()
    download: Download | None = None
    measured: Measured | None = None
    replaces: tuple[str, ...] = ()
    is_default: bool = False


def default_model_id() -> str:
    """The model that ships and runs when nobody chose another. Raises ``CatalogError``."""
    for entry in load_catalog().values():
        if entry.is_default:
            return entry.id
    raise CatalogError("no model is the default")


def load_catalog(folder: Path = FOLDER) -> dict[str, ModelEntry]:
    """All entries by id, in the order of their ids. Raises ``CatalogError`` for the first file that is wrong."""
    entries = {}
    for path in sorted(folder.glob("*.json")):
        entry = _load_entry(path)
        entries[entry.id] = entry
    _check_together(entries)
    return entries


def find_model(model_id: str, folder: Path = FOLDER) -> ModelEntry | None:
    """The entry that an id, or a former id, means; None if there is none. Raises ``CatalogError``."""
    entries = load_catalog(folder)
    if model_id in entries:
        return entries[model_id]
    return next((entry for entry in entries.values() if model_id in entry.replaces), None)


def _load_entry(path: Path) -> ModelEntry:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        entry = rules.build(ModelEntry, values, _ENTRY_RULES)
    except (OSError, ValueError, RecursionError) as error:
        raise CatalogError(f"{path.name}: {error}") from None
    if entry.id != path.stem:
        raise CatalogError(f"{path.name}: id: expected {path.stem}, found {entry.id}")
    return entry


def _check_together(entries: dict[str, ModelEntry]) -> None:
    """No two entries may mean the same id or the same file, or both be the default."""
    taken: dict[str, str] = dict.fromkeys(entries, "an id")
    files: dict[str, str] = {}
    for entry in entries.values():
        for former in entry.replaces:
            if former in taken:
                raise CatalogError(f"{entry.id}.json: replaces: {former} is {taken[former]} already")
            taken[former] = f"replaced by {entry.id}"
        if entry.file in files:
            raise CatalogError(f"{entry.id}.json: file: {entry.file} belongs to {files[entry.file]}")
        files[entry.file] = entry.id
    if len(defaults := [entry.id for entry in entries.values() if entry.is_default]) > 1:
        raise CatalogError(f"{defaults[1]}.json: is_default: so is {defaults[0]}")


_ID = rules.matching(r"[a-z0-9][a-z0-9_]{0,63}")
_LAYOUT = rules.one_of("NCHW", "NHWC")
_SIDE = rules.whole(1, MAX_SIDE_PX)
_TENSOR = rules.optional(rules.text)
_SHAPE = rules.several(rules.whole(1, 4096), 6)
# How a picture is fed, whoever says it: an entry here, or the user of a file of their own (choices.py).
FEEDING_RULES = {
    "width": _SIDE,
    "height": _SIDE,
    "layout": _LAYOUT,
    "channels": rules.one_of(*CHANNELS),
    "scale": rules.positive,
    "mean": rules.three(rules.number),
    "std": rules.three(rules.positive),
}
_INPUT_RULES = {
    "tensor": _TENSOR,
    **FEEDING_RULES,
    "multiple_of": rules.optional(_SIDE),
}
_OUTPUT_RULES = {
    "tensor": _TENSOR,
    "kind": rules.one_of(*KINDS),
    "layout": _LAYOUT,
    "channel": rules.whole(0, 4095),
    "inverted": rules.yes_or_no,
}
_STATE_RULES = {"input": rules.text, "output": rules.text, "shape": _SHAPE}
_CONSTANT_RULES = {"input": rules.text, "shape": _SHAPE, "value": rules.number}
_DOWNLOAD_RULES = {
    "url": rules.matching(r"https://[a-z0-9.-]+/[\x21-\x7e]+"),
    "format": rules.one_of(*FORMATS),
    "digest_note": rules.text,
    "sha256": rules.optional(rules.matching(r"[0-9a-f]{64}")),
    "hint": rules.optional(rules.matching(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,63}")),
    "size": rules.optional(rules.whole(1, 2**40)),
}
_MEASURED_RULES = {
    "on": rules.text,
    "portraits_iou": rules.optional(rules.share),
    "street_iou": rules.optional(rules.share),
    "everyday_iou": rules.optional(rules.share),
    "cpu_ms": rules.optional(rules.positive),
}
_ENTRY_RULES: dict[str, rules.Rule] = {
    "id": _ID,
    "name": rules.text,
    "file": rules.matching(FILE_NAME),
    "license": rules.text,
    "source": rules.text,
    "note": rules.text,
    "input": lambda value: rules.build(InputSpec, value, _INPUT_RULES),
    "output": lambda value: rules.build(OutputSpec, value, _OUTPUT_RULES),
    "use": rules.one_of(*USES),
    "paper": rules.optional(rules.text),
    "opset": rules.optional(rules.whole(1, 1000)),
    "recurrence": rules.several(lambda value: rules.build(StateSpec, value, _STATE_RULES), 64),
    "constants": rules.several(lambda value: rules.build(ConstantSpec, value, _CONSTANT_RULES), 64),
    "download": rules.optional(lambda value: rules.build(Download, value, _DOWNLOAD_RULES)),
    "measured": rules.optional(lambda value: rules.build(Measured, value, _MEASURED_RULES)),
    "replaces": rules.several(_ID, 16),
    "is_default": rules.yes_or_no,
}
