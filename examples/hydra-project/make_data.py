"""Write `digits.npz`, prepared pictures with their labels, as a project would have them."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

with (files("mltool") / "datasets/embedded/digits.npz").open("rb") as file:
    digits = np.load(file)
    images, labels = digits["images"][:, np.newaxis].astype(np.float32) / 240, digits["labels"].astype(np.int64)

np.savez(
    "digits.npz",
    train_images=images[:1400],
    train_labels=labels[:1400],
    test_images=images[1400:],
    test_labels=labels[1400:],
)
