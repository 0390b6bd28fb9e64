"""Samples a second of a training by two processes, against one process with one thread and one with two.

    python tests/benchmarks/bench_processes.py [--json OUT] [--quick]

The network is mltool's own ResNet, narrowed so that a step takes about a tenth of a second. All variants train on the
same samples in the same batches by mltool's loop; two processes share each batch and add up their gradients after it.
`DDP by hand` does the same with torch's DistributedDataParallel, as its documentation shows.

The second table is one validation: divided among the processes, or by the first while the other waits.

The processes are started once and take turns; whoever does not have a turn waits without using the processor. What
counts is the time on the wall, because the second core is what is paid for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from _harness import Cost, cost_of, interleave, now, ratio, start
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mltool.modeling.config import TrainConfig
from mltool.modeling.networks.resnet import ResNet
from mltool.modeling.tasks.task import Task
from mltool.modeling.training.evaluation import evaluate
from mltool.modeling.training.feed import MemoryFeed
from mltool.modeling.training.loop import Fit
from mltool.modeling.training.ranks import Alone, Group

BATCH_SIZE, PIXELS = 64, 32
ONE, ONE_BY_TWO, TWO, DDP = "1 process, 1 thread", "1 process, 2 threads", "2 processes", "2 processes, DDP by hand"
DIVIDED, BY_FIRST = "validation, divided", "validation, by the first"


def samples(num_batches: int, seed: int) -> MemoryFeed:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randn(num_batches * BATCH_SIZE, 3, PIXELS, PIXELS, generator=generator)
    return MemoryFeed([pictures], torch.randint(0, 10, (len(pictures),), generator=generator))


def fit_of(num_batches: int, num_validation: int, folder: Path) -> Fit:
    torch.manual_seed(0)
    task = Task("classification", F.cross_entropy, "cross_entropy", "logits", "accuracy")
    config = TrainConfig(epochs=1, batch_size=BATCH_SIZE, checkpoint_every_s=1e9)
    ranks = Group() if dist.is_initialized() else Alone()
    train, validation = samples(num_batches, 1), samples(num_validation, 2)
    return Fit(ResNet(3, True, 10, 32, 1), task, train, validation, config, folder, ranks=ranks)


def train(num_batches: int, folder: Path) -> Cost:
    """An epoch, without the checkpoint at its end."""
    fit, ended = fit_of(num_batches, 0, folder), list[Cost]()
    fit.on_epoch = lambda metrics: ended.append(now())
    started = now()
    fit.run()
    return ended[0] - started


def train_by_hand(num_batches: int, folder: Path) -> Cost:
    fit = fit_of(num_batches, 0, folder)
    started = now()
    network: nn.Module = DistributedDataParallel(fit.network, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    (pictures,), target = fit.train.inputs, fit.train.target  # type: ignore[attr-defined]
    rank, size = dist.get_rank(), dist.get_world_size()
    for batch in torch.randperm(len(target), generator=torch.Generator().manual_seed(0)).split(BATCH_SIZE):
        own = batch[rank::size]
        F.cross_entropy(network(pictures[own]), target[own]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return now() - started


def validate(num_batches: int, folder: Path) -> Cost:
    fit = fit_of(1, num_batches, folder)
    return cost_of(lambda: evaluate(fit, fit.validation))


def validate_by_first(num_batches: int, folder: Path) -> Cost:
    fit = fit_of(1, num_batches, folder)
    fit.ranks = Alone()
    started = now()
    if dist.get_rank() == 0:
        evaluate(fit, fit.validation)
    dist.barrier()
    return now() - started


WORK: Mapping[str, Callable[[int, Path], Cost]] = {
    ONE: train, ONE_BY_TWO: train, TWO: train, DDP: train_by_hand, DIVIDED: validate, BY_FIRST: validate_by_first,
}  # fmt: skip


def serve(rank: int, size: int, num_threads: int, num_batches: int, folder: Path) -> None:
    """Do what standard input says, line by line, and answer with what it cost this process."""
    torch.set_num_threads(num_threads)
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    for line in sys.stdin:
        cost = WORK[line.strip()](num_batches, folder)
        print(cost.wall_s, cost.cpu_s, flush=True)


class Crew:
    """Processes that work together whenever they are asked to."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def cost(self, work: str) -> Cost:
        """The time of the slowest, and what all of them took of the processor."""
        for process in self.processes:
            assert process.stdin is not None
            print(work, file=process.stdin, flush=True)
        costs = []
        for process in self.processes:
            assert process.stdout is not None
            costs.append(Cost(*map(float, process.stdout.readline().split())))
        return Cost(max(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs))


@contextmanager
def crew(size: int, num_threads: int, num_batches: int) -> Iterator[Crew]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads), "GLOO_SOCKET_IFNAME": "lo"}
        yield Crew([
            stack.enter_context(subprocess.Popen(
                [sys.executable, __file__, "serve", *map(str, (rank, size, num_threads, num_batches)), folder],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            ))
            for rank in range(size)
        ])  # fmt: skip


def main() -> None:
    report = start(__file__, __doc__)
    rounds, num_batches = (2, 3) if report.quick else (9, 8)
    with crew(1, 1, num_batches) as one, crew(1, 2, num_batches) as by_two, crew(2, 1, num_batches) as two:
        crews = {ONE: one, ONE_BY_TWO: by_two, TWO: two, DDP: two}
        costs = interleave({name: lambda name=name: crews[name].cost(name) for name in crews}, rounds)  # type: ignore[misc]
        report.costs(f"{num_batches} batches of {BATCH_SIZE} pictures", costs, ONE)
        rows = [
            {"variant": name, "speed-up": ratio(costs, ONE, name, of="wall_s"),
             "samples a second": num_batches * BATCH_SIZE / sorted(c.wall_s for c in costs[name])[rounds // 2]}
            for name in costs
        ]  # fmt: skip
        report.table("throughput (speed-up: median of the ratios within a round)", rows)
        validations = {name: lambda name=name: two.cost(name) for name in (DIVIDED, BY_FIRST)}  # type: ignore[misc]
        report.costs(f"validation of {num_batches * BATCH_SIZE} pictures", interleave(validations, rounds), BY_FIRST)
    report.goal("2 processes to 1 process with 1 thread", ratio(costs, ONE, TWO, of="wall_s"), at_least=1.6)
    report.goal("2 processes to DDP by hand", ratio(costs, DDP, TWO, of="wall_s"), at_least=0.95)
    report.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*map(int, sys.argv[2:6]), Path(sys.argv[6]))  # type: ignore[misc]
    else:
        main()
