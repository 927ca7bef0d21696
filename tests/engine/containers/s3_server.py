"""The S3 server of moto on loopback, which checks logins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3  # type: ignore[import-untyped]
import pytest
import requests
from moto.server import ThreadedMotoServer

BUCKET = "backups"
REGION = "us-east-1"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


@dataclass(frozen=True)
class S3Server:
    """A server with one bucket.

    Attributes:
        values: the variables of an environment with its backups on this server.
    """

    values: dict[str, str]

    def read(self, name: str) -> bytes:
        """The content of an object."""
        client = boto3.client(
            "s3",
            endpoint_url=self.values["BACKUP_ENDPOINT"],
            region_name=REGION,
            aws_access_key_id=self.values["BACKUP_KEY_ID"],
            aws_secret_access_key=self.values["BACKUP_KEY"],
        )
        return bytes(client.get_object(Bucket=BUCKET, Key=name)["Body"].read())


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with one user."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        # moto keeps the state of an earlier server in the same process.
        requests.post(f"{endpoint}/moto-api/reset", timeout=30).raise_for_status()
        given = {
            "endpoint_url": endpoint,
            "region_name": REGION,
            "aws_access_key_id": "first",
            "aws_secret_access_key": "first",  # pragma: allowlist secret
        }
        iam, s3 = boto3.client("iam", **given), boto3.client("s3", **given)
        s3.create_bucket(Bucket=BUCKET)
        iam.create_user(UserName="backup")
        iam.put_user_policy(
            UserName="backup", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING)
        )
        key = iam.create_access_key(UserName="backup")["AccessKey"]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                "moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0
            )  # of the server, from here on
            yield S3Server(
                {
                    "BACKUP_URL": f"s3://{BUCKET}",
                    "BACKUP_ENDPOINT": endpoint,
                    "BACKUP_KEY_ID": key["AccessKeyId"],
                    "BACKUP_KEY": key["SecretAccessKey"],
                }
            )
    finally:
        server.stop()
