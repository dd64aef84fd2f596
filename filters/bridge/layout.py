# SPDX-License-Identifier: GPL-2.0-or-later
"""Where everything lies in a segment: layout version 3, little endian, as ``docs/bridge.md`` tells it.

Every block is a tuple of ``Field``; offsets count from the start of the block. Control words (the ``u64`` that order a
publication) are written as one aligned 8-byte store each; the fields between them may be written in any way.
"""

import struct
from typing import NamedTuple

MAGIC = b"OBSBGFLT"
VERSION = 4

FRAME_SLOTS = 3
MASK_SLOTS = 4
MAX_SIDE_PX = 1024
FRAME_BYTES_PER_PX = 4
MASK_BYTES_PER_PX = 2  # room for whole alpha, or for factors of 8 bytes at half the width and height
FRAME_CAPACITY = MAX_SIDE_PX * MAX_SIDE_PX * FRAME_BYTES_PER_PX
MASK_CAPACITY = MAX_SIDE_PX * MAX_SIDE_PX * MASK_BYTES_PER_PX
FORMAT_RGBA8 = 1  # of frames
FORMAT_R8_ALPHA, FORMAT_RGBA16F_FACTORS = 1, 2  # of masks
MASK_FORMATS = {FORMAT_R8_ALPHA: 1, FORMAT_RGBA16F_FACTORS: 8}  # and their bytes per pixel
FLAG_SHARP_EDGES, FLAG_NO_SPECKS, FLAG_ATTENTION = 1, 2, 4  # what a frame asks of its mask
FLAGS = FLAG_SHARP_EDGES | FLAG_NO_SPECKS | FLAG_ATTENTION
MAX_AHEAD_MS = 1000.0
MAX_COUNT = 2**63 - 1  # publications, ids and times stay below: adding one never leaves a u64

_SIZES = {"u64": 8, "u32": 4, "f32": 4}
_STRUCT_CODES = {"u64": "Q", "u32": "I", "f32": "f"}


class Field(NamedTuple):
    """One field of a block: its offset in bytes from the block's start, and its kind.

    Kinds: ``u64``, ``u32``, ``f32``, ``bytes[n]`` and ``utf8[n]`` (n bytes, padded with zeros).
    """

    name: str
    offset: int
    kind: str

    @property
    def size(self) -> int:
        """Length in bytes."""
        return _SIZES.get(self.kind) or int(self.kind[self.kind.index("[") + 1 : -1])


# The header, written by OBS when it creates the segment, never changed.
HEADER_OFFSET = 0
HEADER_MAGIC = Field("magic", 0, "bytes[8]")
HEADER_VERSION = Field("version", 8, "u64")
HEADER_TOTAL_SIZE = Field("total_size", 16, "u64")
HEADER_FRAME_SLOTS = Field("frame_slots", 24, "u64")
HEADER_MASK_SLOTS = Field("mask_slots", 32, "u64")
HEADER_FRAME_CAPACITY = Field("frame_capacity", 40, "u64")
HEADER_MASK_CAPACITY = Field("mask_capacity", 48, "u64")
HEADER = (
    HEADER_MAGIC,
    HEADER_VERSION,
    HEADER_TOTAL_SIZE,
    HEADER_FRAME_SLOTS,
    HEADER_MASK_SLOTS,
    HEADER_FRAME_CAPACITY,
    HEADER_MASK_CAPACITY,
)

# Counters. Each side has cache lines of its own.
OBS_COUNTERS_OFFSET = 128
FRAMES_PUBLISHED = Field("frames_published", 0, "u64")
OBS_COUNTERS = (FRAMES_PUBLISHED,)

ENGINE_COUNTERS_OFFSET = 192
MASKS_PUBLISHED = Field("masks_published", 0, "u64")
FRAME_IN_HAND_ID = Field("frame_in_hand_id", 8, "u64")
HEARTBEAT_NS = Field("heartbeat_ns", 16, "u64")
ENGINE_COUNTERS = (MASKS_PUBLISHED, FRAME_IN_HAND_ID, HEARTBEAT_NS)

# The status block, written by the engine.
STATUS_OFFSET = 256
STATUS_SEQUENCE_BEGIN = Field("sequence_begin", 0, "u64")
STATUS_STATE = Field("state", 8, "u64")
STATUS_INPUT_WIDTH = Field("input_width", 16, "u32")
STATUS_INPUT_HEIGHT = Field("input_height", 20, "u32")
STATUS_MASKS_PER_S = Field("masks_per_s", 24, "f32")
STATUS_PREPARE_MS = Field("prepare_ms", 28, "f32")
STATUS_INFER_MS = Field("infer_ms", 32, "f32")
STATUS_REFINE_MS = Field("refine_ms", 36, "f32")
STATUS_ROUND_TRIP_MS = Field("round_trip_ms", 40, "f32")
STATUS_MODEL = Field("model", 48, "utf8[128]")
STATUS_DEVICE = Field("device", 176, "utf8[128]")
STATUS_PROBLEM = Field("problem", 304, "utf8[1024]")
STATUS_SEQUENCE_END = Field("sequence_end", 1328, "u64")
STATUS_BODY = (
    STATUS_STATE,
    STATUS_INPUT_WIDTH,
    STATUS_INPUT_HEIGHT,
    STATUS_MASKS_PER_S,
    STATUS_PREPARE_MS,
    STATUS_INFER_MS,
    STATUS_REFINE_MS,
    STATUS_ROUND_TRIP_MS,
    STATUS_MODEL,
    STATUS_DEVICE,
    STATUS_PROBLEM,
)
STATUS = (STATUS_SEQUENCE_BEGIN, *STATUS_BODY, STATUS_SEQUENCE_END)

