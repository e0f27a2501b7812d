"""The port: reserved once, then bound again by each process."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zeratul.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# LIMIT: connections waiting to be accepted, for each process.
BACKLOG = 1_024


@contextmanager
def reserved_port(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Hold a port while the server runs: the address as a number, and the port (0: a free one).

    The socket held here never listens, so it takes no connections; it keeps the port from going
    to somebody else while workers come and go.

    Raises:
        InputError: no such host, not ours to bind, or somebody listens there.
    """
    family, address = _resolve(host)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # SO_REUSEPORT would let two servers of one user share a port unnoticed, so first without.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(probe, address, port)
        port = probe.getsockname()[1]
    with _sharing(family) as held:
        _bind(held, address, port)
        yield address, port


def listening_socket(address: str, port: int) -> socket.socket:
    """One process's own socket on the shared port; not yet listening.

    Raises:
        OSError: it can not be bound.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = _sharing(family)
    try:
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made


def url(address: str, port: int) -> str:
    """Where a client reaches it."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _sharing(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made


def _resolve(host: str) -> tuple[int, str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InputError(f"cannot resolve the host `{host}`", field="host") from error
    family, _, _, _, address = found[0]
    return family, str(address[0])


def _bind(bound: socket.socket, address: str, port: int) -> None:
    try:
        bound.bind((address, port))
    except OSError as error:
        raise InputError(
            f"cannot listen on {address} port {port}: {error.strerror or error}", field="port"
        ) from error
