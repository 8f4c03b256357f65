"""Remotes for tests: each kind's server starts once, when the first test asks for it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator

import pytest

from art.backend import Backend
from art.remote import open_backend
from tests.remote.proxy import Proxy, proxy_before
from tests.remote.servers import SERVERS, Service

Services = Callable[[str], Service]
_ATTEMPTS = 3


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Return a function that gives the service of a kind, which runs until the tests end."""
    started: dict[str, Service] = {}
    with contextlib.ExitStack() as stack:

        def start(kind: str) -> Service:
            for attempts_left in reversed(range(_ATTEMPTS)):
                if kind in started:
                    break
                folder = tmp_path_factory.mktemp(kind)
                try:
                    started[kind] = stack.enter_context(SERVERS[kind](folder))
                except AssertionError:  # another process took the port meanwhile
                    if not attempts_left:
                        raise
            return started[kind]

        yield start


Opener = Callable[..., Backend]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Return a function that opens a folder of a service, a new one unless it is named."""
    opened = []

    def connect(
        service: Service, folder: str | None = None, *, single_writer: bool = False
    ) -> Backend:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, service.filled(value))
        options = {name: service.filled(value) for name, value in service.options.items()}
        url = f"{service.filled(service.url)}/{folder or uuid.uuid4().hex}"
        backend = open_backend(url, options, single_writer=single_writer)
        opened.append(backend)
        return backend

    yield connect
    for backend in opened:
        if hasattr(backend, "close"):
            backend.close()


Proxied = Callable[[Service], Proxy]


@pytest.fixture
def proxied() -> Iterator[Proxied]:
    """Return a function that starts a proxy before a service."""
    with contextlib.ExitStack() as stack:
        yield lambda service: stack.enter_context(proxy_before(service.port))
