# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be asked of a running OBS through obs-websocket."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import obsws_python
from numpy.typing import NDArray

from .processes import HarnessError
from .scenes import SCENE, Source

# OBS 29 leaks an allocation now and then when it is ended right after a recording.
SETTLE_S = 2.0


class Control:
    """The half of ``Obs`` that talks to it: pictures, recordings, sources and filters."""

    ws: Any
    recordings: Path
    _settled_at_s: float = 0.0
    _wait: Callable[[str, Callable[[], Any], float], Any]

    def screenshot(self, source: str = SCENE, w: int | None = None, h: int | None = None) -> NDArray[np.uint8]:
        """What a source or scene shows now, filters included: uint8 H x W x 4, RGBA, premultiplied.

        HarnessError when there is nothing to show, as with a clip that is still being opened.
        """
        try:
            answer = self.ws.get_source_screenshot(source, "png", w, h, -1)
        except obsws_python.error.OBSSDKRequestError as error:
            raise HarnessError(f"no screenshot of {source!r}: {error}") from error
        png = base64.b64decode(answer.image_data.partition(",")[2])
        picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise HarnessError(f"the screenshot of {source!r} is not a PNG file")
        code = cv2.COLOR_BGR2RGBA if picture.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        return np.asarray(cv2.cvtColor(picture, code), dtype=np.uint8)

    def record(self, seconds: float) -> Path:
        """Record the canvas losslessly (RGB) for about ``seconds``; gives the finished file."""
        self.start_recording()
        time.sleep(seconds)
        return self.stop_recording()

    def start_recording(self) -> None:
        """Start a recording and wait until OBS says that it runs."""
        self.ws.start_record()
        self._wait("the recording to start", lambda: self.ws.get_record_status().output_duration > 0, 15.0)

    def stop_recording(self) -> Path:
        """End the recording and wait until its file is complete; gives the file."""
        self.ws.stop_record()
        self._wait("the recording to end", lambda: not self.ws.get_record_status().output_active, 30.0)
        self._settled_at_s = time.monotonic() + SETTLE_S
        return max(self.recordings.iterdir(), key=lambda path: path.stat().st_mtime_ns)

    def add_filter(
        self,
        source: str,
        name: str,
        kind: str = "obs_background_filter",
        settings: dict[str, Any] | None = None,
    ) -> None:
        """Put a filter on a source or scene."""
        self.ws.create_source_filter(source, name, kind, settings or {})

    def add_source(self, source: Source, scene: str = SCENE) -> int:
        """Show one more source, with its filters, on top of a scene; gives the scene item's id."""
        answer = self.ws.create_input(scene, source.name, source.kind, source.settings, source.visible)
        item: int = answer.scene_item_id
        for each in source.filters:
            self.add_filter(source.name, each.name, each.kind, each.settings)
        transform = {
            "positionX": source.position_px[0],
            "positionY": source.position_px[1],
            "scaleX": source.scale[0],
            "scaleY": source.scale[1],
        }
        self.ws.set_scene_item_transform(scene, item, transform)
        return item
