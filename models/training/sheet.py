# SPDX-License-Identifier: GPL-2.0-or-later
"""Show what a network is trained on: a contact sheet of training frames, each beside its person on green."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from ...filters.cli.errors import CommandError
from .config import FramesSection, read_config
from .frames import KINDS, FrameMaker
from .pack import Pack
from .pictures import Alpha, Picture, write_picture

SIZE = (256, 144)
COLUMNS = 3
GREEN_BGR = (64, 177, 0)


def make_sheet(maker: FrameMaker, count: int, kind: str | None) -> Picture:
    """A sheet (uint8 BGR) of `count` frames, of one of `KINDS` or as training draws them."""
    tiles = []
    for _ in range(count):
        drawn = kind or maker.draw_kind()
        tiles.append(tile(drawn, *maker.make(drawn)))
    tiles += [np.zeros_like(tiles[0])] * (-count % COLUMNS)
    return np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])


def tile(caption: str, frame: Picture, alpha: Alpha) -> Picture:
    """A frame beside its person on green, with a caption."""
    cover = alpha[:, :, None]
    cut_out = np.asarray(np.round(frame * cover + np.array(GREEN_BGR, np.float32) * (1 - cover)), np.uint8)
    pair = np.hstack([frame, cut_out])
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(pair, caption, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness, cv2.LINE_AA)
    return pair


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train frames`."""
    parser.add_argument("pack", type=Path, help="folder that the step `pack` wrote")
    parser.add_argument("--sheet", type=Path, required=True, help="the picture to write (.jpg or .png)")
    parser.add_argument("--count", type=int, default=24, help="number of frames (%(default)s)")
    parser.add_argument("--kind", choices=KINDS, help="only frames of this kind")
    parser.add_argument("--config", type=Path, help="a run's TOML file: its size, shares and weights of sets")
    parser.add_argument("--seed", type=int, default=1, help="other frames for another number (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Write the sheet."""
    if options.count < 1 or options.seed < 0:
        raise CommandError("--count must be at least 1, --seed at least 0.", 2)
    shares, size = FramesSection(), SIZE
    if options.config:
        config = read_config(options.config)
        shares, size = config.frames, (config.network.width, config.network.height)
    cv2.setNumThreads(1)
    maker = FrameMaker(Pack(options.pack), shares, size, options.seed)
    try:
        write_picture(options.sheet, make_sheet(maker, options.count, options.kind))
    except cv2.error as error:
        raise CommandError(f"{options.sheet} can't be written: name it .jpg or .png.") from error
    print(f"{options.count} frames in {options.sheet}")
    return 0
