# SPDX-License-Identifier: GPL-2.0-or-later
"""Colour, light and camera faults for training frames: what a cheap webcam in a badly lit room does.

All functions take and return BGR frames, uint8 HxWx3; `alpha` is float32 HxW in 0..1. Randomness comes from
the generator that is passed in, so that a seed fixes everything.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .pictures import Alpha, Picture, resize

# Hue (0..179), saturation and value between which skin of all tones lies; the hue also takes in brown hair.
SKIN_HSV = (np.array([0, 25, 30]), np.array([25, 185, 255]))


def clipped(frame: NDArray[np.floating]) -> Picture:
    """Grey levels brought into 0..255, cut to whole numbers."""
    return np.asarray(frame.clip(0, 255), np.uint8)


def grain(frame: Picture, strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sensor noise of standard deviation `strength` grey levels, float32 in the shape of `frame`.

    The sum of two uniform draws: near enough to a bell curve, and ten times as fast as a normal draw.
    """
    first, second = rng.integers(-128, 128, (2, *frame.shape), dtype=np.int8)
    return np.asarray(np.add(first, second, dtype=np.float32) * np.float32(strength / 104.5))


def tone_table(rng: np.random.Generator) -> Picture:
    """Random exposure, contrast, gamma and colour cast as a lookup table, uint8 256x1x3."""
    level = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    gamma = np.exp(rng.normal(0, 0.3))
    contrast = np.exp(rng.normal(0, 0.15))
    gain = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.07, (1, 3)))
    shaped = (level**gamma - 0.5) * contrast + 0.5 + rng.normal(0, 0.03)
    return clipped(shaped * gain * 255)[:, None, :]


def separate_light(frame: Picture, alpha: Alpha, rng: np.random.Generator) -> Picture:
    """Light person and background differently: a bright window behind, or a lamp on the face."""
    on_person, on_background = np.exp(rng.normal(0, 0.35, 2))
    gain = on_background + (on_person - on_background) * alpha
    return clipped(frame * gain[:, :, None])


def light_gradient(frame: Picture, rng: np.random.Generator) -> Picture:
    """Brightness that falls off linearly across the frame in a random direction."""
    height, width = frame.shape[:2]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.cos(angle)
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.sin(angle)
    gain = 1 + strength * (x[None] + y[:, None])
    return clipped(frame * gain[:, :, None])


def low_light(frame: Picture, alpha: Alpha, rng: np.random.Generator) -> Picture:
    """A noisy dark room, in half of the cases with the person lit by a coloured screen."""
    dim = rng.uniform(0.12, 0.5)
    gain = np.full((*alpha.shape, 3), dim, np.float32)
    if rng.random() < 0.5:
        screen = rng.uniform(0.6, 1.6, 3).astype(np.float32) * rng.uniform(0.1, 0.5)
        gain += alpha[:, :, None] * screen
    return clipped(frame * gain + grain(frame, rng.uniform(1, 9), rng))


def blur(frame: Picture, rng: np.random.Generator) -> Picture:
    """Defocus, or motion blur along one axis."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
    length = int(rng.integers(2, 7))
    return np.asarray(cv2.blur(frame, (length, 1) if rng.random() < 0.8 else (1, length)), np.uint8)


def compress(frame: Picture, rng: np.random.Generator) -> Picture:
    """JPEG artefacts of a random quality."""
    return through_jpeg(frame, int(rng.integers(20, 90)))


def through_jpeg(frame: Picture, quality: int) -> Picture:
    """The frame compressed at a quality of 0 to 100, and decompressed."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def video(frame: Picture, rng: np.random.Generator) -> Picture:
    """What a starved video codec leaves: large blocks, washed-out detail, colour at a fraction of the resolution.

    JPEG's 8x8 blocks, coarsely quantised at a lower resolution, are after scaling up about as large as a codec's.
    """
    height, width = frame.shape[:2]
    shrink, colour_shrink = rng.uniform(1, 2.5), int(rng.integers(2, 6))
    small = resize(frame, (round(width / shrink), round(height / shrink)))
    blocks = cv2.resize(through_jpeg(small, int(rng.integers(12, 45))), (width, height))
    large = cv2.cvtColor(blocks, cv2.COLOR_BGR2YCrCb)
    part = (max(1, width // colour_shrink), max(1, height // colour_shrink))
    colour = cv2.resize(large[:, :, 1:], part, interpolation=cv2.INTER_AREA)
    large[:, :, 1:] = cv2.resize(colour, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.cvtColor(large, cv2.COLOR_YCrCb2BGR), np.uint8)


def colours(frame: Picture, rng: np.random.Generator) -> Picture:
    """Other saturation and slightly other hues: clothes, walls and lamps of all colours."""
    hsv = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2HSV), np.uint8)
    hsv[:, :, 0] = (hsv[:, :, 0].astype(np.int16) + int(rng.normal(0, 6))) % 180
    hsv[:, :, 1] = cv2.convertScaleAbs(hsv[:, :, 1], alpha=float(np.exp(rng.normal(0, 0.3))))
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


