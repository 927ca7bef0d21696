"""Works with the database of an environment, from containers on a Docker host.

The host is that of the environment. For one in a cluster it is DOCKER_HOST or this machine.

Each command runs in a container of the database's image, which has the matching client tools. The
container joins the network of the environment; for an external database it does not. All of these
containers mount the volume `<project>-backups`. No port has to be published, and the host only
needs Docker.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TypeVar, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from slipway_ops.database.whole import WholeReader
from slipway_ops.deploy import records
from slipway_ops.deploy.compose import Stack
from slipway_ops.deploy.environment import Environment
from slipway_ops.errors import SlipwayError

OURS = "database"  # the service of the compose files
IMAGE = "postgres:17"  # as in the compose files
CONNECTED = ("backup.sh", "drop.sh", "kept.sh", "restore.sh", "swap.sh")  # use the database
OWN = ("PGDATABASE", "PGUSER", "POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_USER")  # for others
SCRIPTS = Path(__file__).parent
Place = TypeVar("Place", bound=Environment)
# URL parameters whose variable is not PG plus the parameter's name.
VARIABLES = {"application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT"}


class DatabaseError(SlipwayError):
    """A command failed in the database or in a container that works with it."""


@dataclass(frozen=True)
class Database:
    """The database of an environment.

    Attributes:
        stack: the Docker host, with the images deployed last to the environment.
        network: the network that containers for the database join.
        variables: PGHOST, PGDATABASE and so on.
        is_ours: whether the compose files start this database.
    """

    stack: Stack
    network: str
    variables: Mapping[str, str] = field(repr=False)
    is_ours: bool

    @property
    def name(self) -> str:
        """The name of the database on its server."""
        return self.variables["PGDATABASE"]

    @property
    def volume(self) -> str:
        """The volume on the host that holds the backups."""
        return f"{self.stack.project}-backups"

    def script(self, name: str, *words: str) -> str:
        """Runs one of the scripts in this folder; returns its output.

        Args:
            name: such as `backup.sh`.
            words: the arguments of the script.

        Raises:
            DatabaseError: the script failed.
            ComposeError: docker is not installed.
        """
        done = self._stack().docker(*self._command(name, *words), capture=True)
        if done.returncode:
            raise self._failure(done.stderr.encode())
        return done.stdout

    @contextmanager
    def sends(self, backup: str) -> Iterator[WholeReader]:
        """Yields a reader of a backup's files, as a tar archive.

        Raises:
            DatabaseError: at the end of reading, if not all files could be read.
        """
        with self._piped("send.sh", backup) as process:

            def check() -> None:
                if process.wait():
                    raise self._failure(cast(IO[bytes], process.stderr).read())

            yield WholeReader(cast(IO[bytes], process.stdout), check)

    @contextmanager
    def receives(self, backup: str) -> Iterator[IO[bytes]]:
        """Yields a stream to write a tar archive to, and makes a backup of it.

        Raises:
            DatabaseError: at the end, if the archive was incomplete or could not be stored.
        """
        with self._piped("receive.sh", backup) as process:
            try:
                yield cast(IO[bytes], process.stdin)
            except BrokenPipeError:
                raise
            except BaseException:
                process.communicate()  # the script notices the incomplete archive and cleans up
                raise

    def shell(self, interactive: bool) -> int:
        """Runs psql at the terminal; returns its exit status.

        Args:
            interactive: true if a person types; false to read SQL from standard input.
        """
        words = self._words(self.network, self.variables)
        command = [*words, *["--tty"] * interactive, "--entrypoint=psql", self._image]
        return subprocess.run(["docker", *command], env=self._stack().variables()).returncode

    @contextmanager
    def _piped(self, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(
            ["docker", *self._command(name, *words)],
            env=self._stack().variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
                said = process.communicate()[1]
            except BrokenPipeError:  # the script ended early: its output says why
                said = cast(IO[bytes], process.stderr).read()
            if process.wait():
                raise self._failure(said)

    def _command(self, name: str, *words: str) -> list[str]:
        text = "\n".join(
            (SCRIPTS / file).read_text(encoding="utf-8") for file in ("common.sh", name)
        )
        # Scripts that only use files need no network, and also work if no database runs.
        network, names = (self.network, self.variables) if name in CONNECTED else ("none", OWN)
        options = self._words(network, ["TABLES", *names])
        return [*options, "--entrypoint=sh", self._image, "-c", text, name, *words]

    def _words(self, network: str, names: Iterable[str]) -> list[str]:
        return [
            *("run", "--rm", "--init", "--interactive", "--quiet", "--no-healthcheck"),
            *("--label", f"slipway.database={self.stack.project}", f"--network={network}"),
            *("--cpus=1", f"--volume={self.volume}:/backups"),
            # Without values: docker takes them from its environment, so `ps` does not show them.
            *(word for name in names for word in ("--env", name)),
        ]

    @property
    def _image(self) -> str:
        return self.stack.values.get("DATABASE_IMAGE") or IMAGE

    def _stack(self) -> Stack:
        tables = (SCRIPTS / "tables.sql").read_text(encoding="utf-8")
        first = {  # for the initial database of a new PostgreSQL
            "POSTGRES_DB": self.name,
            "POSTGRES_USER": self.variables.get("PGUSER", ""),
            "POSTGRES_PASSWORD": self.variables.get("PGPASSWORD") or "unused",
        }
        values = {**self.stack.values, **self.variables, **first, "TABLES": tables}
        return replace(self.stack, values=values)

    def _failure(self, said: bytes) -> DatabaseError:
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        reason = "\n".join(f"  {line}" for line in lines[-8:]) or "  (docker gave no reason)"
        where = f"{self.variables.get('PGHOST', 'localhost')}/{self.name}"
        name = self.stack.environment
        remedy = (
            f"`inv status {name}` shows whether it runs, `inv up {name}` starts it, "
            f"`inv doctor {name}` finds the cause."
        )
        if "server version mismatch" in reason:
            remedy = (
                "The image must have the version of the database or a later one: set "
                f"DATABASE_IMAGE in .env.{name}, such as postgres:18."
            )
        elif not self.is_ours:
            remedy = f"The containers that ask it run on {self.stack.host}, which must reach it."
        return DatabaseError(
            f"The database of {name} failed ({where}, from {self.stack.host}):\n{reason}\n"
            f"{remedy} Then type the command again."
        )


def connect(environment: Environment) -> Database:
    """Returns the database that an environment's URL names.

    Raises:
        SlipwayError: the environment has no database URL, or not one of PostgreSQL; or the host or
            cluster does not answer.
    """
    name = environment.environment
    if not url(environment):
        raise SlipwayError(
            f"{name} has no database: none of its variables ends with DATABASE_URL. "
            f"See them: inv env.show {name}"
        )
    variables = _variables(urlsplit(url(environment)))
    found, host = deployed(environment), variables.get("PGHOST", "")
    if isinstance(found, Stack):
        stack, is_ours = found, host == OURS
    else:
        stack = Stack(found.root, name, found.values, found.digests, found.version)
        is_ours = False
    network = "bridge"
    if is_ours:
        network = f"{stack.project}_inside"
    elif host in ("", "localhost", "127.0.0.1", "::1"):
        network = "host"
    return Database(stack, network, variables, is_ours)


def deployed(environment: Place) -> Place:
    """Returns an environment with the images deployed last; without any if there are none.

    Raises:
        SlipwayError: the host or cluster does not answer.
    """
    found = next(iter(records.healthy(environment)), None)
    return environment.with_images_of(found) if found else replace(environment, digests={})


def url(environment: Environment) -> str:
    """Returns the database URL, preferably the one for migrations; "" if there is none."""
    values = environment.values
    names = [name for name in sorted(values) if name.endswith("DATABASE_URL") and values[name]]
    names.sort(key=lambda name: name != "RUNTIME_DATABASE_URL")
    return values[names[0]] if names else ""


def _variables(parts: SplitResult) -> dict[str, str]:
    """Returns the variables with which PostgreSQL's programs connect to a URL."""
    if not parts.scheme.startswith("postgres"):
        raise SlipwayError(f"{parts.scheme}:// is not supported: backups need a PostgreSQL URL.")
    found = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")) or unquote(parts.username or ""),
    }
    for key, value in parse_qsl(parts.query):
        found[VARIABLES.get(key, "PG" + key.upper().replace("_", ""))] = value
    return {name: value for name, value in found.items() if value}
