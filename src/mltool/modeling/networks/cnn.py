"""A small convolutional network for pictures of any size."""

from __future__ import annotations

from torch import Tensor, nn

from mltool.core.errors import ConfigError
from mltool.datasets.schema import Schema

# Axes: N samples, C channels, H height, W width


class CNN(nn.Module):
    def __init__(self, channels: int, height: int, width: int, num_outputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size, num_in, num_out = min(height, width), channels, hidden
        while size >= 4 and len(layers) < 20:
            layers += [
                nn.Conv2d(num_in, num_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(num_out),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            num_in, num_out, size = num_out, min(num_out * 2, 8 * hidden), size // 2
        self.features = nn.Sequential(*layers)
        scale = 2 ** (len(layers) // 4)
        flat = num_in * (height // scale) * (width // scale)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(flat, num_outputs))

    def forward(self, image: Tensor) -> Tensor:
        image_NCHW = image.unsqueeze(1) if image.dim() == 3 else image
        return self.head(self.features(image_NCHW))


def build(schema: Schema, num_outputs: int, *, hidden: int = 32, dropout: float = 0.1) -> nn.Module:
    return CNN(*image_shape(schema, "cnn"), num_outputs, hidden, dropout)


def image_shape(schema: Schema, name: str) -> tuple[int, int, int]:
    """Channels, height and width of the one picture that the schema has.

    Raises:
        ConfigError: It has none.
    """
    shape = schema.inputs[0].shape
    if len(schema.inputs) != 1 or len(shape) not in (2, 3):
        shapes = ", ".join(f"`{spec.name}` {list(spec.shape)}" for spec in schema.inputs)
        raise ConfigError(f"`model.name={name}` needs pictures, but the data has {shapes}", hint="use `model.name=mlp`")
    return (1, *shape) if len(shape) == 2 else (shape[0], shape[1], shape[2])
