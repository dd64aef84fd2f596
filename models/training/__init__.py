# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts that label, train, export and measure the project's own networks; never needed inside OBS."""
