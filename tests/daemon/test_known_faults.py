"""Faults met elsewhere that no other test shows: see docs/faults.md for all of them."""

import gc
import json
import re
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from support.brisk import open_brisk_stage
from support.model_script import call, say
from support.rows import select, states_of
from support.scenes import PEDRO, forgive, found, logged, note_chats, open_scene, outcomes, words
from support.stage import LAURA, new_world

from daemon.conversation.chat_info import ChatInfoCache
from daemon.conversation.presence import Subscriptions
from daemon.domain.messages import ChatInfo, ChatKey
from daemon.sandbox.payloads import chat_id_of

ROOT = Path(__file__).parents[2]
WEEK_SECONDS = 7 * 24 * 3600.0
MARKUP = '<img src=x onerror="alert(1)">'

CREDENTIAL = re.compile(
    r"\bsk-[A-Za-z0-9_-]{16,}|\bBearer [A-Za-z0-9._-]{24,}|\beyJ[A-Za-z0-9_-]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
"""How keys of model servers, tokens in headers, JSON web tokens and private keys look."""

FILES: dict[str, dict[str, Any]] = {
    "voice": {"mime_type": "audio/ogg", "seconds": 3},
    "image": {"mime_type": "image/jpeg"},
    "document": {"mime_type": "application/pdf", "filename": "cuenta.pdf"},
}


class CountingGateway:
    """Whapi, which knows nothing of any chat and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get_chat(self, chat: str) -> ChatInfo | None:
        """Say that the chat is unknown."""
        self.asked.append(chat)
        return None


@pytest.mark.parametrize("medium", FILES)
async def test_an_unreadable_file_is_only_named_to_the_model(tmp_path: Path, medium: str) -> None:
    """No file's bytes and no words that the customer did not say: only what kind of file it is."""
    content = {"type": medium, medium: {"id": "file-0001-abcd", "file_size": 10, **FILES[medium]}}
    async with open_brisk_stage(tmp_path / "data") as stage:
        message_id = await stage.gateway.customer_sends(LAURA, content)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        (asked,) = stage.model.calls
        assert re.fullmatch(
            r"\[[^\[\]]*(which you cannot|that could not be|cannot be heard)[^\[\]]*\]",
            words(asked.items[-1]).splitlines()[-1],
        )
        assert not re.search("input_image|input_file|input_audio|base64", str(asked.body["input"]))
        assert states_of(tmp_path / "data")[message_id] == ("answered", "")


async def test_a_contact_who_has_not_written_gets_no_message(tmp_path: Path) -> None:
    """Signs of life, an agent's words, restarts and a week that passes make the bot say nothing."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        said = len(stage.gateway.ledger.sends)
        await stage.gateway.customer_reacts(asked, "👍")
        await stage.gateway.customer_types(LAURA)
        await stage.gateway.customer_types(PEDRO)
        await stage.gateway.agent_says(PEDRO, "Buenas, soy del hotel")
        await stage.stop()
        stage.later_seconds = WEEK_SECONDS
        await stage.start()
        await stage.quiet()
        assert len(stage.gateway.ledger.sends) == said
        assert len(stage.model.calls) == 1


async def test_a_gateway_over_its_limit_again_and_again_is_waited_out(tmp_path: Path) -> None:
    """However often a send is refused for the rate, the answer is said, once and in order."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno\n\ndos"))
        limit = stage.gateway.faults.add(operation="send", kind="status", status=429, times=7)
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["uno", "dos"]
        assert [c.status for c in stage.gateway.calls("send")] == [limit.status] * 7 + [200] * 2


