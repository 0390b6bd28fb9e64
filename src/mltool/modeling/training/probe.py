"""What a network answers for real samples, before anything is decided about it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from mltool.modeling.training.feed import Feed
from mltool.modeling.user_code import user_code

_ROWS = 64


def probe(network: nn.Module, feed: Feed) -> Any:
    """Run the network on the first samples in evaluation mode.

    Raises:
        UserCodeError: Its forward raises.
    """
    inputs, _ = feed.gather(np.arange(min(_ROWS, len(feed))))
    was_training = network.training
    network.eval()
    with torch.no_grad(), user_code("the network's forward"):
        outputs = network(*inputs)
    network.train(was_training)
    return outputs
