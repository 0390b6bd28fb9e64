"""What a search may try: ranges and choices, by key of the config."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mltool.core.config import plain
from mltool.core.config.load import read_one
from mltool.core.config.settings import Setting
from mltool.core.errors import ConfigError
from mltool.modeling.config import TrainConfig
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.point import UNSAID, Point, short, value_at

SECTION = "tune.space"
_RANGE = re.compile(r"^\s*([^\s,:]+?)\.\.([^\s,:]+?)\s*(?::\s*(\S*))?\s*$")
_DIGITS = 6
"""Of a drawn number: as many as a person would ever write."""
_SAME_SAMPLES = ("data.image_size", "data.channels", "data.ignore", "data.categories", "data.args.")
"""The knobs of the data that leave the validation samples the same, whatever their value."""
_NOT_THE_MODEL = (
    "train.seed", "train.device", "train.threads",
    *(f"train.{field.name}" for field in dataclasses.fields(TrainConfig) if not field.metadata.get("shapes", True)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if `low` is an int."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low!r}..{self.high!r}{':log' if self.log else ''}"

    @property
    def size(self) -> float:
        return self.high - self.low + 1 if isinstance(self.low, int) else math.inf

    @property
    def first(self) -> float:
        return self.low

    def values(self) -> Iterator[Any]:
        return iter(range(int(self.low), int(self.high) + 1))

    def holds(self, value: Any) -> bool:
        wanted = int if isinstance(self.low, int) else int | float
        return isinstance(value, wanted) and not isinstance(value, bool) and self.low <= value <= self.high

    def rounded(self, value: Any) -> Any:
        """A drawn value as a person would write it."""
        if isinstance(self.low, int):
            return int(value)
        return min(self.high, max(self.low, float(f"{value:.{_DIGITS}g}")))


@dataclass(frozen=True, slots=True)
class Choices:
    options: tuple[Any, ...]

    def __str__(self) -> str:
        return ", ".join(map(plain.dump, self.options))

    @property
    def size(self) -> float:
        return len(self.options)

    @property
    def first(self) -> Any:
        return self.options[0]

    def values(self) -> Iterator[Any]:
        return iter(self.options)

    def holds(self, value: Any) -> bool:
        return any(value == one and type(value) is type(one) for one in self.options)

    def rounded(self, value: Any) -> Any:
        return value


Domain = Range | Choices


@dataclass(frozen=True, slots=True)
class Space:
    """Domains by whole key, such as `train.lr`, in the order in which they were written."""

    domains: Mapping[str, Domain]

    @property
    def size(self) -> float:
        """The number of points; infinite where a range is not of whole numbers."""
        return math.prod(domain.size for domain in self.domains.values())

    def points(self) -> Iterator[Point]:
        """Every point of a finite space."""
        for values in itertools.product(*(domain.values() for domain in self.domains.values())):
            yield dict(zip(self.domains, values, strict=True))

    def nearest(self, job: TuneJob) -> Point:
        """What the config says, and the first value of each domain that does not have it."""
        said = {key: value_at(job, key) for key in self.domains}
        return {key: said[key] if domain.holds(said[key]) else domain.first for key, domain in self.domains.items()}

    def holds(self, job: TuneJob) -> bool:
        """Whether the config as it stands is one of its points."""
        return all(domain.holds(value_at(job, key)) for key, domain in self.domains.items())

    def in_words(self) -> dict[str, str]:
        return {short(key): str(domain) for key, domain in self.domains.items()}


def plan_of(job: TuneJob) -> dict[str, Any]:
    """What would be searched, as plain data."""
    space = space_of(job)
    return {
        "space": [f"{key} {words}" for key, words in space.in_words().items()],
        "num_points": int(space.size) if math.isfinite(space.size) else None,
        "num_trials": int(min(space.size, job.tune.trials)),
        "metric": "auto (the one that decides)" if job.tune.metric == "auto" else job.tune.metric,
        "your config": [
            f"{short(key)} {value_at(job, key)}" for key in space.domains if value_at(job, key) is not UNSAID
        ],
        "pruner": job.tune.pruner,
        "num_processes": job.tune.processes,
    }


def space_of(job: TuneJob) -> Space:
    """The space of the `tune` section, else the default one.

    Raises:
        ConfigError: A key is unknown, or cannot be searched; a range is empty; a value does not fit its key.
    """
    written = dict(_entries(job.tune.space)) or default_space(job)
    domains: dict[str, Domain] = {}
    for key, text in written.items():
        whole, domain = _domain(key, text)
        if whole in domains:
            raise ConfigError(f"`{SECTION}` gives `{whole}` twice", hint=f"leave out `{short(whole)}` or `{whole}`")
        domains[whole] = domain
    return Space(domains)


def that_fits(space: Space, job: TuneJob, num_rows: int) -> Space:
    """The space without batches that are larger than the training split, if nobody asked for them.

    Raises:
        ConfigError: Somebody did.
    """
    key = "train.batch_size"
    domain = space.domains.get(key)
    if domain is None:
        return space
    largest = domain.high if not isinstance(domain, Choices) else max(domain.options)
    if largest <= num_rows:
        return space
    fitting = [size for size in domain.values() if size <= num_rows]
    if job.tune.space or len(fitting) < 2:
        raise ConfigError(
            f"`tune.space` has a `{key}` of {largest}, but the training split has {num_rows} samples",
            hint=f"search `space.batch_size={max(1, num_rows // 16)},{max(2, num_rows // 4)}`",
        )
    return Space({**space.domains, key: Choices(tuple(fitting))})


def default_space(job: TuneJob) -> dict[str, str]:
    if job.train.optimizer == "sgd":
        return {"train.lr": "1e-3..1.0:log", "train.batch_size": "32,64,128,256", "train.momentum": "0.5..0.99"}
    return {
        "train.lr": "1e-4..3e-2:log",
        "train.batch_size": "32,64,128,256",
        "train.weight_decay": "1e-4..1e-1:log",
    }


def _entries(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _domain(key: str, written: Any) -> tuple[str, Domain]:
    shown = written if isinstance(written, str) else "" if written is None else plain.dump(written)
    given = f"`{SECTION}.{key}={shown}`"
    found = _RANGE.match(written) if isinstance(written, str) else None
    if found:
        return _range(key, given, *found.groups())
    options = _options(written)
    if not options:
        raise ConfigError(f"{given} is empty", hint=f"give a range, `{key}=1..10`, or choices, `{key}=1,2,4`")
    read = [_read(key, option) for option in options]
    whole, values = read[0][0], tuple(value for _, value in read)
    if len(values) == 1:
        value = plain.dump(values[0])
        raise ConfigError(f"{given} leaves nothing to search", hint=f"give several choices, or set `{whole}={value}`")
    texts = [plain.dump(value) for value in values]
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise ConfigError(f"{given} holds `{twice}` twice", hint="give each choice once")
    return whole, Choices(values)


def _range(key: str, given: str, low_text: str, high_text: str, scale: str | None) -> tuple[str, Range]:
    (whole, low), (_, high) = _read(key, low_text), _read(key, high_text)
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)):
        raise ConfigError(f"{given} is no range of numbers", hint=f"give numbers, or choices: `{key}=a,b`")
    if scale not in (None, "log"):
        raise ConfigError(f"{given} has the unknown scale `{scale}`", hint="write `:log`, or leave it out")
    if low == high:
        raise ConfigError(f"{given} leaves nothing to search", hint=f"give a wider range, or set `{whole}={low_text}`")
    if low > high:
        raise ConfigError(f"{given} is empty: it ends before it begins", hint=f"write `{high_text}..{low_text}`")
    if scale and low <= 0:
        raise ConfigError(f"{given} cannot be logarithmic from `{low_text}`", hint="begin above 0, or leave `:log` out")
    if isinstance(low, int) != isinstance(high, int):
        low, high = float(low), float(high)
    return whole, Range(low, high, scale == "log")


def _options(written: Any) -> Sequence[Any]:
    if isinstance(written, list | tuple):
        return written
    if not isinstance(written, str):
        return [] if written is None else [written]
    try:
        return plain.scalars(f"[{written}]")
    except ValueError:
        return [written]


def _read(key: str, value: Any) -> tuple[str, Any]:
    """The whole key, and one of its values as the config would have it."""
    whole, checked = read_one(TuneJob, "train", Setting(key, value, SECTION, typed=not isinstance(value, str)))
    _check_searchable(key, whole)
    return whole, checked


def _check_searchable(key: str, whole: str) -> None:
    if whole.startswith("data.") and not whole.startswith(_SAME_SAMPLES):
        raise ConfigError(
            f"`{SECTION}.{key}` cannot be searched: it would change the samples that trials are judged on",
            hint=f"set `{whole}` for all trials",
        )
    if whole.startswith(("name", "tune.", "hydra.")) or whole in _NOT_THE_MODEL:
        raise ConfigError(
            f"`{SECTION}.{key}` cannot be searched: it makes no better model", hint=f"set `{whole}` for all trials"
        )
