# SPDX-License-Identifier: GPL-2.0-or-later
"""Colour, light and camera faults for training frames: what a cheap webcam in a badly lit room does.

All functions take and return BGR frames, uint8 HxWx3; `alpha` is float32 HxW in 0..1. Randomness comes from
the generator that is passed in, so that a seed fixes everything.
"""

from __future__ import annotations

import cv2
import numpy as np


def grain(frame: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Sensor noise of standard deviation `strength` grey levels, float32 in the shape of `frame`.

    The sum of two uniform draws: near enough to a bell curve, and ten times as fast as a normal draw.
    """
    first, second = rng.integers(-128, 128, (2, *frame.shape), dtype=np.int8)
    return np.add(first, second, dtype=np.float32) * np.float32(strength / 104.5)


def tone_table(rng: np.random.Generator) -> np.ndarray:
    """Random exposure, contrast, gamma and colour cast as a lookup table, uint8 256x1x3."""
    level = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    gamma = np.exp(rng.normal(0, 0.3))
    contrast = np.exp(rng.normal(0, 0.15))
    gain = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.07, (1, 3)))
    shaped = (level**gamma - 0.5) * contrast + 0.5 + rng.normal(0, 0.03)
    return (shaped * gain * 255).clip(0, 255).astype(np.uint8)[:, None, :]


def separate_light(frame: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light person and background differently: a bright window behind, or a lamp on the face."""
    on_person, on_background = np.exp(rng.normal(0, 0.35, 2))
    gain = on_background + (on_person - on_background) * alpha
    return (frame * gain[:, :, None]).clip(0, 255).astype(np.uint8)


def light_gradient(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness that falls off linearly across the frame in a random direction."""
    height, width = frame.shape[:2]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.cos(angle)
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.sin(angle)
    gain = 1 + strength * (x[None] + y[:, None])
    return (frame * gain[:, :, None]).clip(0, 255).astype(np.uint8)


def low_light(frame: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A noisy dark room, in half of the cases with the person lit by a coloured screen."""
    dim = rng.uniform(0.12, 0.5)
    gain = np.full((*alpha.shape, 3), dim, np.float32)
    if rng.random() < 0.5:
        screen = rng.uniform(0.6, 1.6, 3).astype(np.float32) * rng.uniform(0.1, 0.5)
        gain += alpha[:, :, None] * screen
    return (frame * gain + grain(frame, rng.uniform(1, 9), rng)).clip(0, 255).astype(np.uint8)


def blur(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Defocus, or motion blur along one axis."""
    if rng.random() < 0.6:
        return cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.4, 1.6))
    length = int(rng.integers(2, 7))
    return cv2.blur(frame, (length, 1) if rng.random() < 0.8 else (1, length))


def compress(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """JPEG artefacts of a random quality."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
    return cv2.imdecode(cv2.imencode(".jpg", frame, quality)[1], cv2.IMREAD_COLOR)


def disturb(frame: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply a random selection of all faults above to one frame."""
    if rng.random() < 0.25:
        frame = separate_light(frame, alpha, rng)
    if rng.random() < 0.15:
        frame = light_gradient(frame, rng)
    if rng.random() < 0.8:
        frame = cv2.LUT(frame, tone_table(rng))
    if rng.random() < 0.06:
        frame = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.2:
        frame = blur(frame, rng)
    if rng.random() < 0.15:
        frame = low_light(frame, alpha, rng)
    elif rng.random() < 0.3:
        frame = (frame + grain(frame, rng.uniform(1, 10), rng)).clip(0, 255).astype(np.uint8)
    return compress(frame, rng) if rng.random() < 0.25 else frame
