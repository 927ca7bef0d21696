"""Stores backups outside of the host: in a bucket of an S3-compatible store, encrypted with age.

A backup is one object, `<project>/<name>.tar`, or `.tar.age` if a recipient is set. An empty object
`<name>.verified` marks it as verified. This module needs the extra `backups` of slipway-ops, which
is only imported if a store is set.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from slipway_ops.database.whole import WholeReader
from slipway_ops.deploy.environment import Environment
from slipway_ops.errors import SlipwayError

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

CHUNK = 16 * 1024 * 1024  # bytes per part; S3 allows 10,000 parts, so a backup of 160 GB
EXTRA = "uv add --no-sync --group dev 'slipway-ops[backups]' && nox -s setup"


class StoreError(SlipwayError):
    """The store, or the encryption for it, failed."""


@dataclass(frozen=True)
class Store:
    """The place of an environment's backups in a bucket.

    Attributes:
        place: as a URL, such as `s3://shop-backups/shop-production`.
        recipient: the public age key to encrypt backups with; "" for no encryption.
    """

    place: str
    recipient: str
    client: S3Store = field(repr=False)

    def sizes(self) -> dict[str, int]:
        """Returns the size of each object in bytes, by name.

        Raises:
            StoreError: the store does not answer, or refuses.
        """
        with self._explained("list the backups"):
            return {
                str(found["path"]): int(found["size"])
                for page in self.client.list()
                for found in page
            }

    def put(self, backup: str, files: WholeReader) -> None:
        """Stores a backup from `files`: all of it or nothing.

        Raises:
            StoreError: the store refused it, or the encryption failed.
        """
        import obstore

        name = f"{backup}.tar"
        with self._explained("store the backup"):
            if self.recipient:
                name += ".age"
                with _pumped(_encryption(files, self.recipient)) as encrypted:
                    obstore.put(self.client, name, _chunks(encrypted), use_multipart=True)
            else:
                obstore.put(self.client, name, _chunks(files), use_multipart=True)

    def get(self, name: str, files: IO[bytes], identity: Path | None = None) -> None:
        """Reads an object and writes its content to `files`.

        Args:
            name: of the object, one of `sizes`.
            files: receives a tar archive.
            identity: the file with the private age key, for an encrypted object.

        Raises:
            StoreError: the store refused, or the key does not fit.
        """
        import obstore

        if name.endswith(".age") and identity is None:
            raise StoreError(
                f"{self.place}/{name} is encrypted. Name the file with its private key: "
                "--identity FILE"
            )
        with self._explained("read the backup"):
            stream = obstore.get(self.client, name).stream(min_chunk_size=CHUNK)

            def write(sink: IO[bytes]) -> None:
                for chunk in stream:
                    sink.write(chunk)

            if identity is None or not name.endswith(".age"):
                write(files)
                return
            with _pumped(write) as encrypted:
                _decrypt(encrypted, files, identity)

    def mark(self, backup: str) -> None:
        """Marks a backup in the store as verified.

        Raises:
            StoreError: see `sizes`.
        """
        import obstore

        with self._explained("mark the backup as verified"):
            obstore.put(self.client, f"{backup}.verified", b"")

    def remove(self, *names: str) -> None:
        """Removes objects from the store.

        Raises:
            StoreError: see `sizes`.
        """
        import obstore

        with self._explained("remove backups"):
            obstore.delete(self.client, list(names))

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            reason = str(error).splitlines()[0]
            raise StoreError(
                f"{self.place} could not {action}: {reason}. Check BACKUP_URL, BACKUP_ENDPOINT, "
                "BACKUP_KEY_ID and BACKUP_KEY, then type the command again."
            ) from error


def of(environment: Environment) -> Store | None:
    """Returns the store of an environment; None if BACKUP_URL is not set.

    Raises:
        StoreError: a variable has an unusable value, or the extra of slipway-ops is missing.
    """
    values = environment.values
    if not values.get("BACKUP_URL"):
        return None
    try:
        import pyrage  # type: ignore[import-untyped]  # noqa: F401
        from obstore.store import S3Store
    except ModuleNotFoundError as error:
        raise StoreError(
            f"BACKUP_URL is set, but {error.name} is not installed. Type: {EXTRA}"
        ) from error
    parts = urlsplit(values["BACKUP_URL"])
    folder = "/".join(filter(None, (parts.path.strip("/"), environment.project)))
    config: S3Config = {"region": values.get("BACKUP_REGION") or "us-east-1"}
    # Without a key, obstore looks for credentials in the same places as Amazon's own programs.
    if values.get("BACKUP_KEY_ID"):
        config["access_key_id"] = values["BACKUP_KEY_ID"]
        config["secret_access_key"] = values.get("BACKUP_KEY", "")
    endpoint = values.get("BACKUP_ENDPOINT", "")
    if endpoint:
        config["endpoint"] = endpoint
        config["virtual_hosted_style_request"] = False  # not every store has a host per bucket
    client = S3Store(
        parts.netloc,
        prefix=folder,
        config=config,
        client_options={"allow_http": endpoint.startswith("http://")},
    )
    return Store(f"s3://{parts.netloc}/{folder}", values.get("BACKUP_RECIPIENT", ""), client)


def _chunks(source: WholeReader) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _encryption(source: WholeReader, recipient: str) -> Callable[[IO[bytes]], None]:
    import pyrage

    try:
        key = pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError as error:
        raise StoreError(
            f"BACKUP_RECIPIENT is not an age key ({error}). It should look like age1…: the public "
            "key of a pair that `age-keygen` makes."
        ) from error

    def encrypt(sink: IO[bytes]) -> None:
        try:
            pyrage.encrypt_io(source, sink, [key])
        except pyrage.EncryptError as error:
            raise StoreError(f"The backup could not be encrypted: {error}") from error

    return encrypt


def _decrypt(source: WholeReader, files: IO[bytes], identity: Path) -> None:
    import pyrage

    try:
        lines = identity.read_text(encoding="utf-8").splitlines()
        words = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        keys = [pyrage.x25519.Identity.from_str(word) for word in words]
        pyrage.decrypt_io(source, files, keys)
    except (OSError, UnicodeDecodeError, pyrage.IdentityError, pyrage.DecryptError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise StoreError(
            f"The backup cannot be decrypted with {identity}: {error}. Name the file with the "
            "private key (AGE-SECRET-KEY-1…) that belongs to BACKUP_RECIPIENT: --identity FILE"
        ) from error


@contextmanager
def _pumped(write: Callable[[IO[bytes]], None]) -> Iterator[WholeReader]:
    """Runs a function that writes, in a thread, and yields a reader of its output."""
    source, sink = os.pipe()
    failed: list[Exception] = []

    def pump() -> None:
        try:
            with open(sink, "wb") as file:
                write(file)
        except Exception as error:
            failed.append(error)

    def check() -> None:
        thread.join()
        if failed:
            raise failed[0]

    thread = threading.Thread(target=pump)
    thread.start()
    try:
        with open(source, "rb") as file:
            yield WholeReader(file, check)
    finally:
        thread.join()  # if nobody reads the rest, the next write in the thread fails
