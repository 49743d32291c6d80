"""A person without a phone number is answered, shown, found, exported and forgotten."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from support.cloud_bodies import contact, message
from support.dashboard import chats_of, open_browser, words_of
from support.operator import recado
from support.rows import count, select
from support.scenes import found, open_scene, outcomes
from support.stage import Stage

from .test_cloud_number import NAMELESS_CHAT, cloud_scene

LID = "88012345678901@lid"
WORDS = "Tengo alergia al maní"
USERNAME = "laura.gomez"


@dataclass
class Nameless:
    """Somebody who shows a username in the place of a number, and the daemon that they write to."""

    stage: Stage
    chat: str
    say: Callable[[str], Awaitable[object]]
    got: Callable[[], list[str]]


@asynccontextmanager
async def on_whapi(folder: Path) -> AsyncIterator[Nameless]:
    async with open_scene(folder) as stage:

        async def say(words: str) -> None:
            await stage.gateway.customer_says(LID, words, name=USERNAME)

        yield Nameless(stage, LID, say, lambda: [one.text for one in stage.gateway.sent(LID)])


@asynccontextmanager
async def on_cloud(folder: Path) -> AsyncIterator[Nameless]:
    """The profile has no name, only the username."""
    async with cloud_scene(folder) as stage:
        person, said = stage.cloud.contact(NAMELESS_CHAT), 0

        async def say(words: str) -> None:
            nonlocal said
            said += 1
            person.written_at = stage.cloud.now()
            text = message(
                by="",
                scoped=person.scoped,
                id=f"wamid.{said}",
                content={"body": words},
                timestamp=str(int(stage.cloud.now())),
            )
            who = contact(wa_id="", scoped=person.scoped, name="", username=USERNAME)
            await stage.cloud.call_webhook("messages", {"contacts": [who], "messages": [text]})

        yield Nameless(stage, NAMELESS_CHAT, say, lambda: stage.got(NAMELESS_CHAT))


GATEWAYS = {"whapi": on_whapi, "cloud": on_cloud}


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
async def test_a_person_without_a_number_is_nobodys_exception(tmp_path: Path, gateway: str) -> None:
    async with GATEWAYS[gateway](tmp_path) as person:
        stage, data = person.stage, person.stage.settings.data_dir
        await person.say(WORDS)
        with trio.fail_after(60):
            await found(lambda: outcomes(stage), lambda ended: ended == ["answered"])
        assert len(person.got()) == 1
        # Stored, and shown under the username, with most of the id hidden.
        assert select(data, "chats", "chat, contact_name") == [(person.chat, USERNAME)]
        async with open_browser(stage) as browser:
            (shown,) = await chats_of(browser)
            assert shown["name"] == USERNAME
            local = person.chat.partition("@")[0]
            assert shown["number"]
            assert local not in json.dumps(shown)
            page = await browser.get(f"/dashboard/chats/{shown['ref']}")
            assert WORDS in words_of(page.text)
            assert local not in page.text
            # Found by the username, by words, and by the beginning of the id.
            for query in (USERNAME[:6], "alergia", local[:8]):
                assert [one["ref"] for one in await chats_of(browser, q=query)] == [shown["ref"]]
            assert await chats_of(browser, q="573009") == []
            # An operator pauses and gives back the chat by its id.
            for action in ("pause", "resume"):
                path = f"/api/v1/chats/{shown['ref']}/{action}"
                assert (await browser.post(path, json={})).status_code == 204
        assert local not in stage.log.getvalue()
        sent = await recado(data, "send", person.chat, "Su mesa está lista", "--wait", "30")
        assert sent.exit_code == 0, sent.output
        assert person.got()[-1] == "Su mesa está lista"
        exported = await recado(data, "export", person.chat)
        assert exported.exit_code == 0, exported.output
        assert WORDS in json.dumps(json.loads(exported.stdout), ensure_ascii=False)
        await stage.quiet()
        forgotten = await recado(data, "forget", person.chat, "--yes")
        assert forgotten.exit_code == 0, forgotten.output
        left = await recado(data, "export", person.chat)
        assert WORDS not in left.output
        assert count(data, "chats", where={"chat": person.chat}) == 0
        # Whoever was forgotten may write again.
        await person.say("Hola otra vez")
        await found(lambda: count(data, "chats", where={"chat": person.chat}))
