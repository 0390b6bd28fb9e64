"""A disk that is full, read-only or taken away: serving goes on, records are counted, and come back with the room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from records_testing import on_own_disk, warnings_heard

from mltool.records.prediction_log import PredictionLog

SETUP = """
import sqlite3, subprocess, sys, time
from pathlib import Path
import numpy as np
from records_testing import append, wait_until, warnings_heard
from mltool.core.errors import MltoolError
from mltool.records.labels import add_labels, labels
from mltool.records.prediction_log import PredictionLog
from mltool.records.reading import count, read

disk = Path(sys.argv[1])
folder = disk / "predictions"

def fill():
    try:
        with (disk / "filler").open("ab", buffering=0) as filler:
            while filler.write(b"0" * 4096):
                pass
    except OSError:
        pass

def ids():
    return [record.request_id for record in read(folder)]

def large(number):
    append(log, number, inputs={"image": np.zeros(20_000, np.uint8)}, outputs=None)
"""
FULL = "cannot be written, so records will be dropped: there is no space left"


def test_on_a_full_disk_records_wait_and_are_then_dropped_and_with_room_they_are_written_again(tmp_path: Path) -> None:
    code = """
with warnings_heard() as heard:
    log = PredictionLog(folder, 0, capacity_records=20)
    append(log, 0)
    wait_until(lambda: log.num_written == 1)
    fill()
    for number in range(1, 101):
        large(number)
        time.sleep(0.005)
    print(log.num_dropped > 0, log.num_written < 100)
    (disk / "filler").unlink()
    wait_until(lambda: log.num_waiting == 0)
    written = log.num_written
    for number in range(200, 210):
        append(log, number)
    log.close()
print(*(text.partition("sqlite` ")[2] for text in heard), sep="; ")
found = ids()
print(found[0], found[-1], len(found) == log.num_written, log.num_written == written + 10)
print(log.num_written + log.num_dropped)
print(sqlite3.connect(log.path).execute("PRAGMA integrity_check").fetchone()[0], count(folder) == len(found))
"""
    first, heard, *rest = on_own_disk(tmp_path / "disk", SETUP + code)
    assert first == "True True"
    assert heard.startswith(f"{FULL}; is written again; ")
    assert rest == ["request-0 request-209 True True", "111", "ok True"]


def test_a_disk_that_was_full_from_the_start_is_no_hindrance(tmp_path: Path) -> None:
    code = """
fill()
with warnings_heard() as heard:
    log = PredictionLog(folder, 0)
    append(log, 0)
    wait_until(lambda: bool(heard))
    (disk / "filler").unlink()
    wait_until(lambda: log.num_written == 1)
    log.close()
print(len(heard), log.num_dropped, *ids())
"""
    assert on_own_disk(tmp_path / "disk", SETUP + code) == ["2 0 request-0"]


def test_one_record_that_can_never_be_written_does_not_stop_the_others(tmp_path: Path) -> None:
    code = """
with warnings_heard() as heard:
    log = PredictionLog(folder, 0, capacity_bytes=3_000_000)
    append(log, 0)
    wait_until(lambda: log.num_written == 1)
    append(log, 1, inputs={"image": np.zeros(2_900_000, np.uint8)}, outputs=None)
    wait_until(lambda: bool(heard))
    number = 1
    while log.num_written < 3:
        number += 1
        append(log, number, inputs={"image": np.zeros(150_000, np.uint8)}, outputs=None)
        time.sleep(0.05)
    log.close()
print("request-1" in ids(), log.num_written + log.num_dropped == number + 1)
"""
    assert on_own_disk(tmp_path / "disk", SETUP + code) == ["False True"]


def test_a_read_only_disk_drops_records_and_says_so_once(tmp_path: Path) -> None:
    code = """
with warnings_heard() as heard:
    log = PredictionLog(folder, 0)
    append(log, 0)
    log.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for place in (folder, disk / "elsewhere"):
        log = PredictionLog(place, 0)
        for number in range(1, 301):
            append(log, number)
            wait_until(lambda: number % 100 or len(heard) >= (1 if place is folder else 2))
        log.close()
        print(log.num_written, log.num_dropped)
print(*(text.partition("dropped: ")[2] for text in heard), sep="; ")
print(*ids(), count(folder))
"""
    elsewhere = tmp_path / "disk" / "elsewhere"
    assert on_own_disk(tmp_path / "disk", SETUP + code) == [
        "0 300",
        "0 300",
        f"it cannot be opened for writing; Read-only file system (`{elsewhere}`)",
        "request-0 1",
    ]


def test_labels_that_find_no_room_are_an_error_and_those_that_were_there_stay(tmp_path: Path) -> None:
    code = """
add_labels(disk, {"a": 1})
fill()
try:
    add_labels(disk, {f"request-{number}": "cat" for number in range(20_000)})
except MltoolError as error:
    print(error.message.replace(str(disk), "disk"), error.exit_code)
print({name: label.value for name, label in labels(disk).items()})
"""
    assert on_own_disk(tmp_path / "disk", SETUP + code) == [
        "cannot write to `disk/labels.sqlite`: there is no space left 1",
        "{'a': 1}",
    ]


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are a matter of POSIX systems")
def test_a_file_over_the_limit_of_the_system_drops_records(tmp_path: Path) -> None:
    code = f"""
import resource
sys.path[:0] = {sys.path!r}
"""
    body = """
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
with warnings_heard() as heard:
    log = PredictionLog(folder, 0)
    for number in range(100):
        large(number)
        wait_until(lambda: log.num_waiting < 5 or bool(heard))
    log.close()
print(log.num_written > 0, log.num_dropped > 0, log.num_written + log.num_dropped)
print(heard[0].partition("dropped: ")[2])
print(count(folder) == log.num_written)
"""
    whole = f"import sys\n{code}{SETUP}{body}"
    done = subprocess.run([sys.executable, "-c", whole, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True True 100", "the disk refused it", "True"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can make another")
def test_a_folder_that_cannot_be_made_drops_records() -> None:
    with warnings_heard() as heard:
        log = PredictionLog(Path("/proc/nothing/here"), 0)
        log.append("a", 0.0, "shop", "", 200, 1.0)
        log.close()
    assert (log.num_written, log.num_dropped) == (0, 1)
    assert heard[0].endswith("records will be dropped: No such file or directory (`/proc/nothing`)")


@pytest.mark.parametrize("place", ["", "worker-0.sqlite"])
def test_something_else_in_its_place_drops_records(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "predictions"
    if place:
        (folder / place).mkdir(parents=True)
    else:
        folder.write_bytes(b"mine")
    with warnings_heard() as heard:
        log = PredictionLog(folder, 0)
        log.append("a", 0.0, "shop", "", 200, 1.0)
        log.close()
    assert (log.num_written, log.num_dropped, len(heard)) == (0, 1, 1)
    assert folder.is_dir() if place else folder.read_bytes() == b"mine"
