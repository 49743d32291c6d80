"""The address of an object store: what it may be, and what is refused."""

import pytest

from daemon.settings.operation import FileSettings
from daemon.settings.rules import Bucket, parse_bucket


def test_an_address_is_taken_apart() -> None:
    whole = parse_bucket("s3://my-bucket/a/b/?endpoint=http://127.0.0.1:9000/&region=eu-west-1")
    assert whole == Bucket("my-bucket", "a/b", "http://127.0.0.1:9000", "eu-west-1")
    assert parse_bucket("s3://my-bucket") == Bucket("my-bucket", "", "", "")


@pytest.mark.parametrize(
    "url",
    [
        "https://my-bucket/a",
        "s3://",
        "s3://My_Bucket/a",
        "s3://key:secret@my-bucket/a",
        "s3://my-bucket/a#b",
        "s3://my-bucket/a?endpoint=ftp://x",
        "s3://my-bucket/a?endpoint=http://key:secret@x",
        "s3://my-bucket/a?zone=eu",
        "s3://my-bucket/a?endpoint",
    ],
)
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        FileSettings(url=url)
