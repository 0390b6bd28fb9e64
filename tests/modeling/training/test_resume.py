from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from fit_testing import batch_hook, interrupted, make_fit, mlp, weights_digest, without_seconds
from torch import Tensor, nn

from mltool.core.errors import ArtifactError

# Two epochs of 231 samples in batches of 17: 14 batches each, the last of 10 samples.
STOPS = (1, 2, 3, 6, 8, 13, 14, 15, 17, 21, 27, 28)
CASES: dict[str, dict[str, Any]] = {
    "mlp_adamw": {"network": "mlp"},
    "mlp_adam_clipped": {"network": "mlp", "optimizer": "adam", "clip_norm": 0.1},
    "mlp_sgd_accumulated": {"network": "mlp", "optimizer": "sgd", "accumulate": 3, "lr": 0.02},
    "mlp_sgd_without_momentum": {"network": "mlp", "optimizer": "sgd", "momentum": 0.0, "schedule": "linear"},
    "mlp_bf16": {"network": "mlp", "bf16": True},
    "cnn_adamw_accumulated": {"network": "cnn", "accumulate": 3, "warmup": 0.3},
    "cnn_adamw_bf16": {"network": "cnn", "bf16": True},
    "cnn_sgd_bf16_accumulated": {"network": "cnn", "bf16": True, "optimizer": "sgd", "accumulate": 3},
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_was_stopped_anywhere_ends_in_the_same_bits(tmp_path: Path, case: str) -> None:
    whole = make_fit(tmp_path / "whole", **CASES[case])
    history = without_seconds(whole.run())
    for at_batch in STOPS:
        folder = tmp_path / str(at_batch)
        interrupted(make_fit(folder, **CASES[case]), at_batch)
        resumed = make_fit(folder, **CASES[case])
        torch.manual_seed(at_batch)  # another process, another state
        assert without_seconds(resumed.run(resume=True)) == history, f"stopped at batch {at_batch}"
        assert weights_digest(resumed.network) == weights_digest(whole.network), f"stopped at batch {at_batch}"


def test_two_threads_give_the_same_bits_wherever_a_batch_lies_in_memory(tmp_path: Path) -> None:
    """The matrix product of some libraries sums in another order where the first byte is aligned differently."""
    torch.set_num_threads(2)
    whole = make_fit(tmp_path / "whole", "mlp")
    whole.run()
    for at_batch in (1, 6):
        folder = tmp_path / str(at_batch)
        interrupted(make_fit(folder, "mlp"), at_batch)
        resumed = make_fit(folder, "mlp")
        resumed.run(resume=True)
        assert weights_digest(resumed.network) == weights_digest(whole.network), f"stopped at batch {at_batch}"


def test_a_run_may_be_stopped_again_and_again(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {"network": "mlp", "accumulate": 2, "epochs": 3, "batch_size": 3}  # 77 batches: two blocks
    whole = make_fit(tmp_path / "whole", **knobs)
    history = without_seconds(whole.run())
    folder = tmp_path / "stopped"
    interrupted(make_fit(folder, **knobs), 20)
    for at_batch in (1, 50, 64, 70):
        interrupted(make_fit(folder, **knobs), at_batch, resume=True)
    resumed = make_fit(folder, **knobs)
    assert without_seconds(resumed.run(resume=True)) == history
    assert weights_digest(resumed.network) == weights_digest(whole.network)


def test_the_best_epoch_and_the_patience_survive_a_stop(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {"network": "mlp", "learnable": False, "epochs": 40, "lr": 0.02, "patience": 4}
    whole = make_fit(tmp_path / "whole", **knobs)
    history = without_seconds(whole.run())
    assert len(history) < 40
    at_batch = 14 * (len(history) - 2) + 5  # the best epoch lies behind
    interrupted(make_fit(tmp_path / "stopped", **knobs), at_batch)
    resumed = make_fit(tmp_path / "stopped", **knobs)
    assert without_seconds(resumed.run(resume=True)) == history
    assert weights_digest(resumed.network) == weights_digest(whole.network)


def test_a_weight_that_no_loss_reaches_is_no_hindrance(tmp_path: Path) -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.spare = mlp(), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    torch.manual_seed(0)
    first, second = Spare(), Spare()
    second.load_state_dict(first.state_dict())
    whole = make_fit(tmp_path / "whole", copy.deepcopy(first))
    whole.run()
    interrupted(make_fit(tmp_path / "stopped", first), 9)
    resumed = make_fit(tmp_path / "stopped", second)
    resumed.run(resume=True)
    assert weights_digest(resumed.network) == weights_digest(whole.network)


def test_a_complete_run_has_nothing_left_to_train(tmp_path: Path) -> None:
    whole = make_fit(tmp_path, "mlp")
    history = whole.run()
    again = make_fit(tmp_path, "mlp")
    with batch_hook(again.network, lambda number: pytest.fail("trained once more")):
        assert again.run(resume=True) == history
    assert weights_digest(again.network) == weights_digest(whole.network)


def test_a_checkpoint_is_read_only_when_asked_for(tmp_path: Path) -> None:
    interrupted(make_fit(tmp_path, "mlp"), 9)
    anew, whole = make_fit(tmp_path, "mlp"), make_fit(tmp_path / "whole", "mlp")
    assert without_seconds(anew.run()) == without_seconds(whole.run())
    assert weights_digest(anew.network) == weights_digest(whole.network)


def test_a_resume_without_a_checkpoint_starts_from_the_beginning(tmp_path: Path) -> None:
    anew, whole = make_fit(tmp_path, "mlp"), make_fit(tmp_path / "whole", "mlp")
    assert without_seconds(anew.run(resume=True)) == without_seconds(whole.run())


def test_epochs_that_were_stopped_count_the_seconds_of_both_parts(tmp_path: Path) -> None:
    interrupted(make_fit(tmp_path, "mlp"), 10)
    from mltool.modeling.training.checkpoint import load
    from mltool.modeling.training.optimizer import make_optimizer

    fit = make_fit(tmp_path, "mlp")
    optimizer = make_optimizer(fit.network, "adamw", lr=1.0, weight_decay=0.0, momentum=0.0)
    progress, _ = load(tmp_path / "checkpoint.safetensors", fit.network, optimizer)
    assert (progress.epoch, progress.position, progress.step) == (0, 170, 10)
    assert fit.run(resume=True)[0]["seconds"] > progress.seconds > 0


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_checkpoint_that_is_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    interrupted(make_fit(tmp_path, "mlp"), 9)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"the checkpoint `.*checkpoint\.safetensors` cannot be used") as caught:
        make_fit(tmp_path, "mlp").run(resume=True)
    assert caught.value.exit_code == 3
    assert caught.value.hint == "start without --resume"


def test_a_checkpoint_of_another_network_or_without_its_parts_is_refused(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    interrupted(make_fit(tmp_path, "mlp"), 9)
    with pytest.raises(ArtifactError, match="cannot be used: Error"):
        make_fit(tmp_path, "plain").run(resume=True)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata()
    whole = load_file(path)
    save_file({name: value for name, value in whole.items() if name != "network.0.weight"}, path, metadata)
    with pytest.raises(ArtifactError, match="cannot be used"):
        make_fit(tmp_path, "mlp").run(resume=True)
    for draws in ("", "[]]", '["{}"]', "[3]", '["{\\"python\\": 1}"]'):
        save_file(whole, path, {**metadata, "draws": draws})
        with pytest.raises(ArtifactError, match="cannot be used"):
            make_fit(tmp_path, "mlp").run(resume=True)
    for extra in ({"optimizer.99.exp_avg": torch.ones(2)}, {"x.y": torch.ones(1)}):
        save_file({**whole, **extra}, path, metadata)
        with pytest.raises(ArtifactError, match="cannot be used"):
            make_fit(tmp_path, "mlp").run(resume=True)
    save_file(whole, path)
    with pytest.raises(ArtifactError, match="cannot be used"):
        make_fit(tmp_path, "mlp").run(resume=True)
