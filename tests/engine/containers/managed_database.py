"""A PostgreSQL that no compose file knows, like that of a provider."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.containers.deployable_project import docker, eventually


@dataclass(frozen=True)
class ManagedDatabase:
    """One database server.

    Attributes:
        name: of its container.
        url: of its database `app`, whose password needs quotes.
    """

    name: str
    url: str

    def sql(self, text: str, database: str = "app") -> list[str]:
        """The rows that psql prints."""
        words = ["psql", "--username=app", f"--dbname={database}", "--tuples-only", "--no-align"]
        return docker("exec", self.name, *words, "--quiet", f"--command={text}").split()


@contextmanager
def managed_database() -> Iterator[ManagedDatabase]:
    """A server with a table `note`."""
    name = f"managed-{uuid.uuid4().hex[:8]}"
    words = ["--env=POSTGRES_DB=app", "--env=POSTGRES_USER=app", "--env=POSTGRES_PASSWORD=se/cret"]
    docker("run", "--detach", "--name", name, *words, "postgres:17")
    ready = ["docker", "exec", name, "pg_isready", "--host=127.0.0.1"]
    try:
        eventually("a server", lambda: subprocess.run(ready, capture_output=True).returncode == 0)
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).strip()
        url = f"postgresql://app:se%2Fcret@{address}/app?connect_timeout=5&sslmode=prefer"
        made = ManagedDatabase(name, url)
        made.sql("CREATE TABLE note (text text)")
        yield made
    finally:
        docker("rm", "--force", "--volumes", name)
