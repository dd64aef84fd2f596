# SPDX-License-Identifier: GPL-2.0-or-later
"""What all tests share."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import obs_background_filter  # noqa: E402, F401  (makes the package background_filter importable)
