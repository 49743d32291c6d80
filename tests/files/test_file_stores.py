"""The contract of both file stores, and what only one of them has, on a disk and a real server."""

import hashlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from support import object_store

from daemon.errors import FilesUnavailable, SettingsError
from daemon.files.folder import LocalFiles
from daemon.files.opening import open_files
from daemon.files.port import FileStore
from daemon.files.s3 import FRESH_SECONDS, S3Files, open_s3
from daemon.settings import Settings
from daemon.settings.operation import FileSettings
from daemon.settings.rules import Bucket, parse_bucket

DATA = b"\x89PNG what Laura sent"
NAME = f"{hashlib.sha256(DATA).hexdigest()}.png"


def bucket_of(data_dir: Path) -> Bucket:
    return parse_bucket(str(object_store.file_settings(data_dir)["url"]))


def in_store(data_dir: Path, bucket: Bucket | None = None, seconds: float = 30) -> S3Files:
    """The files of a node with this data directory."""
    return open_s3(
        bucket or bucket_of(data_dir),
        data_dir,
        access_key_id=object_store.KEY_ID,
        secret_access_key=object_store.KEY,
        seconds=seconds,
    )


@pytest.fixture(params=["folder", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    return in_store(tmp_path) if request.param == "s3" else LocalFiles(tmp_path)


def write(files: FileStore, name: str = NAME, data: bytes = DATA) -> Path:
    path = files.path("media", name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


async def test_a_file_is_there_until_it_is_deleted(files: FileStore) -> None:
    path = write(files)
    await files.share("media", NAME)
    await files.share("media", NAME)
    assert await files.fetch("media", NAME)
    assert path.read_bytes() == DATA
    assert not await files.fetch("audio", NAME)
    assert await files.old("media", before=4e9) == [NAME]
    assert await files.old("media", before=1) == []
    assert await files.old("audio", before=4e9) == []
    await files.delete("media", [NAME, "never-there.png"])
    assert not path.exists()
    assert not await files.fetch("media", NAME)
    assert await files.old("media", before=4e9) == []
    assert await files.check() == []


async def test_another_node_gets_what_one_has_shared(tmp_path: Path) -> None:
    bucket = bucket_of(tmp_path)
    here, there = in_store(tmp_path / "a", bucket), in_store(tmp_path / "b", bucket)
    (tmp_path / "a").mkdir()
    write(here)
    assert not await there.fetch("media", NAME)
    await here.share("media", NAME)
    assert await there.fetch("media", NAME)
    copy = there.path("media", NAME)
    assert copy.read_bytes() == DATA
    assert copy.stat().st_mode & 0o077 == 0
    assert await there.drop_copies(before=1) == 0
    assert await there.drop_copies(before=4e9) == 1
    assert not copy.exists()
    assert await there.fetch("media", NAME)


async def test_more_files_than_a_page_of_the_list_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = in_store(tmp_path)
    names = [f"{number}.png" for number in range(5)]
    for name in names:
        write(files, name)
        await files.share("media", name)
    ask = files._client.list_objects_v2
    pages: list[int] = []

    def small(**asked: Any) -> Any:
        pages.append(1)
        return ask(**asked, MaxKeys=2)

    monkeypatch.setattr(files._client, "list_objects_v2", small)
    assert sorted(await files.old("media", before=4e9)) == names
    assert len(pages) == 3


async def test_contents_that_are_not_those_of_the_name_are_refused(tmp_path: Path) -> None:
    files = in_store(tmp_path)
    object_store.client().put_object(
        Bucket=object_store.BUCKET,
        Key=f"{object_store.prefix_of(tmp_path)}/media/{NAME}",
        Body=b"something else",
    )
    with pytest.raises(FilesUnavailable, match="other contents"):
        await files.fetch("media", NAME)
    assert list((tmp_path / "media").iterdir()) == []


class Puts:
    """A client that notes its PUTs and may answer them with an error of the store."""

    def __init__(self, client: Any, code: str = "") -> None:
        self._client = client
        self._code = code
        self.conditions: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **asked: Any) -> Any:
        self.conditions.append(asked.get("IfNoneMatch", ""))
        if self._code and asked.get("IfNoneMatch"):
            raise ClientError({"Error": {"Code": self._code}}, "PutObject")
        return self._client.put_object(**asked)


async def test_a_store_that_knows_no_conditions_gets_none(tmp_path: Path) -> None:
    files = in_store(tmp_path)
    client = files._client = Puts(files._client, "NotImplemented")
    write(files)
    await files.share("media", NAME)
    await files.share("media", NAME)
    assert client.conditions == ["*", "", ""]
    assert await files.old("media", before=4e9) == [NAME]


async def test_an_old_object_is_written_again_and_a_new_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention goes by the age: it must not delete what has just been named again."""
    files = in_store(tmp_path)
    client = files._client = Puts(files._client)
    write(files)
    await files.share("media", NAME)
    await files.share("media", NAME)
    assert client.conditions == ["*", "*"]
    monkeypatch.setattr("daemon.files.s3.FRESH_SECONDS", -FRESH_SECONDS)
    await files.share("media", NAME)
    assert client.conditions == ["*", "*", "*", ""]


async def test_a_copy_that_is_gone_is_shared_only_if_the_store_has_it(tmp_path: Path) -> None:
    files = in_store(tmp_path)
    with pytest.raises(FilesUnavailable, match="deleted while"):
        await files.share("media", NAME)
    path = write(files)
    await files.share("media", NAME)
    path.unlink()
    await files.share("media", NAME)


async def test_a_store_that_refuses_is_named_by_its_code_alone(tmp_path: Path) -> None:
    here = bucket_of(tmp_path)
    files = in_store(tmp_path, Bucket("no-such-bucket", "x", here.endpoint, here.region))
    write(files)
    with pytest.raises(FilesUnavailable, match="NoSuchBucket") as refused:
        await files.share("media", NAME)
    assert object_store.KEY not in str(refused.value)
    with pytest.raises(FilesUnavailable):
        await files.check()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "http://{}:{}".format(*listener.getsockname())


async def test_a_store_that_does_not_answer_ends_the_call_in_time(
    tmp_path: Path, silent: str
) -> None:
    files = in_store(tmp_path, Bucket("bucket", "", silent, ""), seconds=0.5)
    write(files)
    with trio.fail_after(30), pytest.raises(FilesUnavailable):
        await files.share("media", NAME)


async def test_a_bucket_that_keeps_old_versions_is_reported(tmp_path: Path) -> None:
    client = object_store.client()
    client.create_bucket(Bucket="recado-versions")
    client.put_bucket_versioning(
        Bucket="recado-versions", VersioningConfiguration={"Status": "Enabled"}
    )
    here = bucket_of(tmp_path)
    files = in_store(tmp_path, Bucket("recado-versions", "", here.endpoint, here.region))
    (note,) = await files.check()
    assert "keeps old versions" in note


def test_a_client_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(object_store.file_settings(tmp_path)["url"])
    settings = Settings(data_dir=tmp_path, files=FileSettings(url=url))
    monkeypatch.delitem(sys.modules, "daemon.files.s3")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match=r"files\.url: needs the package boto3: pip install"):
        open_files(settings)
