"""Commits and folders out of `.git`, read as files: `git` itself would run what a stranger's config tells it to.

The formats are those of gitformat-pack(5): loose objects, and packs with an index of version 2.
"""

from __future__ import annotations

import mmap
import stat
import struct
import zlib
from functools import cached_property
from pathlib import Path

MAX_OBJECT_BYTES = 8 << 20
_MAX_DELTAS = 200
_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA, _REF_DELTA = 6, 7

Object = tuple[str, bytes]


class Objects:
    """The object store below one `objects` folder and those that it borrows from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> Object | None:
        """Kind and content of an object; None if it is not here, damaged or too large."""
        try:
            for folder in self._folders:
                path = folder / name[:2] / name[2:]
                if is_file(path):
                    return _loose(path)
            for pack in self._packs:
                offset = pack.find(bytes.fromhex(name))
                if offset is not None:
                    return pack.read(offset, self)
        except (OSError, ValueError, IndexError, RecursionError, struct.error, zlib.error):
            pass
        return None

    @cached_property
    def _folders(self) -> list[Path]:
        alternates = self.folder / "info" / "alternates"
        lines = alternates.read_text(errors="replace").splitlines() if is_file(alternates) else []
        return [self.folder, *(self.folder / line for line in lines[:8] if line and not line.startswith("#"))]

    @cached_property
    def _packs(self) -> list[_Pack]:
        indexes = [index for folder in self._folders for index in sorted((folder / "pack").glob("pack-*.idx"))[:200]]
        return [_Pack(index) for index in indexes if is_file(index) and is_file(index.with_suffix(".pack"))]


def is_file(path: Path) -> bool:
    """Whether it is a plain file, so that opening it cannot wait for anybody."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _inflate(content: bytes | memoryview, size: int) -> bytes:
    if size > MAX_OBJECT_BYTES:
        raise ValueError("the object is too large")
    return zlib.decompressobj().decompress(content, size) if size else b""


def _loose(path: Path) -> Object:
    with path.open("rb") as stream:
        content = stream.read(MAX_OBJECT_BYTES)
    head, _, body = zlib.decompressobj().decompress(content, MAX_OBJECT_BYTES).partition(b"\0")
    return head.partition(b" ")[0].decode("ascii"), body


class _Pack:
    def __init__(self, index: Path) -> None:
        self._index_path = index

    @cached_property
    def _index(self) -> mmap.mmap:
        return _mapped(self._index_path)

    @cached_property
    def _pack(self) -> mmap.mmap:
        return _mapped(self._index_path.with_suffix(".pack"))

    def find(self, name: bytes) -> int | None:
        """Where in the pack an object begins."""
        index = self._index
        if index[:8] != b"\xfftOc\0\0\0\x02":
            return None
        fanout, names = 8, 8 + 256 * 4
        (total,) = struct.unpack_from(">I", index, fanout + 255 * 4)
        low = struct.unpack_from(">I", index, fanout + (name[0] - 1) * 4)[0] if name[0] else 0
        (high,) = struct.unpack_from(">I", index, fanout + name[0] * 4)
        while low < high:
            middle = (low + high) // 2
            found = index[names + middle * 20 : names + middle * 20 + 20]
            if found == name:
                offsets = names + total * 24
                (offset,) = struct.unpack_from(">I", index, offsets + middle * 4)
                if offset & 0x80000000:
                    (offset,) = struct.unpack_from(">Q", index, offsets + total * 4 + (offset & 0x7FFFFFFF) * 8)
                return int(offset)
            if found < name:
                low = middle + 1
            else:
                high = middle
        return None

    def read(self, offset: int, objects: Objects) -> Object | None:
        deltas: list[bytes] = []
        while len(deltas) <= _MAX_DELTAS:
            kind, size, start = self._head(offset)
            if kind in _KINDS:
                content = _inflate(memoryview(self._pack)[start : start + 2 * size + 1024], size)
                for delta in reversed(deltas):
                    content = _patched(content, delta)
                return _KINDS[kind], content
            base: Object | None = None
            if kind == _OFFSET_DELTA:
                distance, start = self._distance(start)
                next_offset: int | None = offset - distance
            else:
                name = self._pack[start : start + 20]
                start += 20
                next_offset = self.find(name)
                base = objects.read(name.hex()) if next_offset is None else None
            deltas.append(_inflate(memoryview(self._pack)[start : start + 2 * size + 1024], size))
            if next_offset is None or next_offset < 0:
                if base is None:
                    return None
                content = base[1]
                for delta in reversed(deltas):
                    content = _patched(content, delta)
                return base[0], content
            offset = next_offset
        return None

    def _head(self, at: int) -> tuple[int, int, int]:
        """Kind, unpacked size, and where the content begins."""
        byte = self._pack[at]
        kind, size, shift = byte >> 4 & 7, byte & 15, 4
        while byte & 0x80 and shift < 64:
            at += 1
            byte = self._pack[at]
            size |= (byte & 0x7F) << shift
            shift += 7
        return kind, size, at + 1

    def _distance(self, at: int) -> tuple[int, int]:
        byte = self._pack[at]
        distance, left = byte & 0x7F, 10
        while byte & 0x80 and left:
            at += 1
            byte = self._pack[at]
            distance = (distance + 1) << 7 | byte & 0x7F
            left -= 1
        return distance, at + 1


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _patched(base: bytes, delta: bytes) -> bytes:
    """Apply a delta: a list of what to copy from the base and what to insert."""
    _, at = _number(delta, 0)
    size, at = _number(delta, at)
    if size > MAX_OBJECT_BYTES:
        raise ValueError("the object is too large")
    parts, length = [], 0
    while at < len(delta):
        command = delta[at]
        at += 1
        if command & 0x80:
            numbers = []
            for bits in ((1, 2, 4, 8), (16, 32, 64)):
                number = 0
                for shift, bit in enumerate(bits):
                    if command & bit:
                        number |= delta[at] << 8 * shift
                        at += 1
                numbers.append(number)
            offset, count = numbers[0], numbers[1] or 0x10000
            part = base[offset : offset + count]
        else:
            part = delta[at : at + command]
            at += command
            if not command:
                raise ValueError("a delta of a later version")
        parts.append(part)
        length += len(part)
        if length > size:
            raise ValueError("a delta is damaged")
    return b"".join(parts)


def _number(text: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = text[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, at
