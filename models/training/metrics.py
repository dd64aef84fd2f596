# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures of a person mask against the truth. Masks are HxW arrays of one shape; soft ones lie in 0..1."""

from __future__ import annotations

import cv2
import numpy as np


def person_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two boolean masks; 1 when both are empty."""
    union = np.count_nonzero(predicted | truth)
    return np.count_nonzero(predicted & truth) / union if union else 1.0


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of a boolean mask that touch its outside, uint8 0 or 1; the frame edge is no outline."""
    solid = mask.astype(np.uint8)
    return solid - cv2.erode(solid, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1)


def boundary_f(predicted: np.ndarray, truth: np.ndarray, tolerance_px: int = 2) -> float:
    """F measure of two boolean masks' outlines that may lie `tolerance_px` apart; 1 when neither has one.

    After Martin et al. 2004, with a disc instead of an assignment (as in Perazzi et al. 2016, DAVIS).
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance_px + 1,) * 2)
    lines = [outline(predicted), outline(truth)]
    near = [cv2.dilate(line, disc) for line in lines]
    counts = [np.count_nonzero(line) for line in lines]
    if not any(counts):
        return 1.0
    hits = [np.count_nonzero(lines[i] & near[1 - i]) for i in (0, 1)]
    precision, recall = (hits[i] / counts[i] if counts[i] else 0.0 for i in (0, 1))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def mean_absolute_difference(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference of two soft masks, 0..1."""
    return float(np.abs(predicted.astype(np.float32) - truth.astype(np.float32)).mean())
