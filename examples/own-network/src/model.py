from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    """A small network for grey pictures of 8x8 pixels; it ends in LogSoftmax, as many do."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3)
        self.hidden = nn.Linear(16 * 6 * 6, hidden)
        self.out = nn.Linear(hidden, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.conv(images)).flatten(1)
        return torch.log_softmax(self.out(torch.relu(self.hidden(hidden))), dim=1)
