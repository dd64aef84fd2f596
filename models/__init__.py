# SPDX-License-Identifier: GPL-2.0-or-later
"""A network's life before it meets a frame.

``catalog`` says what each model is, ``trust`` whether its bytes are the ones meant, ``onnx_guard`` whether they can do
no more than compute, ``onnx_ports`` what they take and give; ``fetch``, ``store`` and ``places`` get files and keep
them. These use the standard library only. ``weights`` and ``cards`` hold the networks that ship and their papers;
``networks`` and ``training`` make them.
"""
