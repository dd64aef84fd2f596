# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of a frame: OBS (``obs``), shared memory (``bridge``), segmentation (``engine``), and back."""

VERSION = "0.1.0"
