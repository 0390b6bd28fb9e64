from __future__ import annotations

from collections.abc import Iterator

import pytest

from mltool.integrations.google.standins.cloud import StandIns
from mltool.integrations.google.standins.faults import Faults
from standins_testing import ADDRESS, Clients


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[StandIns]:
    with StandIns() as running:
        yield running


@pytest.fixture(scope="module")
def _clients(stand_ins: StandIns) -> Iterator[Clients]:
    clients = Clients(stand_ins)
    clients.make_repository()
    yield clients
    clients.close()


@pytest.fixture
def clients(_clients: Clients) -> Iterator[Clients]:
    yield _clients
    _clients.stand_ins.faults = Faults()


@pytest.fixture(scope="module")
def image(_clients: Clients) -> str:
    """An image that is in the registry, by its digest."""
    return _clients.build(f"{ADDRESS}/iris:1")
