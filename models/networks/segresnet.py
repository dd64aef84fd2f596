# SPDX-License-Identifier: GPL-2.0-or-later
"""SegResNet (Myronenko 2018, arXiv:1810.11654), MONAI's implementation in two dimensions.

A residual encoder with group normalisation and a light decoder that adds the skips. The paper's variational branch,
which regularises the encoder where data is scarce, is left out, as MONAI does. Importing this file imports MONAI.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.segresnet import SegResNet as MonaiSegResNet

from .blocks import MaskNetwork


class SegResNet(MaskNetwork):
    """SegResNet: logits at full resolution; H and W divide by 8.

    `filters` is the number of channels at full resolution, a multiple of 8; it doubles with each of the three halvings.
    `blocks_down` and `blocks_up` count the residual blocks, finest first and coarsest first.
    """

    output_stride = 1
    divisor = 8

    def __init__(
        self,
        filters: int = 16,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
        classes: int = 1,
    ) -> None:
        super().__init__()
        if len(blocks_down) != 4 or len(blocks_up) != 3:
            raise ValueError(f"expected four and three numbers of blocks, found {blocks_down} and {blocks_up}")
        if filters % 8:
            raise ValueError(f"expected a number of filters that is a multiple of 8, found {filters}")
        self.body = MonaiSegResNet(
            spatial_dims=2, in_channels=3, out_channels=classes, init_filters=filters,
            blocks_down=tuple(blocks_down), blocks_up=tuple(blocks_up),
        )  # fmt: skip

    def outputs(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Logits [N,classes,H,W]."""
        return [self.body(picture)]
