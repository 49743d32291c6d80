"""The API about work that failed, turns, consent, figures, numbers, the log and files."""

from pathlib import Path
from typing import Any

import httpx
import trio
from support.api import Client, open_client, token_on
from support.model_script import Step, say
from support.place import POSTGRES, database
from support.rows import insert, select
from support.scenes import forgive, found, open_scene, outcomes
from support.stage import LAURA, Stage


async def read(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_dead_turn_is_listed_and_replayed(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        refusal: dict[str, Any] = {"status": 400, "code": "invalid_prompt", "message": "no"}
        stage.model.script(Step(**refusal), say("Mañana sí."))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await found(lambda: outcomes(stage) == ["dead"])
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        async with open_client(stage, token_on(stage.settings.data_dir, "operator")) as api:
            (turn,) = (await read(api, "dead-turns"))["turns"]
            assert (turn["messages"], turn["number"]) == (1, "main")
            assert LAURA not in str(turn)
            missed = await api.post("dead-turns/replay", json={"chat": "nobody"})
            assert missed.status_code == 404
            done = await api.post("dead-turns/replay", json={"chat": turn["chat"]})
            assert done.json() == {"put_back": 1}
            await stage.gateway.wait_sent(LAURA, 2)
            assert (await api.post("dead-turns/replay", json={"chat": None})).json() == {
                "put_back": 0
            }
        forgive(stage)


async def test_a_refused_message_is_sent_again_or_dropped(stage: Stage, client: Client) -> None:
    place = stage.settings.data_dir
    ((channel, chat),) = select(place, "chats", "channel, chat")
    row = {"channel": channel, "chat": chat, "body": "otra", "state": "failed", "created_at": 1}
    insert(place, "outbox", row | {"id": 901}, row | {"id": 902})
    async with client("operator") as api:
        listed = (await read(api, "failed-messages"))["messages"]
        assert [one["id"] for one in listed] == [902, 901]
        assert (await api.post("failed-messages/901/send-again")).status_code == 204
        assert (await api.post("failed-messages/902/drop")).status_code == 204
        assert (await api.post("failed-messages/902/drop")).status_code == 409
        assert (await api.post("failed-messages/999/drop")).status_code == 404
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[-1] == "otra"
        assert (await read(api, "failed-messages"))["messages"] == []


async def test_an_unreadable_event_is_listed_and_read_again(stage: Stage, client: Client) -> None:
    body = {"channel_id": "X", "messages": ["no message"], "event": {"type": "messages"}}
    assert (await stage.post(body)).status_code == 200
    async with client("operator") as api:
        (event,) = (await read(api, "unreadable-events"))["events"]
        assert event["kept"]
        done = await api.post(f"events/{event['id']}/replay")
        assert done.json() == {"put_back": 0}
        assert (await api.post("events/4711/replay")).status_code == 404


async def test_a_webhook_that_was_given_up_is_delivered_again(stage: Stage, client: Client) -> None:
    place = stage.settings.data_dir
    columns = {"endpoint": "crm", "event": "budget.spent", "channel": "main", "chat": ""}
    dead = {"state": "dead", "created_at": 1, "ended_at": 2, "next_at": 1, "payload": "{}"}
    insert(place, "webhook_deliveries", columns | dead | {"webhook_id": "msg_1", "error": "410"})
    async with client("operator") as api:
        (delivery,) = (await read(api, "webhook-deliveries"))["deliveries"]
        assert (delivery["endpoint"], delivery["error"]) == ("crm", "410")
        done = await api.post("webhook-deliveries/replay", json={"ids": [delivery["id"]]})
        assert done.json() == {"put_back": 1}
        done = await api.post("webhook-deliveries/replay", json={"endpoint": "*"})
        assert done.json() == {"put_back": 0}


async def test_turns_are_told_with_all_that_happened(client: Client) -> None:
    async with client("read") as api:
        (chat,) = (await read(api, "chats"))["chats"]
        path = f"chats/{chat['ref']}/turns"
        (turn,) = (await read(api, path))["turns"]
        assert (turn["outcome"], turn["messages"], turn["sent"]) == ("answered", 1, 1)
        story = await read(api, f"{path}/{turn['turn']}")
        assert story["outbox"][0]["body"] == "Sí, hay cupo."
        assert LAURA not in str(story)
        assert (await api.get(f"{path}/turn_none")).status_code == 404
    async with client("operator") as api:
        assert (await api.post(f"chats/{chat['ref']}/cancel-run")).status_code == 409


async def test_who_has_opted_out_is_not_written_to(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        (chat,) = (await read(api, "chats"))["chats"]
        path = f"chats/{chat['ref']}"
        for _ in range(2):
            done = await api.post(f"{path}/consent", json={"opted_out": True})
            assert done.status_code == 204
        assert (await read(api, path))["opted_out_at"]
        text = {"type": "text", "text": "Oferta"}
        refused = await api.post(f"{path}/messages", json=text)
        assert (refused.status_code, "opted out" in refused.json()["detail"]) == (409, True)
        to = await api.post("messages", json={"to": LAURA, "message": text})
        assert to.status_code == 409
        await api.post(f"{path}/consent", json={"opted_out": False})
        assert (await read(api, path))["opted_out_at"] is None
        assert (await api.post(f"{path}/messages", json=text)).status_code == 202
        await stage.gateway.wait_sent(LAURA, 2)
    audited = select(stage.settings.data_dir, "audit", "action", where={"action": "consent"})
    assert len(audited) == 2


async def test_the_daemon_tells_of_itself(client: Client) -> None:
    async with client("read") as api:
        (number,) = (await read(api, "numbers"))["numbers"]
        assert (number["name"], number["gateway"]) == ("main", "whapi")
        nodes = (await read(api, "nodes"))["nodes"]  # none on SQLite
        assert [one["numbers"] for one in nodes] == ([["main"]] if database() is POSTGRES else [])
        figures = await read(api, "figures")
        assert {part["name"] for part in figures["parts"]} == {
            *("daemon", "channel", "model", "store")
        }
        assert figures["last_day"].keys() >= {"messages", "answers", "tokens"}
        outcomes = await read(api, "outcomes?by=number,day")
        assert outcomes.keys() == {"from", "to", "rows", "total"}
        assert outcomes["total"]["enquiries"] >= 0
        for wrong in ("from=2026-13-01", "from=2026-01-01", "by=weather"):
            assert (await api.get(f"outcomes?{wrong}")).status_code == 422
        usage = await read(api, "usage")
        assert usage["numbers"][0]["tokens"] > 0
        assert usage["contacts"][0]["chat"]
        assert (await read(api, "work"))["outbox"]["pending"] == 0
        assert (await read(api, "reminders"))["reminders"] == []
        assert (await read(api, "questions"))["questions"] == []
        assert (await api.get("knowledge?question=perros")).status_code == 404
        assert (await api.get("files/nothing.jpg")).status_code == 404
        with trio.fail_after(30):
            while not (lines := (await read(api, "log"))["lines"]):  # noqa: ASYNC110 - rows
                await trio.sleep(0.05)
        newer = await read(api, f"log?after={lines[-1]['id']}")
        assert newer["after"] >= lines[-1]["id"]


async def test_a_file_is_downloaded(stage: Stage, client: Client) -> None:
    folder = stage.settings.data_dir / "media"
    folder.mkdir(exist_ok=True)
    (folder / "picture.jpg").write_bytes(b"JPEG")
    async with client("read") as api:
        answer = await api.get("files/picture.jpg")
    assert (answer.status_code, answer.content) == (200, b"JPEG")
    assert answer.headers["content-type"] == "image/jpeg"
    assert "attachment" in answer.headers["content-disposition"]
