# SPDX-License-Identifier: GPL-2.0-or-later
"""The side inside OBS: standard library and ctypes on libobs only, and nothing that waits on a thread of OBS."""
