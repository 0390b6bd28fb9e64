"""Write `digits.pt`, a dictionary of tensors, and `five_pictures.npy`, five pictures to predict."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch

with (files("mltool") / "datasets/embedded/digits.npz").open("rb") as file:
    digits = np.load(file)
    images = torch.tensor(digits["images"], dtype=torch.float32)[:, None] / 240  # [1797, 1, 8, 8], from 0 to 1
    labels = torch.tensor(digits["labels"], dtype=torch.int64)

torch.save(
    {
        "train_images": images[:1400],
        "train_targets": labels[:1400],
        "test_images": images[1400:],
        "test_targets": labels[1400:],
    },
    "digits.pt",
)
np.save("five_pictures.npy", images[1400:1405].numpy())
