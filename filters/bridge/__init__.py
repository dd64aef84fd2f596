# SPDX-License-Identifier: GPL-2.0-or-later
"""The bridge between OBS and the engine: shared memory for pixels, lines of JSON for everything else.

``docs/bridge.md`` is the specification; ``layout`` is the same in code. Standard library only: this also runs in OBS.

    OBS                                   engine
    segment.Segment.create()    name →    segment.Segment.open(name)
    frame_slots.FrameWriter     ─────→    frame_slots.FrameReader
    mask_slots.MaskReader       ←─────    mask_slots.MaskWriter
    status.StatusReader         ←─────    status.StatusWriter
    messages.encode, decode     ←────→    messages.decode, encode
"""
