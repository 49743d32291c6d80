"""Each fault as an HTTP client sees it, and whether the customer got the message."""

from functools import partial

import httpx
import pytest
import trio
from support.faults import FaultKind
from support.gateway import ScriptedGateway

LAURA = "573001234567"
BODY = {"to": LAURA, "body": "Con gusto"}


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 500])
async def test_a_status_refuses_without_delivering(
    gateway: ScriptedGateway, api: httpx.AsyncClient, status: int
) -> None:
    gateway.faults.add(operation="send", kind="status", status=status, times=2)
    with trio.fail_after(30):
        answers = [await api.post("/messages/text", json=BODY) for _ in range(3)]
    assert [a.status_code for a in answers] == [status, status, 200]
    assert answers[0].json()["error"]["code"] == status
    assert len(gateway.sent(LAURA)) == 1


async def test_429_has_a_retry_after_if_scripted(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    gateway.faults.add(operation="send", kind="status", status=429, retry_after="7")
    gateway.faults.add(operation="send", kind="status", status=429)
    with trio.fail_after(30):
        answers = [await api.post("/messages/text", json=BODY) for _ in range(2)]
    assert [a.headers.get("retry-after") for a in answers] == ["7", None]


@pytest.mark.parametrize(("kind", "delivered"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_connection_gives_no_answer_at_all(
    gateway: ScriptedGateway, api: httpx.AsyncClient, kind: FaultKind, delivered: int
) -> None:
    gateway.faults.add(operation="send", kind=kind)
    with trio.fail_after(30):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await api.post("/messages/text", json=BODY)
        assert len(gateway.sent(LAURA)) == delivered
        again = await api.post("/messages/text", json=BODY)
    assert again.status_code == 200
    assert [call.status for call in gateway.calls("send")] == [0, 200]


async def test_half_a_body_is_seen_as_one(gateway: ScriptedGateway, api: httpx.AsyncClient) -> None:
    gateway.faults.add(operation="send", kind="half_body")
    complete = "without sending complete message body"
    with trio.fail_after(30), pytest.raises(httpx.RemoteProtocolError, match=complete):
        await api.post("/messages/text", json=BODY)
    assert len(gateway.sent(LAURA)) == 1


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [("garbage", 200, "<html>"), ("no_id", 200, '"message": {}'), ("status_after", 500, "error")],
)
async def test_a_delivered_send_with_a_useless_answer(
    gateway: ScriptedGateway, api: httpx.AsyncClient, kind: FaultKind, status: int, found: str
) -> None:
    gateway.faults.add(operation="send", kind=kind)
    with trio.fail_after(30):
        answer = await api.post("/messages/text", json=BODY)
    assert answer.status_code == status
    assert found in answer.text
    assert len(gateway.sent(LAURA)) == 1


@pytest.mark.parametrize(("kind", "meanwhile"), [("hold", 0), ("hold_answer", 1)])
async def test_a_held_call_continues_when_released(
    gateway: ScriptedGateway,
    api: httpx.AsyncClient,
    nursery: trio.Nursery,
    kind: FaultKind,
    meanwhile: int,
) -> None:
    fault = gateway.faults.add(operation="send", kind=kind)
    answered: list[int] = []

    async def send() -> None:
        answered.append((await api.post("/messages/text", json=BODY)).status_code)

    with trio.fail_after(30):
        nursery.start_soon(send)
        await fault.reached.wait()
        await gateway.wait_for(lambda: len(gateway.sent(LAURA)) == meanwhile)
        assert answered == []
        gateway.reset_faults()
        await gateway.wait_for(lambda: len(gateway.calls("send")) == 1)
        assert len(gateway.sent(LAURA)) == 1


async def test_a_held_call_whose_client_leaves_is_never_done(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    fault = gateway.faults.add(operation="send", kind="hold", times=-1)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(api.post, "/messages/text", json=BODY))
            await fault.reached.wait()
            nursery.cancel_scope.cancel()
        await gateway.wait_for(lambda: len(gateway.calls("send")) == 1)
        gateway.reset_faults()
        await api.post("/messages/text", json=BODY)
    assert len(gateway.sent(LAURA)) == 1


async def test_a_fault_meets_its_operation_and_chat_alone(
    gateway: ScriptedGateway, api: httpx.AsyncClient
) -> None:
    chat = f"{LAURA}@s.whatsapp.net"
    gateway.faults.add(operation="presence", kind="status", status=500, chat=chat)
    with trio.fail_after(30):
        other = await api.put("/presences/573009990000", json={"presence": "typing"})
        send = await api.post("/messages/text", json=BODY)
        hit = await api.put(f"/presences/{LAURA}", json={"presence": "typing"})
    assert [r.status_code for r in (other, send, hit)] == [200, 200, 500]
