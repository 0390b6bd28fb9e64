from __future__ import annotations

from dataclasses import dataclass, field

from mltool.core.config.fields import setting
from mltool.datasets import families
from mltool.runtimes.config import backends


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    current: str | None = setting(None, is_path=True)
    """The window: a file that `mltool predict` reads, a folder of pictures, a dataset, or `-` for standard input."""

    deployment: str | None = None
    """Take the window from the prediction log of this deployment instead, as far as the model of now answered it."""

    since: str | None = None
    """Of the log only what is not older: `90m`, `24h`, `7d`, or a time such as `2026-11-26T08:00` (UTC)."""

    until: str | None = None
    """Of the log only what is older; written as `since`."""

    last: int = setting(10_000, minimum=1, maximum=10_000_000)
    """Of the log at most so many of the newest requests."""

    alpha: float = setting(0.05, minimum=0.0005, maximum=0.5)
    """Probability of an alarm for a window in which nothing has changed, as a fraction of 1."""

    seed: int = setting(0, minimum=0)
    """Of the random assignments that the window is judged by, and of the rows drawn from a large one."""

    batch_size: int = setting(256, minimum=1)
    """Samples that the model answers at once."""

    backend: str = setting("auto", choices=lambda: ("auto", *backends.names()))
    """What answers for a file: `auto` is the runtime that the model was compiled for, else ONNX Runtime."""

    threads: int | None = setting(None, minimum=1, maximum=1024)
    """CPU threads; all cores by default."""

    corruptions: tuple[str, ...] | None = setting(None, choices=families.corruptions.names)
    """Of `robustness`: the corruptions to try; by default all that fit the inputs of the model."""

    columns: int = setting(4, minimum=1)
    """Of `robustness`: columns that are corrupted one by one, those that the answers depend on most."""

    max_rows: int = setting(1000, minimum=20)
    """Of `robustness`: rows that are corrupted, of the split that the metrics of the model are of."""

    windows: tuple[int, ...] = setting((10, 25, 50, 100, 200, 500, 1000), minimum=10)
    """Of `robustness`: numbers of requests after which `drift` is asked; more than the rows allow are left out."""

    record: str = setting("auto", choices=("auto", "all", "outputs"))
    """Of `robustness`: what the deployment will log, as for `serve`. By default no pictures: drift sees the answers."""

    redraws: int = setting(20, minimum=5, maximum=1000)
    """Of `robustness`: windows of each size; an alarm in 80% of them is needed."""

    max_loss: float = setting(0.05, above=0.0)
    """Of `robustness`: loss of the metric from which on a corruption counts as harmful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftJob:
    """All that `mltool monitor drift REF` reads."""

    monitor: MonitorConfig = field(default_factory=MonitorConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessJob:
    """All that `mltool monitor robustness REF` reads."""

    monitor: MonitorConfig = field(default_factory=MonitorConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportJob:
    """All that `mltool monitor report REF` reads."""

    monitor: MonitorConfig = field(default_factory=MonitorConfig)
