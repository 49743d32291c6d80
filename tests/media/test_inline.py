"""Bytes inside of webhook calls: cut out of the JSON, and put into files as they are."""

import base64
import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.conversation import intake
from daemon.domain.messages import Media, Webhook
from daemon.errors import MediaRefused
from daemon.files.folder import LocalFiles
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.media.files import Opened, keep_inline, open_body

RAW = bytes(range(256)) * 1200  # 307 kB: larger than several blocks
LIMIT = 1_000_000


def opened(value: object, *, escaped: bool = False) -> Opened:
    body = json.dumps(value).encode()
    return open_body(body.replace(b"/", b"\\/") if escaped else body, nonce="n0")


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("head", ["", "data:image/jpeg;base64,"])
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_long_strings_are_cut_out_and_kept(
    tmp_path: Path, head: str, cut: int, *, escaped: bool
) -> None:
    """Whatever the rest of it by three, and whether slashes are escaped."""
    raw = RAW[: len(RAW) - cut]
    data = head + base64.b64encode(raw).decode()
    found = opened({"a": "x", "media": [data, data], "b": '\\"'}, escaped=escaped)
    slim = json.loads(found.slim)
    assert [*found.parts] == slim["media"] == ["recado-part:n0:0", "recado-part:n0:1"]
    assert (slim["a"], slim["b"]) == ("x", '\\"')
    name = keep_inline(found, slim["media"][1], tmp_path, limit=LIMIT)
    assert (tmp_path / name).read_bytes() == raw


@pytest.mark.parametrize(
    "words", ["hola " * 40_000, "A" * 200_000 + "\n", "A" * 200_000 + '"', "\\" * 100_000]
)
def test_long_words_stay_where_they_are(words: str) -> None:
    body = json.dumps({"body": words, "rest": [1, 2]}).encode()
    assert open_body(body, nonce="n0").slim == body


async def test_a_large_call_is_held_once_and_read_off_the_event_loop(tmp_path: Path) -> None:
    """The body itself, and less than as much again, until its picture is a file."""
    picture = base64.b64encode(os.urandom(9_000_000)).decode()
    message = {"id": "m-1", "type": "image", "chat_id": "573001234567@s.whatsapp.net"}
    content = {"link": f"data:image/jpeg;base64,{picture}"}
    body = json.dumps({"messages": [{**message, "image": content}]}).encode()
    del picture, content
    readers: list[int] = []

    def noted(body: bytes, *, number: str = "", path_event: str = "") -> Webhook:
        readers.append(threading.get_ident())
        return parse_webhook(body, number=number, path_event=path_event)

    tracemalloc.start()
    try:
        webhook, found = await intake.read_webhook(
            body, "", number="main", parse=noted, nonce=lambda: "n0"
        )
        (kept,) = (
            await intake.keep_files(
                webhook, found, [""], files=LocalFiles(tmp_path), limit=10_000_000
            )
        ).messages
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(body)
    assert threading.get_ident() not in readers
    assert isinstance(kept.content, Media)
    assert (tmp_path / "media" / kept.content.inline).stat().st_size == 9_000_000


@given(st.binary(max_size=3000), st.integers(min_value=0, max_value=200_000))
@settings(max_examples=60, deadline=None)
def test_a_body_that_is_no_json_never_grows(noise: bytes, length: int) -> None:
    body = noise + b'"' + b"A" * length + b'"' + noise
    found = open_body(body, nonce="n0")
    assert len(found.slim) <= len(body)
    if found.parts:
        (start, end), *_ = found.parts.values()
        assert body[start:end].strip(b"A") == b""


def test_a_mark_that_we_did_not_write_is_nothing(tmp_path: Path) -> None:
    assert keep_inline(Opened(b"", b""), "recado-part:x:0", tmp_path, limit=LIMIT) == ""


@pytest.mark.parametrize("source", ["data:;base64,A", "data:;base64,A===B"])
def test_invalid_base64_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(MediaRefused):
        keep_inline(Opened(b"", b""), source, tmp_path, limit=LIMIT)
    assert list(tmp_path.iterdir()) == []


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    found = opened([base64.b64encode(RAW).decode()])
    with pytest.raises(MediaRefused, match="larger"):
        keep_inline(found, next(iter(found.parts)), tmp_path, limit=1000)
    assert list(tmp_path.iterdir()) == []
