"""A TCP proxy in front of an API server, which tests can cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


class Connection:
    """The proxy between kubectl and the API server."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None
        self._cut = threading.Event()

    def open(self, cluster: dict[str, Any]) -> None:
        """Starts the proxy, and writes its address to the cluster of a kubeconfig."""
        parts = urlsplit(cluster["server"])
        target = (parts.hostname or "", parts.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        cluster["server"] = f"{parts.scheme}://127.0.0.1:{port}"
        cluster.setdefault("tls-server-name", parts.hostname)
        threading.Thread(target=self._accept, args=(target,), daemon=True).start()

    def close(self) -> None:
        """Stops the proxy."""
        if self._listener:
            self._listener.close()

    @contextlib.contextmanager
    def lost(self) -> Iterator[None]:
        """Refuses all connections during the block."""
        self._cut.set()
        try:
            yield
        finally:
            self._cut.clear()

    def _accept(self, target: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            while self._listener:
                client, _ = self._listener.accept()
                if self._cut.is_set():
                    client.close()
                    continue
                server = socket.create_connection(target)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self._cut.is_set() and (data := source.recv(65536)):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
