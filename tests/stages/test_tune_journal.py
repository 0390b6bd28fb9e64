"""Trials are handed out once, however many ask at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mltool.stages.tune.journal import Journal, mend
from mltool.stages.tune.space import Choices, Range, Space

SPACE = Space({"train.lr": Range(1e-4, 1e-1, log=True), "train.batch_size": Choices((16, 32))})


def journal(path: Path, *, seed: int = 0, warm_up: int | None = None) -> Journal:
    return Journal(path, SPACE, minimize=True, seed=seed, warm_up=warm_up, several=True)


def test_those_who_ask_at_once_get_no_trial_too_many(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    journal(path)  # as the command does before its processes

    def work(_: int) -> int:
        own, done = journal(path), 0
        while (trial := own.next(24)) is not None:
            trial.complete(trial.point["train.lr"], 0.0)
            done += 1
        return done

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(work, range(6)))
    trials = journal(path).trials()
    assert sum(counts) == len(trials) == 24
    assert sorted(trial.number for trial in trials) == [*range(24)]


def test_what_is_cut_off_is_tried_again_and_what_died_is_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    first = journal(path)
    assert first.plan({"train.lr": 0.01, "train.batch_size": 16}, 3) == 3
    begun = first.next(3)
    assert begun is not None
    again = journal(path)
    again.cut_off()
    assert again.trials() == []
    repeated = again.next(3)
    assert repeated is not None
    assert repeated.point == begun.point == {"train.lr": 0.01, "train.batch_size": 16}
    assert again.died("was stopped by SIGKILL") == 1
    assert [(trial.outcome, trial.reason) for trial in again.trials()] == [
        ("failed", "its process was stopped by SIGKILL")
    ]
    following = again.next(3)
    assert following is not None
    assert following.point != begun.point


def test_what_is_drawn_depends_on_the_seed_and_on_what_is_known(tmp_path: Path) -> None:
    def points(name: str, seed: int, *, reopen: bool) -> list[dict[str, float]]:
        path = tmp_path / name
        own, drawn = journal(path, seed=seed), []
        for _ in range(13):  # past the random ones
            own = journal(path, seed=seed) if reopen else own
            trial = own.next(13)
            assert trial is not None
            drawn.append(trial.point)
            trial.complete(trial.point["train.lr"], 0.0)
        return drawn

    once = points("once", 1, reopen=False)
    assert points("again", 1, reopen=True) == once
    assert points("other", 2, reopen=False) != once


def test_what_is_drawn_does_not_depend_on_how_often_the_search_was_stopped(tmp_path: Path) -> None:
    def points(name: str, *, stops: int) -> list[dict[str, float]]:
        own, drawn = journal(tmp_path / name), []
        for number in range(14):  # past the random ones
            for _ in range(stops if number in {3, 11} else 0):
                assert own.next(14) is not None  # which is cut off
                own = journal(tmp_path / name)
                own.cut_off()
            trial = own.next(14)
            assert trial is not None
            drawn.append(trial.point)
            trial.complete(trial.point["train.lr"], 0.0)
        return drawn

    once = points("never", stops=0)
    assert points("once", stops=1) == once
    assert points("thrice", stops=3) == once


def test_mending_takes_away_half_a_line_and_the_lock_of_a_dead_process(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    journal(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"wor')
    Path(f"{path}.lock").symlink_to(path)
    mend(path)
    assert path.read_bytes() == whole
    assert not Path(f"{path}.lock").is_symlink()
    mend(tmp_path / "nothing")
