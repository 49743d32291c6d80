"""What the API sends besides texts: files by address and by upload, quotes, reactions."""

from typing import Any

import httpx
from support.api import Client, announce_body, token_on
from support.rows import rows
from support.stage import LAURA, Stage

from daemon.http.edge import UPLOAD_BYTES

JPEG = b"\xff\xd8\xff\xe0" + b"0" * 2_000_000


async def messages_of(api: httpx.AsyncClient) -> tuple[str, list[dict[str, Any]]]:
    """The path of the only chat's messages, and what is there."""
    (chat,) = (await api.get("chats")).json()["chats"]
    path = f"chats/{chat['ref']}/messages"
    return path, (await api.get(path)).json()["messages"]


async def test_a_message_quotes_another_and_reacts_to_it(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        path, (asked, _) = await messages_of(api)
        quoting = {"type": "text", "text": "Para dos", "quote": asked["id"]}
        sent = await api.post(path, json=quoting)
        assert sent.status_code == 202, sent.text
        *_, shown = (await api.get(path)).json()["messages"]
        assert shown["quote"]["message_id"] == asked["message_id"]
        await stage.gateway.wait_sent(LAURA, 2)
        (chat,) = (await api.get("chats")).json()["chats"]
        assert (await api.post(f"chats/{chat['ref']}/resume")).status_code == 204
        reacting = f"{path}/{asked['id']}/reaction"
        assert (await api.post(reacting, json={"emoji": "👍"})).status_code == 204
        while (await messages_of(api))[1][0]["reactions"] != ["👍"]:
            await stage.quiet()
        (chat,) = (await api.get("chats")).json()["chats"]
        assert chat["paused_until"] is None  # a reaction takes nothing over
        for place, wrong in (
            (f"{path}/in-99/reaction", {"emoji": "👍"}),
            (reacting, {"emoji": "no"}),
            (path, {"type": "text", "text": "Hola", "quote": "out-99"}),
        ):
            assert (await api.post(place, json=wrong)).status_code == 409, wrong


async def test_a_file_is_sent_by_its_address(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        path, _ = await messages_of(api)
        file = {"type": "file", "url": "https://example.com/menu.pdf", "filename": "menu.pdf"}
        assert (await api.post(path, json=file | {"caption": "La carta"})).status_code == 202
        await stage.gateway.wait_sent(LAURA, 2)
        (row,) = rows(stage.settings.data_dir, "outbox", "kind, body", where={"kind": "document"})
        assert row["body"] == "La carta"
        for url in ("http://example.com/a.pdf", "https://u:p@example.com/a", "file:///etc/passwd"):
            assert (await api.post(path, json=file | {"url": url})).status_code == 422


async def test_a_file_is_uploaded_and_sent_once(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        path, _ = await messages_of(api)
        files = path.replace("messages", "files")
        key = {"Idempotency-Key": "photo-1"}
        query = {"name": "room.jpg", "caption": "La habitación"}
        sent = [await api.post(files, params=query, content=JPEG, headers=key) for _ in range(2)]
        assert [one.status_code for one in sent] == [202, 202], sent[0].text
        assert sent[0].json() == sent[1].json()
        other = await api.post(files, params=query | {"caption": "Otra"}, content=JPEG, headers=key)
        assert other.status_code == 422
        await stage.gateway.wait_sent(LAURA, 2)
        (message,) = stage.gateway.sent(LAURA)[1:]
        assert message.kind == "image"
        assert (await api.post(files, params=query, content=b"")).status_code == 422
        assert (await api.post(files, params={"name": "a/b"}, content=b"x")).status_code == 422
    token = token_on(stage.settings.data_dir, "read")
    for size, status in ((UPLOAD_BYTES, 403), (UPLOAD_BYTES + 1, 413)):
        answer = await announce_body(stage, token, f"{files}?name=a", size)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
