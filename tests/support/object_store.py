"""An S3-compatible server for tests: moto's, over real HTTP on a free port, one a test process."""

import atexit
import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import EndpointConnectionError  # type: ignore[import-untyped]
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from daemon.files.s3 import S3Files

BUCKET = "recado-tests"
VARIABLE = "TESTS_FILE_STORE"
"""``s3``: the daemons of this test have their files in the object store."""

KEY_ID, KEY = "test-key-id", "test-secret-of-the-store"


@cache
def endpoint() -> str:
    """The address of the running server."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    atexit.register(server.stop)
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client(url).create_bucket(Bucket=BUCKET)
    return url


def client(url: str = "") -> Any:
    """boto3's client of the server."""
    return boto3.client(
        "s3",
        endpoint_url=url or endpoint(),
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=KEY,
    )


def prefix_of(data_dir: Path) -> str:
    """Where the files of a daemon with this data directory are."""
    return hashlib.sha256(str(data_dir.absolute()).encode()).hexdigest()[:16]


def file_settings(data_dir: Path) -> dict[str, object]:
    """The table ``[files]`` of a daemon with its files in the object store."""
    return {
        "url": f"s3://{BUCKET}/{prefix_of(data_dir)}?endpoint={endpoint()}&region=us-east-1",
        "access_key_id": SecretStr(KEY_ID),
        "secret_access_key": SecretStr(KEY),
        "timeout_seconds": 30.0,
    }


def file_table(data_dir: Path) -> str:
    """The same, as a configuration file has it."""
    url = file_settings(data_dir)["url"]
    keys = f'access_key_id = "{KEY_ID}"\nsecret_access_key = "{KEY}"\n'
    return f'[files]\nurl = "{url}"\n{keys}'


def is_chosen() -> bool:
    """Whether the daemons of this test have their files in the object store."""
    return os.environ.get(VARIABLE) == "s3"


def kept_files(data_dir: Path, folder: str) -> list[Path]:
    """The files of a daemon that are kept in a folder, under their paths on this machine."""
    if not is_chosen():
        return sorted((data_dir / folder).glob("*"))
    return [data_dir / key for key in listed(data_dir, folder)]


def listed(data_dir: Path, folder: str) -> list[str]:
    """The files of a folder that are in the object store, as ``media/…``."""
    prefix = f"{prefix_of(data_dir)}/"
    found = client().list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}{folder}/")
    return sorted(entry["Key"].removeprefix(prefix) for entry in found.get("Contents", ()))


def plant(path: Path, data: bytes) -> None:
    """Put a file where those of a daemon are kept, without the daemon."""
    if is_chosen():
        client().put_object(Bucket=BUCKET, Key=_key(path), Body=data)
    else:
        path.write_bytes(data)


def remove(path: Path) -> None:
    """Delete a file from the object store, without the daemon."""
    if is_chosen():
        client().delete_object(Bucket=BUCKET, Key=_key(path))


def no_connection() -> Exception:
    """What boto3 raises where nothing listens."""
    error: Exception = EndpointConnectionError(endpoint_url=endpoint())
    return error


def _key(path: Path) -> str:
    return f"{prefix_of(path.parents[1])}/{path.parent.name}/{path.name}"


@pytest.fixture(params=["folder", "s3"])
def both_file_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the files in a folder, and with them in the object store.

    There no copy stays on the machine's disk: what is read comes from the store.
    """
    if request.param == "s3":
        monkeypatch.setenv(VARIABLE, "s3")
        share = S3Files.share

        async def without_copy(self: S3Files, folder: str, name: str) -> None:
            await share(self, folder, name)
            self.path(folder, name).unlink(missing_ok=True)

        monkeypatch.setattr(S3Files, "share", without_copy)
    return str(request.param)
