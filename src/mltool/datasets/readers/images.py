"""A folder of pictures, one folder a class."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mltool.core.errors import DataError
from mltool.core.events import track
from mltool.datasets.classes import in_wanted_order
from mltool.datasets.config import DataConfig, check_knobs
from mltool.datasets.readers import pixels
from mltool.datasets.schema import Column, ImageSpec, Schema, Target, TensorSpec
from mltool.datasets.source import SPLIT_WORDS, Batch, Damage, Rows

# Axes: N rows, C channels, H height, W width

KNOBS = ("image_size", "channels")
"""Of the `data` section, beside those that every source reads."""
NUM_THREADS = 2
"""Threads that decode: 1.7 to 1.9 times as fast as one on PNG and on photographs, no faster on JPEGs of 96x96."""

MAX_BATCH_BYTES = 16 * 2**20
MAX_BATCH_ROWS = 4096
LARGE_PIXELS = 512 * 512
"""Pixels a picture above which the notes recommend a smaller size."""


@dataclass(slots=True)
class ImageSource:
    """Pictures whose headers were read; see `mltool.datasets.source.Source`."""

    root: Path
    files: list[str]
    """Paths relative to `root`, with forward slashes, in the order of the rows."""

    labels: list[str]
    classes: tuple[str, ...]
    image: ImageSpec
    num_rows: int
    stratify_N: npt.NDArray[np.int64] | None
    splits: Mapping[str, Rows]
    notes: list[str]
    damage: Damage
    fingerprint: str
    _reported: set[str] = field(default_factory=set)

    def schema(self, train_rows: Rows) -> Schema:
        del train_rows  # the classes are the folders
        if len(set(self.labels)) < 2:
            raise DataError(
                f"`{self.root}` has pictures of one class only, `{self.labels[0]}`",
                hint="put the pictures of each class into a folder of its own, such as `cats/1.jpg` and `dogs/1.jpg`",
            )
        image = self.image
        return Schema(
            columns=(Column("image", "image"),),
            inputs=(TensorSpec("image", "uint8", (image.channels, image.height, image.width)),),
            target=Target("label", "class", self.classes),
            image=image,
        )

    def estimated_bytes(self) -> int:
        return self.num_rows * (self.image.channels * self.image.height * self.image.width + 8)

    def batches(self, rows: Rows, schema: Schema) -> Iterator[Batch]:
        spec = schema.image or self.image
        code_of = {name: code for code, name in enumerate(schema.target.classes)}
        num_bytes = spec.channels * spec.height * spec.width
        batch_rows = max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // num_bytes))
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for start in range(0, len(rows), batch_rows):
                chosen = rows[start : start + batch_rows].tolist()
                codes_N = np.array([code_of.get(self.labels[row], -1) for row in chosen], dtype=np.int64)
                image_NCHW = np.empty((len(chosen), spec.channels, spec.height, spec.width), dtype=np.uint8)
                # A few parts a thread: one task a picture costs as much as decoding a small one.
                parts = np.array_split(np.arange(len(chosen)), 4 * NUM_THREADS)
                problems = pool.map(lambda part: self._decode(part, chosen, image_NCHW, spec), parts)  # noqa: B023
                reasons = {index: why for found in problems for index, why in found.items()}
                for index in np.flatnonzero(codes_N < 0).tolist():
                    reasons.setdefault(index, f"its class `{self.labels[chosen[index]]}` is not a class of the dataset")
                for index in sorted(reasons):
                    self._report(self.files[chosen[index]], reasons[index])
                keep = np.setdiff1d(np.arange(len(chosen)), np.array(list(reasons), dtype=np.int64))
                if len(keep):
                    yield {"image": image_NCHW[keep] if reasons else image_NCHW}, codes_N[keep]

    def _decode(
        self, part: Iterable[int], chosen: list[int], image_NCHW: npt.NDArray[np.uint8], spec: ImageSpec
    ) -> dict[int, str]:
        """Decode some pictures of a batch into their places; return why the others could not be."""
        reasons = {}
        for index in part:
            try:
                data = (self.root / self.files[chosen[index]]).read_bytes()
                image_NCHW[index] = pixels.decode(data, spec.channels, spec.height, spec.width)
            except (pixels.PictureError, OSError) as error:
                reasons[int(index)] = str(error)
        return reasons

    def _report(self, file: str, why: str) -> None:
        # Rows may be decoded more than once, but a file is damaged once.
        if file not in self._reported:
            self._reported.add(file)
            self.damage.add(file, why)


def read(config: DataConfig, path: Path) -> ImageSource:
    """Read the headers of all pictures below `path`.

    Its first level holds one folder a class; or the folders `train`, `validation` (`val`, `valid`, `dev`) and `test`,
    with the classes below.

    Raises:
        ConfigError: A knob does not go with pictures.
        DataError: There are no pictures, no class folders, or split and class folders are mixed.
    """
    check_knobs(config, KNOBS, "a folder of pictures")
    pictures, others = _walk(path)
    if not pictures:
        raise DataError(
            f"`{path}` holds no pictures ({_endings(others)})" if others else f"`{path}` holds no pictures",
            hint="give a folder with one folder of pictures a class, such as `cats/1.jpg` and `dogs/1.jpg`",
        )
    notes = []
    if others:
        notes.append(f"{len(others)} files that are not pictures were left out: {_endings(others)}")
    depth = 2 if _has_splits(path, pictures) else 1
    unlabelled = [file for file in pictures if file.count("/") < depth]
    if unlabelled:
        notes.append(f"{len(unlabelled)} pictures are in no class folder and were left out, such as `{unlabelled[0]}`")
        pictures = [file for file in pictures if file.count("/") >= depth]
    if not pictures:
        raise DataError(
            f"no picture of `{path}` is in a class folder",
            hint="make one folder a class, such as `cats/1.jpg` and `dogs/1.jpg`",
        )

    headers, damage, fingerprint = _scan(path, pictures)
    files = list(headers)
    if not files:
        where, why = damage.found[0]
        raise DataError(f"none of the {len(pictures)} pictures of `{path}` can be read; the first is `{where}`: {why}")
    labels = [file.split("/")[depth - 1] for file in files]
    splits = _splits(path, files, labels) if depth == 2 else {}
    image = _image_spec(config, list(headers.values()), notes)
    classes = in_wanted_order(tuple(sorted(set(labels))), config.classes)
    code_of = {name: code for code, name in enumerate(classes)}
    notes.insert(0, f"{len(files)} pictures of {len(set(labels))} classes, one folder each{_sizes(splits)}")
    return ImageSource(
        root=path,
        files=files,
        labels=labels,
        classes=classes,
        image=image,
        num_rows=len(files),
        stratify_N=np.array([code_of[label] for label in labels], dtype=np.int64),
        splits=splits,
        notes=notes,
        damage=damage,
        fingerprint=fingerprint,
    )


def _walk(root: Path) -> tuple[list[str], list[str]]:
    """The pictures and the other files below `root`, sorted; hidden files and folders are not seen."""
    pictures: list[str] = []
    others: list[str] = []
    seen: set[str] = set()
    # Links are followed, since class folders are often links; a folder met twice would be an endless loop.
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                is_picture = Path(name).suffix.lower() in pixels.EXTENSIONS
                (pictures if is_picture else others).append(Path(folder, name).relative_to(root).as_posix())
    return sorted(pictures), sorted(others)


def _endings(files: list[str]) -> str:
    counts = Counter(Path(file).suffix.lower() or "no extension" for file in files)
    return ", ".join(f"{count} {ending}" for ending, count in counts.most_common(5))


def _has_splits(root: Path, pictures: list[str]) -> bool:
    """Whether the first level is splits rather than classes."""
    folders = {file.split("/")[0] for file in pictures if "/" in file}
    named = {folder for folder in folders if folder.lower() in SPLIT_WORDS}
    # A folder `train` with pictures right in it, beside `car` and `bus`, is a class.
    nested = {file.split("/")[0] for file in pictures if file.count("/") >= 2}
    if folders == named and any(SPLIT_WORDS[folder.lower()] == "train" for folder in folders):
        return True
    mixed = sorted(named & nested)
    if mixed and folders != named:
        raise DataError(
            f"`{root}` mixes split folders (`{mixed[0]}`) and class folders (`{min(folders - named)}`)",
            hint="keep either splits or classes on the first level",
        )
    return False


def _scan(root: Path, pictures: list[str]) -> tuple[dict[str, pixels.Header], Damage, str]:
    """Read every file once: the headers of the good ones, the damage, and the fingerprint."""
    headers, damage, digest = {}, Damage(num_seen=len(pictures)), hashlib.sha256()
    with track("Reading pictures", len(pictures), "pictures") as progress:
        for file in pictures:
            try:
                data = (root / file).read_bytes()
            except OSError as error:
                damage.add(file, error.strerror or str(error))
                data = b""
            else:
                try:
                    headers[file] = pixels.header(data)
                except pixels.PictureError as error:
                    damage.add(file, str(error))
            digest.update(os.fsencode(file) + f"\0{len(data)}\0".encode() + hashlib.sha256(data).digest())
            progress.advance(1)
    return headers, damage, digest.hexdigest()


def _splits(root: Path, files: list[str], labels: list[str]) -> dict[str, Rows]:
    names = np.array([SPLIT_WORDS[file.split("/")[0].lower()] for file in files])
    splits = {str(name): np.flatnonzero(names == name).astype(np.int64) for name in np.unique(names)}
    known = {labels[row] for row in splits.get("train", [])}
    for row in range(len(files)):
        if labels[row] not in known:
            raise DataError(
                f"the class `{labels[row]}` of `{root / files[row]}` has no pictures to train on",
                hint=f"the classes of the training folder are {', '.join(f'`{name}`' for name in sorted(known))}",
            )
    return splits


def _sizes(splits: Mapping[str, Rows]) -> str:
    counts = ", ".join(f"{name} {len(splits[name])}" for name in ("train", "validation", "test") if name in splits)
    return f"; splits from the folders: {counts}" if counts else ""


def _image_spec(config: DataConfig, headers: list[pixels.Header], notes: list[str]) -> ImageSpec:
    channels = config.channels or max(header.channels for header in headers)
    sizes = Counter((header.width, header.height) for header in headers)
    # Of equally common sizes the smallest, so that the choice does not depend on the order of the files.
    width, height = min(sizes, key=lambda size: (-sizes[size], size[0] * size[1], size))
    colour = "colour" if channels == 3 else "grey"
    if config.image_size:
        num_resized = len(headers) - sizes[config.image_size, config.image_size]
        width = height = config.image_size
        notes.append(f"pictures become {width}x{height} pixels, {colour}; {num_resized} of {len(headers)} are resized")
    elif len(sizes) == 1:
        notes.append(f"all pictures are {width}x{height} pixels; they are read as {colour}")
    else:
        notes.append(
            f"pictures have {len(sizes)} sizes; all become {width}x{height} pixels, the commonest, {colour}; "
            f"another is set with `data.image_size=`"
        )
    if not config.image_size and width * height > LARGE_PIXELS:
        notes.append(f"{width}x{height} is large; `data.image_size=224` trains faster")
    return ImageSpec(channels, height, width)
