# SPDX-License-Identifier: GPL-2.0-or-later
"""Take out of an ONNX file what computes nothing: identities, foldable constants, shapes known beforehand.

    models simplify u2netp u2netp_slim.onnx

The copy must give the same mask on several pictures, or it is not written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import onnxslim

from ...filters.cli.errors import CommandError
from ..training.manifest import positive
from ..training.quantise import quietly
from .compare import Original, check_target, cost_rows, difference, open_copy, read_original, serialised, show, write

MASK_STEPS = 1  # of 255: rounding in another order


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `models simplify`."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="an id of the catalogue, the name of a file in your folder of models, or a path")
    add("out", metavar="OUT", type=Path, help="ONNX file to write")
    add("--rounds", type=positive, default=10, help="rounds of timing (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Simplify, compare, and write the copy if it computes the same."""
    original = read_original(options.model)
    check_target(original, options.model, options.out)
    copy = open_copy(simplified(original), original)
    show(cost_rows(original.version, copy, options.rounds))
    found = difference(original.version, copy)
    print(f"The outputs differ by at most {found.outputs:.1e}, the mask by {found.mask} of 255.")
    if found.mask > MASK_STEPS:
        raise CommandError(f"The mask must not change by more than {MASK_STEPS} of 255, so nothing was written.")
    write(copy, original, options.out)
    return 0


def simplified(original: Original) -> bytes:
    """The simplified file's bytes; CommandError if the simplifier fails."""
    try:
        with quietly():
            model = onnxslim.slim(onnx.load_from_string(original.model.data))
    except Exception as error:  # onnxslim has no common base class for its exceptions
        lines = str(error).splitlines() or [type(error).__name__]
        raise CommandError(f"The simplifier failed on {original.model.name}: {lines[0]}") from error
    return serialised(model, original, "models simplify")