# A slot: 256 bytes of header, then the pixels.
SLOT_HEADER_SIZE = 256

FRAME_SEQUENCE_BEGIN = Field("sequence_begin", 0, "u64")
FRAME_ID = Field("frame_id", 8, "u64")
FRAME_CAPTURE_NS = Field("capture_ns", 16, "u64")
FRAME_WIDTH = Field("width", 24, "u32")
FRAME_HEIGHT = Field("height", 28, "u32")
FRAME_ROW_BYTES = Field("row_bytes", 32, "u32")
FRAME_FORMAT = Field("format", 36, "u32")
FRAME_FLAGS = Field("flags", 40, "u32")
FRAME_AHEAD_MS = Field("ahead_ms", 44, "f32")
FRAME_REGION_LEFT = Field("region_left", 48, "f32")
FRAME_REGION_TOP = Field("region_top", 52, "f32")
FRAME_REGION_SIDE = Field("region_side", 56, "f32")
FRAME_SEQUENCE_END = Field("sequence_end", 64, "u64")
FRAME_BODY = (
    FRAME_ID,
    FRAME_CAPTURE_NS,
    FRAME_WIDTH,
    FRAME_HEIGHT,
    FRAME_ROW_BYTES,
    FRAME_FORMAT,
    FRAME_FLAGS,
    FRAME_AHEAD_MS,
    FRAME_REGION_LEFT,
    FRAME_REGION_TOP,
    FRAME_REGION_SIDE,
)
FRAME_HEADER = (FRAME_SEQUENCE_BEGIN, *FRAME_BODY, FRAME_SEQUENCE_END)

MASK_SEQUENCE_BEGIN = Field("sequence_begin", 0, "u64")
MASK_FRAME_ID = Field("frame_id", 8, "u64")
MASK_CAPTURE_NS = Field("capture_ns", 16, "u64")
MASK_PUBLISH_NS = Field("publish_ns", 24, "u64")
MASK_WIDTH = Field("width", 32, "u32")
MASK_HEIGHT = Field("height", 36, "u32")
MASK_ROW_BYTES = Field("row_bytes", 40, "u32")
MASK_FORMAT = Field("format", 44, "u32")
MASK_PREPARE_MS = Field("prepare_ms", 48, "f32")
MASK_INFER_MS = Field("infer_ms", 52, "f32")
MASK_REFINE_MS = Field("refine_ms", 56, "f32")
MASK_REGION_LEFT = Field("region_left", 60, "f32")
MASK_REGION_TOP = Field("region_top", 64, "f32")
MASK_REGION_SIDE = Field("region_side", 68, "f32")
MASK_WANTED_LEFT = Field("wanted_left", 72, "f32")
MASK_WANTED_TOP = Field("wanted_top", 76, "f32")
MASK_WANTED_SIDE = Field("wanted_side", 80, "f32")
MASK_SEQUENCE_END = Field("sequence_end", 88, "u64")
MASK_BODY = (
    MASK_FRAME_ID,
    MASK_CAPTURE_NS,
    MASK_PUBLISH_NS,
    MASK_WIDTH,
    MASK_HEIGHT,
    MASK_ROW_BYTES,
    MASK_FORMAT,
    MASK_PREPARE_MS,
    MASK_INFER_MS,
    MASK_REFINE_MS,
    MASK_REGION_LEFT,
    MASK_REGION_TOP,
    MASK_REGION_SIDE,
    MASK_WANTED_LEFT,
    MASK_WANTED_TOP,
    MASK_WANTED_SIDE,
)
MASK_HEADER = (MASK_SEQUENCE_BEGIN, *MASK_BODY, MASK_SEQUENCE_END)

FRAMES_OFFSET = 4096
FRAME_SLOT_SIZE = SLOT_HEADER_SIZE + FRAME_CAPACITY
MASKS_OFFSET = FRAMES_OFFSET + FRAME_SLOTS * FRAME_SLOT_SIZE
MASK_SLOT_SIZE = SLOT_HEADER_SIZE + MASK_CAPACITY
TOTAL_SIZE = MASKS_OFFSET + MASK_SLOTS * MASK_SLOT_SIZE


def word(block_offset: int, field: Field) -> int:
    """Index of a control word in the segment seen as an array of u64 (``memoryview.cast("Q")``)."""
    return (block_offset + field.offset) // 8


class Slot(NamedTuple):
    """Where the parts of a frame slot or mask slot lie: words as indices of u64, the rest in bytes."""

    begin: int
    end: int
    body: int
    pixels: int


def slot_at(start: int, header: tuple[Field, ...]) -> Slot:
    """The slot at the byte offset ``start``; its header begins and ends with the sequence number."""
    sequence_begin, first_of_body, *_, sequence_end = header
    return Slot(
        begin=word(start, sequence_begin),
        end=word(start, sequence_end),
        body=start + first_of_body.offset,
        pixels=start + SLOT_HEADER_SIZE,
    )


def packer(fields: tuple[Field, ...]) -> struct.Struct:
    """A struct for neighbouring fields, from the first one's offset on; gaps are written as zeros."""
    codes = "<"
    at = fields[0].offset
    for field in fields:
        codes += f"{field.offset - at}x" + _STRUCT_CODES.get(field.kind, f"{field.size}s")
        at = field.offset + field.size
    return struct.Struct(codes)