async def test_a_short_conversation_is_four_lines_of_the_log(tmp_path: Path) -> None:
    """What was said, how it ended and what it took; webhooks, calls and sends make no lines."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        await logged(stage, "models are listed")
        forgive(stage)
        stage.model.script(say("¿Para cuándo?"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        lines = [json.loads(line)["event"] for line in stage.log.getvalue().splitlines()]
        assert lines == ["message", "new conversation", "response", "turn ended"]
        assert LAURA not in stage.log.getvalue()


async def test_markup_in_a_name_is_only_a_name(tmp_path: Path) -> None:
    """It is one line of the log, and no page of the daemon shows it."""
    async with open_brisk_stage(tmp_path / "data", buffer={"idle_seconds": 0.5}) as stage:
        await stage.gateway.customer_says(LAURA, "Hola", name=f"{MARKUP}\n{MARKUP}")
        pages = [await stage.get(path) for path in ("/", "/health", "/locks", "/metrics")]
        await stage.gateway.wait_sent(LAURA)
        assert [page.status_code for page in pages] == [200] * 4
        assert all("<img" not in page.text for page in pages)
        assert not any("html" in page.headers["content-type"] for page in pages)
        (line,) = stage.events("message")
        assert line["name"].startswith(MARKUP)


async def test_the_tokens_of_each_chat_are_its_own(tmp_path: Path) -> None:
    """Two chats, one with a round of tools, and a restart: what the server counted, each its own.

    The answers differ in length, so that a call counted twice, or in the other chat, is seen.
    """
    async with open_brisk_stage(tmp_path / "data") as stage:
        look = call("get_conversation_context", '{"context_level": "recent_50"}')
        stage.model.script(look, say("uno " * 40), say("dos " * 90), say("tres"))
        for chat, text in ((LAURA, "Soy Laura"), (PEDRO, "Soy Pedro")):
            await stage.gateway.customer_says(chat, text)
            await stage.gateway.wait_sent(chat)
            await stage.quiet()
        await stage.stop()
        await stage.start()
        await stage.gateway.customer_says(PEDRO, "Sigo siendo Pedro")
        await stage.model.wait_requests(4)
        await stage.quiet()
        rows = select(
            tmp_path / "data",
            "responses r JOIN runs u ON u.id = r.run_id JOIN turns t ON t.id = u.turn_id",
            "t.chat, r.response",
        )
        used: Counter[str] = Counter()
        for chat, response in rows:
            usage = json.loads(response)["usage"]
            used[chat] += usage["input_tokens"] + usage["output_tokens"]
        counted: Counter[str] = Counter()
        for chat, tokens in select(tmp_path / "data", "usage_days", "chat, tokens"):
            counted[chat] += tokens
        assert sorted(chat for chat, _ in rows) == sorted(
            [chat_id_of(LAURA), chat_id_of(PEDRO)] * 2
        )
        assert counted == {**used, "": used.total()}


async def test_a_chat_that_is_done_leaves_nothing_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has it all; tasks and windows of chats do not pile up."""
    made = note_chats(monkeypatch)
    async with open_brisk_stage(tmp_path / "data") as stage:
        for number in range(20):
            await stage.gateway.customer_says(f"5730055502{number:02d}", "Hola", deliver="queued")
        for number in range(20):
            await stage.gateway.wait_sent(f"5730055502{number:02d}")
        await stage.quiet()

        def kept() -> int:
            gc.collect()
            return sum(chat() is not None for chat in made)

        await found(kept, lambda count: count == 0)
        assert len(made) >= 20


async def test_caches_of_chats_are_bounded() -> None:
    """The chat that was quiet longest is forgotten first, and asked about again when it writes."""
    keys = [ChatKey("MANTIS-M72HC", f"57300123456{number}@s.whatsapp.net") for number in range(3)]
    subscriptions = Subscriptions(limit=2)
    assert [subscriptions.is_due(key) for key in [*keys, *keys[1:], keys[0]]] == [
        *[True] * 3,
        *[False] * 2,
        True,
    ]
    gateway = CountingGateway()
    details = ChatInfoCache(gateway, new_world(StringIO()).log, limit=2)
    for key in [*keys, *keys[1:], keys[0]]:
        await details.details(key)
    assert gateway.asked == [key.chat for key in [*keys, keys[0]]]


def test_the_product_holds_no_credentials() -> None:
    """None in the code, the configuration, the units or the pages."""
    folders = [ROOT / name for name in ("daemon", "config", "docs", "systemd")]
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in {".py", ".toml", ".md", ".js", ".html", ".service", ".socket"}
    ]
    assert len(files) > 100
    assert [path for path in files if CREDENTIAL.search(path.read_text())] == []
    assert CREDENTIAL.search('key = "sk-abcdefghijklmnop1234"')


@pytest.mark.parametrize("name", ["faults", "security"])
def test_every_test_that_the_pages_name_is_there(name: str) -> None:
    """A renamed or removed test would leave the page promising what nobody checks."""
    page = (ROOT / "docs" / f"{name}.md").read_text()
    cited = re.findall(r"\]\(\.\./(tests/[\w/]+\.py)\)[\w ]*:\s((?:`test_\w+`(?:,\s)?)+)", page)
    named = [(path, name) for path, names in cited for name in re.findall(r"\w+", names)]
    assert len(named) == len(re.findall(r"`test_\w+`", page)) > 10
    missing = [
        (path, name) for path, name in named if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []
