"""The model server's webhooks: only signed, recent and new ones are heard."""

import base64
import hmac
import json
from hashlib import sha256

import httpx
import pytest
import trio
from support.edge import MemoryDaemon, Start
from support.plain import NO_TLS

from daemon.http.openai_webhook import TOLERANCE_SECONDS, SeenCalls, signature_fault

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = json.dumps({"type": "response.completed", "data": {"id": "resp_1"}}).encode()


def signed(body: bytes, *, at: float, key: bytes = KEY, name: str = "wh_1") -> dict[str, str]:
    text = f"{name}.{int(at)}.".encode() + body
    signature = base64.b64encode(hmac.new(key, text, sha256).digest()).decode()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,bm90IGl0 v1,{signature}",
    }


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        (signed(BODY, at=1000), ""),
        (signed(BODY, at=1000 - TOLERANCE_SECONDS), ""),
        (signed(BODY, at=999 - TOLERANCE_SECONDS), "too old"),
        (signed(BODY, at=1001 + TOLERANCE_SECONDS), "future"),
        (signed(BODY, at=1000, key=b"another"), "wrong"),
        (signed(BODY + b" ", at=1000), "wrong"),
        (signed(BODY, at=1000) | {"webhook-id": "wh_2"}, "wrong"),
        (signed(BODY, at=1000) | {"webhook-signature": "v1,ñ"}, "wrong"),
        (signed(BODY, at=1000) | {"webhook-timestamp": "٣"}, "missing"),
        ({}, "missing"),
    ],
)
def test_signatures(headers: dict[str, str], fault: str) -> None:
    found = signature_fault(headers, BODY, SECRET, now=1000)
    assert fault in found
    assert bool(found) == bool(fault)


def test_the_sdk_signs_the_same_way() -> None:
    """What passes here passes OpenAI's own check too."""
    openai = pytest.importorskip("openai")
    import time  # noqa: PLC0415 - only this test signs for the SDK's own clock

    headers = signed(BODY, at=time.time())
    headers["webhook-signature"] = headers["webhook-signature"].split()[1]
    with openai.OpenAI(api_key="x") as client:
        client.webhooks.verify_signature(BODY, headers, secret=SECRET)


def test_an_id_is_taken_once_and_forgotten_after_a_while() -> None:
    seen = SeenCalls()
    assert [seen.repeats("a", 0), seen.repeats("a", 1), seen.repeats("b", 2)] == [0, 1, 0]
    assert not seen.repeats("a", 3 * TOLERANCE_SECONDS)


async def test_the_daemon_gets_one_notice_of_the_response(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    with trio.fail_after(30):
        served = await start_edge(model_webhook_secret=SECRET)
        url = f"{served.url}/openai/webhook"
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            headers = signed(BODY, at=daemon.now())
            answers = [await client.post(url, content=BODY, headers=headers) for _ in range(2)]
            strange = await client.post(url, content=BODY, headers={})
            other = json.dumps({"type": "batch.completed", "data": {"id": "batch_1"}}).encode()
            headers = signed(other, at=daemon.now(), name="wh_2")
            ignored = await client.post(url, content=other, headers=headers)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert (strange.status_code, ignored.status_code) == (401, 200)
    assert daemon.ended == ["resp_1"]


async def test_without_a_secret_there_is_no_such_route(start_edge: Start) -> None:
    with trio.fail_after(30):
        served = await start_edge()
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.post(f"{served.url}/openai/webhook", content=BODY)
    assert answer.status_code == 404
