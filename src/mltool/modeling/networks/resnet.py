"""A residual network for pictures: the 18-layer layout of He et al. 2015 (https://arxiv.org/abs/1512.03385).

Small pictures (under 64 pixels) keep their size in the first layer, as in section 4.2 of the paper.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mltool.datasets.schema import Schema
from mltool.modeling.networks.cnn import image_shape

# Axes: N samples, C channels, H height, W width


class Block(nn.Module):
    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_in, num_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(num_out)
        self.conv2 = nn.Conv2d(num_out, num_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(num_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or num_in != num_out:
            self.shortcut = nn.Sequential(nn.Conv2d(num_in, num_out, 1, stride, bias=False), nn.BatchNorm2d(num_out))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = F.relu(self.norm1(self.conv1(x_NCHW)))
        return F.relu(self.norm2(self.conv2(y_NCHW)) + self.shortcut(x_NCHW))


class ResNet(nn.Module):
    def __init__(self, channels: int, is_small: bool, num_outputs: int, hidden: int, depth: int) -> None:
        super().__init__()
        first = nn.Conv2d(
            channels, hidden, 3 if is_small else 7, 1 if is_small else 2, 1 if is_small else 3, bias=False
        )
        layers: list[nn.Module] = [first, nn.BatchNorm2d(hidden), nn.ReLU()]
        if not is_small:
            layers.append(nn.MaxPool2d(3, 2, 1))
        num_in = hidden
        for stage in range(4):
            num_out = hidden * 2**stage
            for index in range(depth):
                layers.append(Block(num_in, num_out, 2 if stage and not index else 1))
                num_in = num_out
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(num_in, num_outputs)

    def forward(self, image: Tensor) -> Tensor:
        image_NCHW = image.unsqueeze(1) if image.dim() == 3 else image
        return self.head(F.adaptive_avg_pool2d(self.features(image_NCHW), 1).flatten(1))


def build(schema: Schema, num_outputs: int, *, hidden: int = 64, depth: int = 2) -> nn.Module:
    channels, height, width = image_shape(schema, "resnet")
    return ResNet(channels, min(height, width) < 64, num_outputs, hidden, depth)