def recolour(frame: Picture, cover: Alpha, rng: np.random.Generator) -> Picture:
    """Turn the hues under `cover` (float32 HxW, 0..1) by any angle, save those of skin: other walls, other clothes."""
    hsv = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2HSV), np.uint8)
    skin = cv2.inRange(hsv, SKIN_HSV[0], SKIN_HSV[1])
    hsv[:, :, 0] = (hsv[:, :, 0].astype(np.int16) + int(rng.integers(15, 166))) % 180
    hsv[:, :, 1] = cv2.convertScaleAbs(hsv[:, :, 1], alpha=float(np.exp(rng.normal(0, 0.4))))
    turned = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)
    weight = cover * (1 - cv2.blur(skin, (5, 5)).astype(np.float32) / 255)
    return np.asarray(cv2.blendLinear(turned, frame, weight, 1 - weight), np.uint8)


def mean_colour(picture: Picture, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean BGR of a picture [H,W,3] whose pixels weigh `weight` [H,W,1], float32 [3]."""
    return np.asarray((picture * weight).sum((0, 1)) / weight.sum(), np.float32)


def camouflage(frame: Picture, alpha: Alpha, rng: np.random.Generator) -> Picture:
    """Tint what is behind the people like some part of them: sand behind skin, a brown wall behind brown hair.

    Texture and shape stay, so they are what is left to tell them apart.
    """
    rows, columns = np.nonzero(alpha[::4, ::4] > 0.95)
    behind = (1 - alpha)[:, :, None]
    if not len(rows) or behind[::4, ::4].sum() < 1:
        return frame
    chosen, reach = rng.integers(len(rows)), max(1, alpha.shape[0] // 24)
    y, x = 4 * rows[chosen], 4 * columns[chosen]
    near = np.s_[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    shift = mean_colour(frame[near], 1 - behind[near]) - mean_colour(frame[::4, ::4], behind[::4, ::4])
    return clipped(frame + np.float32(rng.uniform(0.4, 1)) * shift * behind)


def bare(frame: Picture, alpha: Alpha, rng: np.random.Generator) -> Picture:
    """Clothes in the colour of the wearer's skin: bare shoulders and arms, which official portraits never show.

    Their shading stays in part, their texture goes.
    """
    height = alpha.shape[0]
    skin = cv2.inRange(cv2.cvtColor(frame, cv2.COLOR_BGR2HSV), SKIN_HSV[0], SKIN_HSV[1]).astype(np.float32) / 255
    face = np.where(alpha > 0.95, skin, np.float32(0))[:, :, None]
    if face[::4, ::4].sum() < 8:
        return frame
    # Brown hair counts as skin, too, and makes the mean darker.
    tone = mean_colour(frame, face) * np.float32(np.exp(rng.normal(0.15, 0.2)))
    light = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (0, 0), height / rng.uniform(24, 96))
    shading = light.astype(np.float32) - cv2.mean(light, (alpha > 0.5).astype(np.uint8))[0]
    painted = tone + np.float32(rng.uniform(0.2, 0.6)) * shading[:, :, None]
    rows = np.arange(height, dtype=np.float32)[:, None]
    below_the_face = ((rows - (rows * face[:, :, 0]).sum() / face.sum()) / (0.15 * height)).clip(0, 1)
    cover = alpha * (1 - cv2.blur(skin, (5, 5))) * below_the_face
    return clipped(frame + cover[:, :, None] * (painted - frame))


def disturb(frame: Picture, alpha: Alpha, rng: np.random.Generator) -> Picture:
    """Apply a random selection of all faults above to one frame."""
    if rng.random() < 0.2:
        frame = recolour(frame, 1 - alpha, rng)
    if rng.random() < 0.2:
        frame = recolour(frame, alpha, rng)
    if rng.random() < 0.08:
        frame = bare(frame, alpha, rng)
    if rng.random() < 0.2:
        frame = camouflage(frame, alpha, rng)
    if rng.random() < 0.25:
        frame = separate_light(frame, alpha, rng)
    if rng.random() < 0.15:
        frame = light_gradient(frame, rng)
    if rng.random() < 0.8:
        frame = np.asarray(cv2.LUT(frame, tone_table(rng)), np.uint8)
    if rng.random() < 0.3:
        frame = colours(frame, rng)
    if rng.random() < 0.06:
        frame = np.asarray(cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
    if rng.random() < 0.2:
        frame = blur(frame, rng)
    if rng.random() < 0.15:
        frame = low_light(frame, alpha, rng)
    elif rng.random() < 0.3:
        frame = clipped(frame + grain(frame, rng.uniform(1, 10), rng))
    draw = rng.random()
    if draw < 0.1:
        return video(frame, rng)
    return compress(frame, rng) if draw < 0.25 else frame
