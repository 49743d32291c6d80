"""Webhooks come in order, in all three modes, until their 200; echoes come when scripted."""

import itertools
import json
import random
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from support.gateway import ScriptedGateway
from support.ports import free_port

from daemon.sandbox.webhooks import Postbox, Target, WebhookPost

LAURA = "573001234567"
ANDRES = "573005550142"
GROUP = "120363000000000042@g.us"


async def test_a_customers_text_is_posted_with_the_secret(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    with trio.fail_after(30):
        message_id = await gateway.customer_says(LAURA, "Hola", name="Laura")
    (call,) = receiver.calls
    assert (call.method, call.path, call.event) == ("POST", "/hook", "messages.post")
    assert call.headers["authorization"] == "Bearer hook-secret"
    assert (
        call.payload["messages"]
        == [
            {
                "id": message_id,
                "from_me": False,
                "chat_id": f"{LAURA}@s.whatsapp.net",
                "timestamp": 1763890000,
                "source": "mobile",
                "chat_name": "Laura Gómez",
                "from": LAURA,
                "from_name": "Laura",
                "type": "text",
                "text": {"body": "Hola"},
                "status": "delivered",
            }
        ]
        or "status" not in call.payload["messages"][0]
    )
    assert gateway.acknowledged(message_id)


@pytest.mark.parametrize(
    ("mode", "method", "path"),
    [
        ("body", "POST", "/hook"),
        ("path", "POST", "/hook/messages/patch"),
        ("method", "PATCH", "/hook/messages"),
    ],
)
async def test_the_delivery_modes(
    gateway: ScriptedGateway, receiver: Any, mode: str, method: str, path: str
) -> None:
    gateway.set_webhook(gateway.targets()[0].url, mode=mode)
    with trio.fail_after(30):
        message_id = await gateway.customer_says(LAURA, "Hola")
        await gateway.customer_edits(message_id, "Hola!", as_update=True)
    call = receiver.calls[-1]
    assert (call.method, call.path) == (method, path)
    update = call.payload["messages_updates"][0]
    assert update["after_update"]["text"] == {"body": "Hola!"}


async def test_a_failing_webhook_is_tried_again_until_its_200(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    receiver.statuses = [500, 202, 401]
    with trio.fail_after(30):
        await gateway.customer_says(LAURA, "Hola", deliver="attempted")
        first = await gateway.customer_says(LAURA, "Otra", deliver="acknowledged")
    assert [a.status for a in gateway.postbox.deliveries[0].attempts] == [500, 202, 401, 200]
    assert len(receiver.calls) == 5
    assert gateway.acknowledged(first)


async def test_webhooks_wait_for_a_daemon_that_is_down_and_follow_it_to_a_new_address(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    """Nothing is lost or put in another order, and only a 200 acknowledges."""
    up = gateway.targets()[0].url
    gateway.set_webhook(f"http://127.0.0.1:{free_port()}/hook")
    with trio.fail_after(30):
        message_id = await gateway.customer_says(LAURA, "uno")
        assert not gateway.acknowledged(message_id)
        assert gateway.postbox.deliveries[0].attempts[0].reason == "ConnectError"
        gateway.set_webhook(up)
        await gateway.customer_says(LAURA, "dos", deliver="acknowledged")
    texts = [c.payload["messages"][0]["text"]["body"] for c in receiver.calls]
    assert texts == ["uno", "dos"]
    assert gateway.acknowledged(message_id)


async def test_without_an_order_a_stuck_call_holds_up_no_other(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    gateway.in_order = False
    gateway.postbox.backoff_seconds = 60
    receiver.statuses = [500]
    with trio.fail_after(30):
        stuck = await gateway.customer_says(LAURA, "uno")
        later = await gateway.customer_says(LAURA, "dos", deliver="acknowledged")
    assert (gateway.acknowledged(stuck), gateway.acknowledged(later)) == (False, True)


async def test_the_wait_between_tries_grows_linearly_up_to_its_ceiling(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing listens anywhere: the calls fail before they meet a socket."""
    at: list[float] = []

    def now() -> float:
        at.append(trio.current_time())
        return 0.0

    postbox = Postbox(
        now=now,
        backoff_seconds=3,
        max_backoff_seconds=7,
        timeout_seconds=30,
        report=lambda delivery: tries.set() if len(delivery.attempts) == 5 else None,
    )
    tries = trio.Event()
    postbox.put("lane", WebhookPost(Target("no-scheme"), "messages.post", {}, b"{}", ()))
    async with trio.open_nursery() as nursery:
        await nursery.start(postbox.run)
        await tries.wait()
        nursery.cancel_scope.cancel()
    assert [round(b - a) for a, b in itertools.pairwise(at)] == [3, 6, 7, 7]
    assert autojump_clock.current_time() >= 23


async def test_calls_queued_before_run_are_delivered_by_it(
    nursery: trio.Nursery, serve_app: Any, receiver: Any
) -> None:
    hook = await serve_app(receiver)
    rng = random.Random(1)  # noqa: S311 - the same ids in every run
    gateway = ScriptedGateway(token="t", now=lambda: 1.0, rng=rng, webhook_url=hook)
    with trio.fail_after(30):
        for text in ("uno", "dos", "tres"):
            await gateway.customer_says(LAURA, text, deliver="queued")
        await nursery.start(gateway.run)
        await receiver.wait_calls(3)
    texts = [c.payload["messages"][0]["text"]["body"] for c in receiver.calls]
    assert texts == ["uno", "dos", "tres"]


async def test_typing_is_reported_of_subscribed_contacts_only(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    with trio.fail_after(30):
        await gateway.customer_types(LAURA)
        await api.post(f"/presences/{LAURA}")
        await gateway.customer_types(LAURA)
        await gateway.customer_records(LAURA)
        await gateway.customer_stops(LAURA)
    presences = [c.payload["presences"][0] for c in receiver.calls]
    assert presences == [
        {"contact_id": LAURA, "status": s} for s in ("typing", "recording", "online")
    ]


async def test_several_messages_and_a_presence_in_one_call(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    with trio.fail_after(30):
        parts = [gateway.compose(LAURA, text) for text in ("sí", "sí")]
        presence = {"contact_id": LAURA, "status": "typing"}
        await gateway.announce(parts, presences=[presence])
    (call,) = receiver.calls
    assert [m["text"]["body"] for m in call.payload["messages"]] == ["sí", "sí"]
    assert call.payload["presences"] == [presence]
    assert all(gateway.acknowledged(m["id"]) for m in parts)


async def test_reactions_votes_and_other_actions_are_posted(
    gateway: ScriptedGateway, receiver: Any
) -> None:
    with trio.fail_after(30):
        first = await gateway.customer_says(LAURA, "mira https://example.com", id="first-0001")
        await gateway.customer_says(LAURA, "ese", quote=first)
        await gateway.customer_reacts(first, "👍")
        await gateway.customer_edits(first, "mira esto")
        await gateway.customer_deletes(first)
        await gateway.customer_deletes(first, as_removal=True)
        await gateway.agent_says(LAURA, "Hola, soy Ana")
        await gateway.customer_sends(LAURA, {"type": "location", "location": {"latitude": 4.7}})
        await gateway.customer_says(GROUP, "¿vamos?", author=ANDRES)
        await gateway.redeliver(first)
    payloads = [c.payload for c in receiver.calls]
    messages = [p["messages"][0] if "messages" in p else p for p in payloads]
    assert messages[0]["type"] == "link_preview"
    assert messages[1]["context"]["quoted_id"] == first
    actions = [m["action"]["type"] for m in messages if m.get("type") == "action"]
    assert actions == ["reaction", "edit", "delete"]
    assert messages[5]["messages_removed"] == [first]
    assert (messages[6]["from_me"], messages[6]["source"]) == (True, "mobile")
    assert "device_id" not in messages[6]
    assert messages[7]["location"] == {"latitude": 4.7}
    assert (messages[8]["from"], messages[8]["from_name"]) == (ANDRES, "Andrés Pardo")
    assert messages[9]["id"] == first


async def test_hostile_bytes_can_be_posted(gateway: ScriptedGateway, receiver: Any) -> None:
    with trio.fail_after(30):
        status = await gateway.deliver_raw(b"{\xff", path="/messages", headers={"x-odd": "1"})
    (call,) = receiver.calls
    assert (status, call.body, call.path) == (200, b"{\xff", "/hook/messages")
    assert "authorization" not in call.headers


async def test_a_send_is_echoed_after_its_answer_with_statuses(
    api: httpx.AsyncClient, receiver: Any
) -> None:
    with trio.fail_after(30):
        sent = await api.post("/messages/text", json={"to": LAURA, "body": "Va"})
        await receiver.wait_calls(3)
    message_id = sent.json()["message"]["id"]
    assert [c.event for c in receiver.calls] == ["messages.post", "statuses.post", "statuses.post"]
    echo = receiver.calls[0].payload["messages"][0]
    assert (echo["id"], echo["from_me"], echo["source"]) == (message_id, True, "api")
    statuses = [c.payload["statuses"][0] for c in receiver.calls[1:]]
    assert [s["status"] for s in statuses] == ["sent", "delivered"]
    assert {s["timestamp"] for s in statuses} == {"1763890000"}


async def test_an_echo_may_come_before_the_answer(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    gateway.echoes.mode = "before"
    held = gateway.faults.add(operation="send", kind="hold_answer")
    async with trio.open_nursery() as nursery:
        with trio.fail_after(30):
            nursery.start_soon(_send, api)
            (call,) = await receiver.wait_calls(1)
            assert gateway.calls("send") == []
            held.release()
    assert call.event == "messages.post"


async def test_an_echo_may_be_late_missing_or_under_another_id(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    gateway.echoes.statuses = False
    with trio.fail_after(30):
        gateway.echoes.mode = "missing"
        await _send(api)
        gateway.echoes.mode = "delayed"
        late = await _send(api)
        gateway.echoes.mode = "other_id"
        other = await _send(api)
        await receiver.wait_calls(1)
        gateway.echoes.release()
        await receiver.wait_calls(2)
    ids = [c.payload["messages"][0]["id"] for c in receiver.calls]
    assert ids[0] != other
    assert ids[1] == late


async def test_a_send_whose_answer_was_cut_is_echoed(
    gateway: ScriptedGateway, api: httpx.AsyncClient, receiver: Any
) -> None:
    gateway.faults.add(operation="send", kind="drop_after")
    with trio.fail_after(30):
        with pytest.raises(httpx.RemoteProtocolError):
            await _send(api)
        await receiver.wait_calls(1)
    assert json.loads(receiver.calls[0].body)["messages"][0]["id"] == gateway.sent(LAURA)[0].id


async def _send(api: httpx.AsyncClient) -> str:
    answer = await api.post("/messages/text", json={"to": LAURA, "body": "Va"})
    return str(answer.json()["message"]["id"])
