"""A training script as somebody else wrote it; only the last two lines know mltool."""

from __future__ import annotations

import torch
from src.model import Net
from torch.nn.functional import nll_loss

data = torch.load("digits.pt", weights_only=True)
images, targets = data["train_images"], data["train_targets"]

torch.manual_seed(0)
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(10):
    for rows in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        nll_loss(model(images[rows]), targets[rows]).backward()
        optimizer.step()
torch.save(model.state_dict(), "trained.pt")

import mltool  # noqa: E402

mltool.save(model, data["test_images"], data["test_targets"], name="mine")
