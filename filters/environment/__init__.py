# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's own Python environment: where it lies, which interpreter builds it, and how. Standard library only."""
