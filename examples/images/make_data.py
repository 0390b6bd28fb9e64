"""Write the embedded digits as pictures, one folder a class, and a picture that is cut off."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

with (files("mltool") / "datasets/embedded/digits.npz").open("rb") as file:
    digits = np.load(file)
    images, labels = digits["images"], digits["labels"]

folder = Path("pictures")
for number, (image, label) in enumerate(zip(images, labels, strict=True)):
    path = folder / str(label) / f"{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
(folder / "0" / "broken.png").write_bytes((folder / "0" / "0.png").read_bytes()[:60])
