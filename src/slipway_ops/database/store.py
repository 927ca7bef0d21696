"""Backups outside of the host: in a bucket of any S3-compatible store, encrypted with age.

A backup is one object, `<project>/<name>.tar`, or `.tar.age` where a recipient is set; an empty
object `<name>.verified` says that it was restored once. What this needs is the extra `backups` of
slipway-ops, which is imported where a store is set.
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
from slipway_ops.deploy.compose import Stack
from slipway_ops.errors import SlipwayError

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

CHUNK = 16 * 1024 * 1024  # bytes of a part; S3 takes 10,000 parts, so a backup of 160 GB
EXTRA = "uv add --no-sync --group dev 'slipway-ops[backups]' && nox -s setup"


class StoreError(SlipwayError):
    """The store, or the encryption of what goes there, has refused something."""


@dataclass(frozen=True)
class Store:
    """The place of an environment's backups in a bucket.

    Attributes:
        place: as people write it, such as `s3://shop-backups/shop-production`.
        recipient: the age key that a backup is encrypted to; "" if it is not.
    """

    place: str
    recipient: str
    client: S3Store = field(repr=False)

    def sizes(self) -> dict[str, int]:
        """The bytes of each object, by its name.

        Raises:
            StoreError: the store does not answer, or refuses.
        """
        with self._explained("lists"):
            return {
                str(found["path"]): int(found["size"])
                for page in self.client.list()
                for found in page
            }

    def put(self, backup: str, files: WholeReader) -> None:
        """Stores a backup, which is read from `files`: all of it or nothing.

        Raises:
            StoreError: the store or the encryption refused it.
        """
        import obstore

        name = f"{backup}.tar"
        with self._explained("takes"):
            if self.recipient:
                name += ".age"
                with _pumped(_encryption(files, self.recipient)) as encrypted:
                    obstore.put(self.client, name, _chunks(encrypted), use_multipart=True)
            else:
                obstore.put(self.client, name, _chunks(files), use_multipart=True)

    def get(self, name: str, files: IO[bytes], identity: Path | None = None) -> None:
        """Reads an object and writes what it holds into `files`.

        Args:
            name: of the object, one of `sizes`.
            files: takes a tar.
            identity: the file with the private age key, for what is encrypted.

        Raises:
            StoreError: the store refused, or the key is not the one that it was encrypted to.
        """
        import obstore

        if name.endswith(".age") and identity is None:
            raise StoreError(
                f"{self.place}/{name} is encrypted. Name the file with its private key: "
                "--identity FILE"
            )
        with self._explained("gives"):
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
        """Says in the store that a backup was verified.

        Raises:
            StoreError: see `sizes`.
        """
        import obstore

        with self._explained("takes"):
            obstore.put(self.client, f"{backup}.verified", b"")

    def remove(self, *names: str) -> None:
        """Removes objects.

        Raises:
            StoreError: see `sizes`.
        """
        import obstore

        with self._explained("removes"):
            obstore.delete(self.client, list(names))

    @contextmanager
    def _explained(self, does: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            reason = str(error).splitlines()[0]
            raise StoreError(
                f"{self.place} {does} nothing: {reason}. Check BACKUP_URL, BACKUP_ENDPOINT, "
                "BACKUP_KEY_ID and BACKUP_KEY, then type the command again."
            ) from error


def of(stack: Stack) -> Store | None:
    """The store of an environment; None where BACKUP_URL is not set.

    Raises:
        StoreError: a variable cannot be used, or the extra of slipway-ops is missing.
    """
    values = stack.values
    if not values.get("BACKUP_URL"):
        return None
    try:
        import pyrage  # type: ignore[import-untyped]  # noqa: F401
        from obstore.store import S3Store
    except ModuleNotFoundError as error:
        raise StoreError(
            f"BACKUP_URL is set, and {error.name} is not installed. Type: {EXTRA}"
        ) from error
    parts = urlsplit(values["BACKUP_URL"])
    folder = "/".join(filter(None, (parts.path.strip("/"), stack.project)))
    config: S3Config = {"region": values.get("BACKUP_REGION") or "us-east-1"}
    # Without a key, obstore looks for one as Amazon's own programs do.
    if values.get("BACKUP_KEY_ID"):
        config["access_key_id"] = values["BACKUP_KEY_ID"]
        config["secret_access_key"] = values.get("BACKUP_KEY", "")
    endpoint = values.get("BACKUP_ENDPOINT", "")
    if endpoint:
        config["endpoint"] = endpoint
        config["virtual_hosted_style_request"] = False  # not every store has a name for each bucket
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
            f"BACKUP_RECIPIENT is not an age key ({error}). It looks like age1…, and is the public "
            "one of a pair that `age-keygen` makes."
        ) from error

    def encrypt(sink: IO[bytes]) -> None:
        try:
            pyrage.encrypt_io(source, sink, [key])
        except pyrage.EncryptError as error:
            raise StoreError(f"The backup was not encrypted: {error}") from error

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
    """What a function writes, to be read while it is written."""
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
        thread.join()  # where nobody reads on, its next write fails
