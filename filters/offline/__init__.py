# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures and videos without OBS: the engine's masks, and the filter's picture made of them on the processor.

``person.py`` finds the person as the engine does for OBS, ``compose.py`` does what the shader does. Pictures are HxWx3
in the order RGB, uint8 or (pictures only) uint16.
"""
