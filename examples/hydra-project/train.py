"""The project's own script, as it was before mltool; mltool reads its config and leaves it alone."""

from __future__ import annotations

import hydra
import numpy as np
import torch
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    torch.manual_seed(config.seed)
    data = np.load(hydra.utils.to_absolute_path(config.data_path))
    images, labels = torch.tensor(data["train_images"]), torch.tensor(data["train_labels"])
    network = hydra.utils.instantiate(config.model)
    optimizer = hydra.utils.instantiate(config.optimizer, params=network.parameters())
    for epoch in range(config.trainer.max_epochs):
        for rows in torch.randperm(len(images)).split(config.trainer.batch_size):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images[rows]), labels[rows])
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
