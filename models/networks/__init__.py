# SPDX-License-Identifier: GPL-2.0-or-later
"""Definitions of the networks that this project trains itself."""
