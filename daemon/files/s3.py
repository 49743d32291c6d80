"""The files of a cluster: an S3-compatible object store, called by boto3 in threads.

A file is one object, `<prefix>/<folder>/<name>`. It is put on the condition that none of its name
is there (``If-None-Match: *``), which saves the bytes of a picture that was sent before; a store
that does not know the condition gets it without. Loaded only if ``files.url`` is set: boto3 takes a
third of a second and 20 MB.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import boto3  # type: ignore[import-untyped]
import trio
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from daemon.errors import FilesUnavailable
from daemon.files.folder import older_files, unlink_all
from daemon.settings.rules import Bucket
from daemon.system.private_files import make_folder, new_file

T = TypeVar("T")

CONNECT_SECONDS = 5.0
ATTEMPTS = 2
"""Of one call, within its time."""

CONNECTIONS = 16
"""Calls at once."""

MOST_DELETED = 1000
"""In one request: the limit of S3."""

FRESH_SECONDS = 3600.0
"""An object that is older than this is written again when the same file comes: retention goes by
its age, and may be about to delete it."""

HASHED = re.compile(r"([0-9a-f]{64})\..+")
MISSING = frozenset({"NoSuchKey", "404", "NotFound"})


class S3Files:
    """Implements `daemon.files.port.FileStore`."""

    is_shared = True

    def __init__(self, client: Any, bucket: Bucket, data_dir: Path, *, seconds: float) -> None:
        """``client``: boto3's. ``seconds``: for one call, with its attempts."""
        self._client = client
        self._bucket = bucket
        self._data_dir = data_dir
        self._seconds = seconds
        self._places = trio.CapacityLimiter(CONNECTIONS)
        self._knows_conditions = True

    def path(self, folder: str, name: str) -> Path:
        """See the port."""
        return self._data_dir / folder / name

    async def share(self, folder: str, name: str) -> None:
        """See the port."""
        await self._call(lambda: self._put(folder, name))

    async def fetch(self, folder: str, name: str) -> bool:
        """See the port."""
        path = self.path(folder, name)
        if await trio.Path(path).is_file():
            return True
        return await self._call(lambda: self._get(folder, name))

    async def delete(self, folder: str, names: Sequence[str]) -> None:
        """See the port."""
        await trio.to_thread.run_sync(unlink_all, [self.path(folder, name) for name in names])
        for start in range(0, len(names), MOST_DELETED):
            batch = names[start : start + MOST_DELETED]
            await self._call(lambda batch=batch: self._delete(folder, batch))  # type: ignore[misc]

    async def old(self, folder: str, *, before: float) -> list[str]:
        """See the port."""
        found: list[str] = []
        token = ""
        while True:
            names, token = await self._call(lambda after=token: self._list(folder, before, after))  # type: ignore[misc]
            found += names
            if not token:
                return found

    async def drop_copies(self, *, before: float) -> int:
        """See the port."""

        def drop() -> int:
            folders = [path for path in self._data_dir.iterdir() if path.is_dir()]
            shared = [path for path in folders if path.name in SHARED_FOLDERS]
            old = [path / name for path in shared for name in older_files(path, before)]
            unlink_all(old)
            return len(old)

        return await trio.to_thread.run_sync(drop)

    async def check(self) -> list[str]:
        """See the port."""
        return await self._call(self._try)

    # -- in a thread -------------------------------------------------------------------------------

    async def _call(self, call: Callable[[], T]) -> T:
        """Call the store in a thread, which is left behind if it takes too long.

        Its sockets have timeouts, so it ends by itself.
        """
        try:
            with trio.fail_after(self._seconds):
                return await trio.to_thread.run_sync(
                    call, abandon_on_cancel=True, limiter=self._places
                )
        except trio.TooSlowError:
            raise FilesUnavailable("the file store did not answer in time") from None
        except ClientError as error:
            raise FilesUnavailable(f"the file store answered {_code(error)}") from None
        except BotoCoreError as error:
            raise FilesUnavailable(f"the file store: {type(error).__name__}") from None

    def _where(self, folder: str, name: str) -> dict[str, str]:
        key = "/".join(part for part in (self._bucket.prefix, folder, name) if part)
        return {"Bucket": self._bucket.name, "Key": key}

    def _put(self, folder: str, name: str) -> None:
        where = self._where(folder, name)
        try:
            if self._put_new(folder, name, where):
                return
            age = datetime.now(UTC) - self._client.head_object(**where)["LastModified"]
            if age.total_seconds() > FRESH_SECONDS:
                with self.path(folder, name).open("rb") as body:
                    self._client.put_object(**where, Body=body)
        except FileNotFoundError:
            # Another message has the same file, and its copy here has just been deleted.
            self._require(where)

    def _require(self, where: dict[str, str]) -> None:
        try:
            self._client.head_object(**where)
        except ClientError as error:
            if _code(error) not in MISSING:
                raise
            raise FilesUnavailable("the file was deleted while it was stored") from None

    def _put_new(self, folder: str, name: str, where: dict[str, str]) -> bool:
        """Put a file unless there is one of its name; False if there is."""
        with self.path(folder, name).open("rb") as body:
            if not self._knows_conditions:
                self._client.put_object(**where, Body=body)
                return True
            try:
                self._client.put_object(**where, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) in {"PreconditionFailed", "412"}:
                    return False
                if _code(error) not in {"NotImplemented", "501"}:
                    raise
                self._knows_conditions = False
                body.seek(0)
                self._client.put_object(**where, Body=body)
        return True

    def _get(self, folder: str, name: str) -> bool:
        try:
            found = self._client.get_object(**self._where(folder, name))
        except ClientError as error:
            if _code(error) in MISSING:
                return False
            raise
        path = self.path(folder, name)
        make_folder(path.parent)
        draft = path.with_name(f".draft-{token_hex(8)}")
        seen = hashlib.sha256()
        try:
            with new_file(draft) as file:
                for piece in found["Body"].iter_chunks(256 * 1024):
                    seen.update(piece)
                    file.write(piece)
            hashed = HASHED.fullmatch(name)
            if hashed and hashed[1] != seen.hexdigest():
                raise FilesUnavailable(f"the file store gave other contents for {name}")
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _delete(self, folder: str, names: Sequence[str]) -> None:
        objects = [{"Key": self._where(folder, name)["Key"]} for name in names]
        done = self._client.delete_objects(
            Bucket=self._bucket.name, Delete={"Objects": objects, "Quiet": True}
        )
        if errors := done.get("Errors"):
            code = errors[0].get("Code")
            raise FilesUnavailable(f"the file store did not delete {len(errors)} files: {code}")

    def _list(self, folder: str, before: float, after: str) -> tuple[list[str], str]:
        prefix = self._where(folder, "")["Key"].rstrip("/") + "/"
        page = self._client.list_objects_v2(
            Bucket=self._bucket.name,
            Prefix=prefix,
            **({"ContinuationToken": after} if after else {}),
        )
        names = [
            entry["Key"].removeprefix(prefix)
            for entry in page.get("Contents", ())
            if entry["LastModified"].timestamp() < before
        ]
        return names, page.get("NextContinuationToken", "")

    def _try(self) -> list[str]:
        where = self._where("", f".check-{token_hex(8)}")
        self._client.put_object(**where, Body=b"recado")
        body = self._client.get_object(**where)["Body"].read()
        self._client.delete_object(**where)
        if body != b"recado":
            raise FilesUnavailable("the file store gave back other bytes than were written")
        try:
            versioning = self._client.get_bucket_versioning(Bucket=self._bucket.name)
        except ClientError:
            return []  # not every key may ask, not every store knows
        if versioning.get("Status") != "Enabled":
            return []
        return ["keeps old versions: what is deleted stays until a lifecycle rule removes it"]


SHARED_FOLDERS = frozenset({"media", "audio"})
"""The folders whose files are shared; those of raw calls belong to the SQLite store beside them."""


def _code(error: ClientError) -> str:
    """The store's word for an error, or its HTTP status."""
    found = error.response.get("Error", {}).get("Code", "")
    return str(found or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "error"))


def open_s3(
    bucket: Bucket, data_dir: Path, *, access_key_id: str, secret_access_key: str, seconds: float
) -> S3Files:
    """Make the client; connects to nothing. Blocks for a third of a second.

    Without keys boto3 looks for them in the environment, its files, and the machine's role.
    """
    config = Config(
        connect_timeout=min(CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        # A store of one's own seldom has a name for each bucket.
        s3={"addressing_style": "path" if bucket.endpoint else "auto"},
        # Other stores than Amazon's do not know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint or None,
        region_name=bucket.region or "us-east-1",
        aws_access_key_id=access_key_id or None,
        aws_secret_access_key=secret_access_key or None,
        config=config,
    )
    return S3Files(client, bucket, data_dir, seconds=seconds)
