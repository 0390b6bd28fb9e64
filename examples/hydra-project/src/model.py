from __future__ import annotations

import torch
from torch import nn


class Digits(nn.Module):
    """A small network for grey pictures of 8x8 pixels."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.out(self.dropout(torch.relu(self.hidden(images.flatten(1)))))
