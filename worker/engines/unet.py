"""The U-Net of Spleeter's two-stem model, which masks a magnitude spectrogram.

Architecture: Hennequin et al., "Spleeter: a fast and efficient music source separation tool" (JOSS 2020),
after Jansson et al., "Singing voice separation with deep U-Net convolutional networks" (ISMIR 2017).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

_CHANNELS = (2, 16, 32, 64, 128, 256, 512)
_EPSILON = 1e-3  # of batch normalisation in TensorFlow, where the weights were trained


class UNet(nn.Module):
    """Six convolutions that halve time and frequency, six that double them, skip connections between.

    Maps magnitudes of shape (batch, 2 channels, frames, bins), frames and bins multiples of 64, to the
    magnitudes of one instrument.
    """

    def __init__(self) -> None:
        super().__init__()
        pairs = list(pairwise(_CHANNELS))
        self.down = nn.ModuleList(nn.Conv2d(i, o, kernel_size=5, stride=2) for i, o in pairs)
        self.down_norm = nn.ModuleList(nn.BatchNorm2d(o, eps=_EPSILON) for _, o in pairs)
        outputs = (*_CHANNELS[-2:0:-1], 1)
        inputs = (_CHANNELS[-1], *(2 * channels for channels in outputs[:-1]))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(i, o, kernel_size=5, stride=2) for i, o in zip(inputs, outputs, strict=True)
        )
        self.up_norm = nn.ModuleList(nn.BatchNorm2d(o, eps=_EPSILON) for o in outputs)
        self.mask = nn.Conv2d(1, 2, kernel_size=4, dilation=2, padding=3)

    def forward(self, magnitude: Tensor) -> Tensor:
        skips: list[Tensor] = []
        x = magnitude
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            # TensorFlow's "same" padding of an even size puts the odd column last.
            x = conv(functional.pad(x, (1, 2, 1, 2)))
            skips.append(x)
            x = functional.leaky_relu(norm(x), 0.2)
        x = skips.pop()
        for conv, norm in zip(self.up, self.up_norm, strict=True):
            x = norm(functional.relu(conv(x)[..., 1:-2, 1:-2]))
            if skips:
                x = torch.cat([skips.pop(), x], dim=1)
        return torch.sigmoid(self.mask(x)) * magnitude
