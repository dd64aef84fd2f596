# SPDX-License-Identifier: GPL-2.0-or-later
"""What the filter adds to each frame in real OBS, beside OBS's own Chroma Key and no filter at all, taking turns."""

from pathlib import Path

from .bench_report import Section


def measure_obs(python: Path) -> tuple[Section, dict[str, str]]:
    raise NotImplementedError
