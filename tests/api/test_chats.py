"""The API beside a daemon that talks to customers: chats, messages, who has a chat, reminders."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import trio
from support.api import Client
from support.rows import count, select
from support.stage import LAURA, Stage


async def the_chat(api: httpx.AsyncClient) -> dict[str, Any]:
    (chat,) = (await api.get("chats")).json()["chats"]
    found: dict[str, Any] = chat
    return found


async def test_chats_and_messages_are_read(client: Client) -> None:
    async with client("read") as api:
        chat = await the_chat(api)
        assert chat["name"].startswith("Laura")
        assert (chat["number"], chat["state"]) == ("main", "idle")
        assert LAURA not in str(chat)
        assert chat["last"]["text"] == "Sí, hay cupo."
        assert (await api.get("chats", params={"query": "nobody"})).json()["chats"] == []
        whole = (await api.get(f"chats/{chat['ref']}")).json()
        assert whole["cost"].keys() == {"model", "gateway", "currency"}
        page = (await api.get(f"chats/{chat['ref']}/messages")).json()
        assert [(one["side"], one["text"]) for one in page["messages"]] == [
            ("customer", "¿Hay cupo el viernes?"),
            ("bot", "Sí, hay cupo."),
        ]
        assert page["next"] == ""
        for message in page["messages"]:
            one = await api.get(f"chats/{chat['ref']}/messages/{message['id']}")
            assert one.json() == message


async def test_messages_are_searched_in_all_chats(client: Client) -> None:
    async with client("read") as api:
        ref = (await the_chat(api))["ref"]
        page = (await api.get("search", params={"query": "CUPÓ"})).json()
        assert [(one["chat"], one["id"]) for one in page["found"]] == [
            (ref, "out-1"),
            (ref, "in-1"),
        ]
        assert page["next"] == ""
        assert {"text": "cupo", "marked": True} in page["found"][1]["snippet"]
        first = (await api.get("search", params={"query": "cup", "limit": 1})).json()
        params = {"query": "cup", "cursor": first["next"]}
        assert (await api.get("search", params=params)).json()["found"] == page["found"][1:]
        for other in (
            {"query": "nobody"},
            {"query": "cupo", "person": "nobody"},
            {"query": "cupo", "state": "failed"},
            {"query": "cupo", "since": "2999-01-01T00:00:00Z"},
            {"query": "cupo", "until": "2001-01-01T00:00:00Z"},
        ):
            assert (await api.get("search", params=other)).json()["found"] == [], other
        assert (await api.get("search")).status_code == 422


async def test_a_cursor_leads_to_the_messages_before(client: Client) -> None:
    async with client("read") as api:
        ref = (await the_chat(api))["ref"]
        seen, cursor = [], ""
        while True:
            page = (await api.get(f"chats/{ref}/messages?limit=1&cursor={cursor}")).json()
            seen += [message["text"] for message in page["messages"]]
            cursor = page["next"]
            if not cursor:
                break
        assert seen == ["Sí, hay cupo.", "¿Hay cupo el viernes?"]


async def test_what_is_no_cursor_is_refused(client: Client) -> None:
    """The first page again, instead, would never end."""
    async with client("read") as api:
        (chat,) = (await api.get("chats")).json()["chats"]
        for path in ("chats", f"chats/{chat['ref']}/messages", "search?query=cupo"):
            answer = await api.get(path, params={"cursor": "last week"})
            assert answer.status_code == 422, path
            assert "cursor" in answer.json()["detail"]


async def test_what_is_not_there_is_a_problem(client: Client) -> None:
    async with client("read") as api:
        ref = (await the_chat(api))["ref"]
        for path in ("chats/nobody", f"chats/{ref}/messages/out-99", f"chats/{ref}/messages/x"):
            missed = await api.get(path)
            assert missed.status_code == 404
            assert missed.headers["content-type"] == "application/problem+json"
            assert missed.json()["title"] == "Not Found"
        wrong = await api.get("chats", params={"limit": "many"})
        assert (wrong.status_code, "limit" in wrong.json()["detail"]) == (422, True)
        unknown = await api.get("chats", params={"colour": "red"})
        assert unknown.status_code == 422
        assert (await api.get("no-such-thing")).status_code == 404
        not_here = await api.delete("chats")
        assert (not_here.status_code, not_here.json()["status"]) == (405, 405)
        assert "GET" in not_here.headers["allow"]


async def test_a_message_is_sent_and_followed(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        ref = (await the_chat(api))["ref"]
        sent = await api.post(
            f"chats/{ref}/messages", json={"type": "text", "text": " Le esperamos. "}
        )
        assert sent.status_code == 202, sent.text
        assert sent.json()["chat"] == ref
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[-1] == "Le esperamos."
        with trio.fail_after(30):
            while True:
                found = (await api.get(f"chats/{ref}/messages/{sent.json()['id']}")).json()
                if found["state"] not in {"pending", "sending"}:
                    break
                await trio.sleep(0.05)
        assert found["side"] == "agent"
        assert found["name"].startswith("agent-")
        assert (await api.get(f"chats/{ref}")).json()["paused_until"]
        resumed = await api.post(f"chats/{ref}/resume")
        assert (resumed.status_code, resumed.content) == (204, b"")
        assert (await api.get(f"chats/{ref}")).json()["paused_until"] is None


async def test_somebody_new_is_written_to(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        body = {"to": "+573009998877", "message": {"type": "text", "text": "Hola"}}
        sent = await api.post("messages", json=body)
        assert sent.status_code == 202, sent.text
        await stage.gateway.wait_sent("573009998877")
        assert (await api.get(f"chats/{sent.json()['chat']}")).status_code == 200
        elsewhere = await api.post("messages", json={**body, "number": "nope"})
        assert elsewhere.status_code == 404


async def test_the_same_key_takes_effect_once(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        ref = (await the_chat(api))["ref"]
        path, body = f"chats/{ref}/messages", {"type": "text", "text": "Una vez"}
        key = {"Idempotency-Key": "order-4711"}
        first = await api.post(path, json=body, headers=key)
        again = await api.post(path, json=body, headers=key)
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json() == again.json()
        other = await api.post(path, json={**body, "text": "Otra"}, headers=key)
        assert other.status_code == 422
        async with client("agent") as another:  # a key is its token's own
            theirs = await another.post(path, json=body, headers=key)
            assert theirs.json()["id"] != first.json()["id"]
        await stage.crash()
        await stage.start()
        api.base_url = httpx.URL(f"{stage.url}/api/v1/")
        after = await api.post(path, json=body, headers=key)
        assert after.json() == first.json()
        await stage.gateway.wait_sent(LAURA, 3)
        assert stage.received()[1:] == ["Una vez", "Una vez"]
        for bad in ("", "x" * 201):
            refused = await api.post(path, json=body, headers={"Idempotency-Key": bad})
            assert refused.status_code == 400
        assert count(stage.settings.data_dir, "idempotency_keys", where={"name": "order-4711"}) == 0


async def test_a_chat_is_taken_over_given_back_and_closed(client: Client) -> None:
    async with client("agent") as api:
        ref = (await the_chat(api))["ref"]
        assert (await api.post(f"chats/{ref}/pause", json={"minutes": 5})).status_code == 204
        assert (await api.get(f"chats/{ref}")).json()["state"] == "paused"
        assert (await api.post(f"chats/{ref}/pause", json={"minutes": 0})).status_code == 422
        assert (await api.post(f"chats/{ref}/resume")).status_code == 204
        assert (await api.post(f"chats/{ref}/close")).json() == {"messages": 0}


async def test_a_reminder_is_added_once_listed_and_cancelled(client: Client) -> None:
    async with client("agent") as api:
        path = f"chats/{(await the_chat(api))['ref']}/reminders"
        when = (datetime.now(UTC) + timedelta(days=2)).isoformat()
        body, key = {"text": "Mañana", "when": when}, {"Idempotency-Key": "r"}
        first = await api.post(path, json=body, headers=key)
        assert first.status_code == 201, first.text
        assert (await api.post(path, json=body, headers=key)).json() == first.json()
        (listed,) = (await api.get(path)).json()["reminders"]
        assert (listed["text"], listed["kind"]) == ("Mañana", "reminder")
        past = await api.post(path, json={**body, "when": "2001-01-31"})
        assert past.status_code == 409
        assert (await api.delete(f"{path}/{listed['id']}")).status_code == 204
        assert (await api.delete(f"{path}/{listed['id']}")).status_code == 404
        assert (await api.delete(f"{path}/x")).status_code == 404


async def test_a_phone_number_is_shown_to_agents_and_audited(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        ref = (await the_chat(api))["ref"]
        assert (await api.post(f"chats/{ref}/reveal")).json() == {"phone": f"+{LAURA}"}
    (actor,) = select(stage.settings.data_dir, "audit", "actor", where={"action": "reveal"})
    assert actor[0].startswith("token agent-")


async def test_a_person_is_forgotten_by_an_operator_who_confirms(client: Client) -> None:
    async with client("operator") as api:
        ref = (await the_chat(api))["ref"]
        wrong = await api.post(f"chats/{ref}/forget", json={"confirm": "0000"})
        assert wrong.status_code == 409
        done = await api.post(f"chats/{ref}/forget", json={"confirm": LAURA[-4:]})
        assert done.status_code == 200, done.text
        assert (await api.get("chats")).json()["chats"] == []
