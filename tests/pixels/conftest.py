"""Stamps to keep, and a store that speaks S3 on loopback."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from moto import settings as moto_settings
from moto.server import ThreadedMotoServer
from small_stamp import SMALL

from batchvet.pixels.stamp import Stamp


@pytest.fixture
def small_stamp() -> Stamp:
    """Twenty cadences of three by four pixels."""
    return replace(SMALL)


@dataclass
class LoopbackStore:
    """A bucket of its own for one test, and the credentials that open it."""

    bucket: str
    endpoint: str
    key_id: str
    secret: str
    token: str
    client: Any  #: boto3's, to look at the bucket past batchvet
    monkeypatch: pytest.MonkeyPatch

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    def objects(self) -> dict[str, bytes]:
        """All that the bucket holds."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {o["Key"]: self.client.get_object(Bucket=self.bucket, Key=o["Key"])["Body"].read() for o in found}

    def put(self, key: str, content: bytes, *, public: bool = False) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content, ACL="public-read" if public else "private")

    def sign_in(self, key_id: str, secret: str) -> None:
        """Go on with other credentials, and let the store look at them from now on."""
        self.monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
        self.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        self.monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        self.monkeypatch.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0.0)

    def user_without_rights(self) -> tuple[str, str]:
        """Key and secret of a user that the store knows and whom it allows nothing."""
        iam = boto3.client(
            "iam",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
        )
        name = f"nobody-{self.bucket}"
        iam.create_user(UserName=name)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        iam.close()
        self.key_id, self.secret = made["AccessKeyId"], made["SecretAccessKey"]
        return self.key_id, self.secret


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of moto's server on loopback."""
    for name in ("werkzeug", "moto", "boto3", "botocore"):  # at DEBUG they show what is signed
        logging.getLogger(name).setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackStore]:
    """A fresh bucket; its endpoint and credentials are in the environment."""
    key_id, secret, token = (f"{name}{secrets.token_hex(16)}" for name in ("AKIA", "secret", "token"))
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )
    bucket = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=bucket)
    yield LoopbackStore(bucket, s3_endpoint, key_id, secret, token, client, monkeypatch)
    client.close()
