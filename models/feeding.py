# SPDX-License-Identifier: GPL-2.0-or-later
"""How a file that we wrote is fed and read, said by itself: one entry of its metadata, which travels with its bytes.

Converting, training, simplifying and quantising write it. To the engine it counts more than a catalogue entry and than
guesses: what the graph does already, such as normalising, is not done again under an entry that was written for the
publisher's file. It is JSON of the form of `choices.Chosen`, and like a choice it is no trust.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .choices import Chosen, checked
from .refusal import ModelRefused

KEY = "obs_background_filter.feeding"


def metadata(feeding: Chosen) -> dict[str, str]:
    """The entry for the file's metadata; none if there is nothing to say."""
    return {KEY: json.dumps(feeding, sort_keys=True)} if feeding else {}


def read(said: Mapping[str, str], file: str) -> Chosen:
    """What a file's metadata say, nothing if they don't; refuses (model.feeding) what can't be used."""
    if KEY not in said:
        return {}
    try:
        return checked(file, json.loads(said[KEY]))
    except (ValueError, RecursionError) as error:
        raise ModelRefused("model.feeding", file=file, detail=str(error)) from None
    except ModelRefused as refusal:
        raise ModelRefused("model.feeding", file=file, detail=str(refusal.params["detail"])) from None


def of_our_network(picture: str, width: int, height: int, mask: str, kind: str = "logits") -> Chosen:
    """That of a network which takes RGB in 0..1 [1,3,height,width] and gives [1,C,h,w].

    C is 1 but for ``softmax_logits``: which class is the person is left to the catalogue or the rules of guessing.
    """
    takes = {
        "tensor": picture, "width": width, "height": height, "layout": "NCHW", "channels": "RGB",
        "scale": 1 / 255, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
    }  # fmt: skip
    gives: dict[str, Any] = {"tensor": mask, "kind": kind, "layout": "NCHW"}
    if kind != "softmax_logits":
        gives |= {"channel": 0, "inverted": False}
    return {"input": takes, "output": gives}
