"""Where the requests to a service go: one address for it, and one for each tag."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mltool.integrations.google.standins.containers import Fleet
from mltool.integrations.google.standins.iam import Policies
from mltool.integrations.google.standins.proxy import Proxy, Shares

_TIMEOUT_S = 300.0


class Front:
    """The addresses of all services."""

    def __init__(self, services: Mapping[str, Any], policies: Policies, fleet: Fleet) -> None:
        self._services, self._policies, self._fleet = services, policies, fleet
        self._proxies: dict[tuple[str, str], Proxy] = {}
        self._lock = threading.Lock()

    def open(self, name: str, tag: str = "") -> str:
        """The address of a service, or of one of its tags."""
        with self._lock:
            if (name, tag) not in self._proxies:
                self._proxies[name, tag] = Proxy(
                    lambda: self._shares(name, tag),
                    self._fleet.reach,
                    lambda headers: self._is_allowed(name, headers),
                    lambda: self._timeout_s(name),
                )
            return self._proxies[name, tag].url

    def close_tags(self, name: str, kept: set[str]) -> None:
        self._close([key for key in self._proxies if key[0] == name and key[1] and key[1] not in kept])

    def close(self, name: str) -> None:
        self._close([key for key in self._proxies if key[0] == name])

    def stop(self) -> None:
        self._close(list(self._proxies))

    def _close(self, keys: list[tuple[str, str]]) -> None:
        with self._lock:
            closed = [self._proxies.pop(key) for key in keys]
        for proxy in closed:
            proxy.stop()

    @staticmethod
    def serving(service: Any) -> set[str]:
        """The revisions that must run: those that get requests."""
        return {
            f"{service.name}/revisions/{status.revision}"
            for status in service.traffic_statuses
            if status.percent or status.tag
        }

    def _shares(self, name: str, tag: str) -> Shares:
        service = self._services.get(name)
        statuses = list(service.traffic_statuses) if service else []
        if tag:
            return [(f"{name}/revisions/{one.revision}", 100) for one in statuses if one.tag == tag]
        return [(f"{name}/revisions/{one.revision}", one.percent) for one in statuses]

    def _is_allowed(self, name: str, headers: Mapping[str, str]) -> bool:
        """Whose token it is cannot be told without Google: any will do."""
        service = self._services.get(name)
        if service is None or service.invoker_iam_disabled or self._policies.is_open(name):
            return True
        given = {key.lower(): value.split() for key, value in headers.items()}
        tokens = (given.get(name, []) for name in ("authorization", "x-serverless-authorization"))
        return any(len(words) == 2 and words[0].lower() == "bearer" for words in tokens)

    def _timeout_s(self, name: str) -> float:
        service = self._services.get(name)
        timeout = service.template.timeout if service else None
        return float(timeout.total_seconds()) if timeout else _TIMEOUT_S
