"""What tools send besides words: in order with the answer, once, whatever the connection tells."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support import object_store
from support.faults import FaultKind
from support.gateway import EchoMode
from support.model_script import call, say
from support.rows import select
from support.scenes import found, open_scene, outcomes, role_of, thread, words
from support.stage import LAURA, Stage

from daemon.conversation import delivery, presence

pytestmark = pytest.mark.usefixtures("both_file_stores")

TOOLS = '''
"""Tools that send pictures and other things, for tests."""

from pathlib import Path
from typing import Literal

import trio

from daemon.tools.tool import ListRow
from daemon.tools.tool import ToolContext, tool

FOLDER = Path(__file__).parent


@tool(effects=True, idempotent=True)
async def show(context: ToolContext, what: str) -> str:
    """Show something."""
    sent = await {
        "image": lambda: context.send_image("https://example.com/a.jpg", "La vista"),
        "file": lambda: context.send_image("vista.png"),
        "document": lambda: context.send_document("menu.pdf", "El menú", filename="Menú.pdf"),
        "location": lambda: context.send_location(4.711, -74.0721, name="Hotel Sol"),
        "contact": lambda: context.send_contact("Pedro", "+57 300 765 4321"),
        "poll": lambda: context.send_poll("¿Qué día?", ["Sábado", "Domingo"]),
        "buttons": lambda: context.send_buttons("¿Confirma?", {"si": "Sí", "no": "No"}),
        "list": lambda: context.send_list("¿Cuál?", "Ver", [ListRow(id="1", title="Doble")]),
        "reaction": lambda: context.react("👍"),
        "outside": lambda: context.send_document("../data/recado.db"),
        "link": lambda: context.send_document("link.pdf"),
        "page": lambda: context.send_image("menu.pdf"),
        "large": lambda: context.send_document("large.bin"),
    }[what]()
    (FOLDER / "sent").touch()
    while (FOLDER / "hang").exists():
        await trio.sleep(0.01)
    return f"sent {sent}"


@tool
def show_from_a_thread(context: ToolContext) -> str:
    """Show something."""
    return f"sent {context.from_thread(context.send_image, 'vista.png', 'La vista')}"
'''

PICTURE = b"\x89PNG\r\n\x1a\n picture"
KINDS = (
    *("image", "file", "document", "location", "contact", "poll"),
    *("buttons", "list", "reaction"),
)
UNCERTAIN: list[tuple[FaultKind, EchoMode]] = [("drop_after", "missing"), ("drop_before", "after")]


@asynccontextmanager
async def open_tools(
    tmp_path: Path, *, hangs: bool = False, typing: bool = False
) -> AsyncIterator[tuple[Stage, Path]]:
    """A stage with tools that send; ``hangs``: they do not return while
    that file is there."""
    folder, files = tmp_path / "tools", tmp_path / "files"
    folder.mkdir()
    files.mkdir()
    (folder / "desk.py").write_text(TOOLS)
    (files / "vista.png").write_bytes(PICTURE)
    (files / "menu.pdf").write_bytes(b"%PDF-1.7 menu")
    (files / "link.pdf").symlink_to(tmp_path / "tools" / "desk.py")
    (files / "large.bin").touch()
    if hangs:
        (folder / "hang").touch()
    tools = {"folder": folder, "files_folder": files}
    rounds, shown = {"max_tool_rounds": 20}, {"typing": typing}
    async with open_scene(tmp_path, tools=tools, assistant=rounds, delivery=shown) as stage:
        yield stage, folder


def show(what: str) -> Any:
    """The model asks for one thing to be shown."""
    return call("show", f'{{"what": "{what}"}}')


def delivered(stage: Stage) -> list[str]:
    """The kinds of messages that have come to the customer's chat from us, reactions too."""
    messages = stage.gateway.ledger.chats[f"{LAURA}@s.whatsapp.net"].messages
    return [message["type"] for message in messages if message["from_me"]]


def states(stage: Stage) -> list[tuple[str, str]]:
    """Kind and state of everything that was to be said."""
    rows = select(stage.settings.data_dir, "outbox", "kind, state", order="id")
    return [(kind, state) for kind, state in rows]


async def test_each_kind_is_sent_before_the_answer_and_noted_for_the_model(tmp_path: Path) -> None:
    async with open_tools(tmp_path) as (stage, _):
        stage.model.script(*(show(kind) for kind in KINDS), say("Listo"))
        asked = await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await found(lambda: outcomes(stage) == ["answered"])
        assert delivered(stage) == [
            *("image", "image", "document", "location", "contact", "poll"),
            *("interactive", "interactive"),
            *("action", "text"),
        ]
        assert {state for _, state in states(stage)} == {"sent"}
        image, picture, document, place, *_ = stage.gateway.sent(LAURA)
        assert image.request["media"] == "https://example.com/a.jpg"
        encoded = picture.request["media"].removeprefix("data:image/png;base64,")
        assert base64.b64decode(encoded) == PICTURE
        assert (document.request["filename"], document.text) == ("Menú.pdf", "El menú")
        assert place.request["latitude"] == 4.711
        messages = stage.gateway.ledger.chats[f"{LAURA}@s.whatsapp.net"].messages
        (reaction,) = [message for message in messages if message["type"] == "action"]
        assert (reaction["action"]["target"], reaction["action"]["emoji"]) == (asked, "👍")
        noted = [words(item) for item in thread(stage) if role_of(item) == "data"]
        assert sum("Sent to the customer by the tool" in note for note in noted) == len(KINDS)
        assert any("image: La vista" in note for note in noted)
        # Their echoes are ours: nobody has taken the chat over.
        assert not stage.events("an agent writes")


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize(("kind", "echo"), UNCERTAIN)
async def test_each_kind_of_unknown_outcome_is_sent_once(
    tmp_path: Path, what: str, kind: FaultKind, echo: EchoMode
) -> None:
    """A reaction is simply sent again, which changes nothing; all others are looked for."""
    async with open_tools(tmp_path) as (stage, _):
        stage.gateway.echoes.mode = echo
        operation = "react" if what == "reaction" else "send"
        stage.gateway.faults.add(operation=operation, kind=kind)
        stage.model.script(show(what), say("Listo"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await found(lambda: outcomes(stage) == ["answered"])
        if what == "reaction":
            assert delivered(stage)[-2:] == ["action", "text"]
        else:
            assert len(stage.gateway.sent(LAURA)) == 2
        assert {state for _, state in states(stage)} == {"sent"}


async def test_a_reaction_without_an_answer_is_sent_three_times(tmp_path: Path) -> None:
    async with open_tools(tmp_path) as (stage, _):
        for _ in range(4):
            stage.gateway.faults.add(operation="react", kind="drop_before")
        stage.model.script(show("reaction"), say("Listo"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await found(lambda: outcomes(stage) == ["answered"])
        assert states(stage) == [("reaction", "failed"), ("text", "sent")]
        assert len(stage.gateway.calls("react")) == 3


async def test_a_reaction_is_not_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typing is shown during the run and before the words."""
    monkeypatch.setattr(presence, "REFRESH_SECONDS", 3600.0)
    monkeypatch.setattr(delivery, "FIRST_TYPING_SECONDS", 0.05)
    monkeypatch.setattr(delivery, "NEXT_TYPING_SECONDS", 0.05)
    async with open_tools(tmp_path, typing=True) as (stage, _):
        stage.model.script(show("reaction"), say("Listo"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await found(lambda: outcomes(stage) == ["answered"])
        assert delivered(stage) == ["action", "text"]
        assert [sign.presence for sign in stage.gateway.presences(LAURA)] == ["typing"] * 2


@pytest.mark.parametrize("echo", ["after", "missing"])
async def test_a_vote_in_a_poll_of_a_tool_is_an_answer(tmp_path: Path, echo: EchoMode) -> None:
    """Also where Whapi has not told us of our own poll: its options are known by their hashes."""
    async with open_tools(tmp_path) as (stage, _):
        stage.gateway.echoes.mode = echo
        stage.model.script(show("poll"), say("Vote"), say("El domingo, pues"))
        await stage.gateway.customer_says(LAURA, "¿Cuándo?")
        await found(lambda: outcomes(stage) == ["answered"])
        poll = stage.gateway.sent(LAURA)[0]
        await stage.gateway.contact(LAURA).vote(poll.id, "Domingo")
        await found(lambda: outcomes(stage) == ["answered", "answered"])
        assert words(thread(stage)[-2]).endswith("[voted in the poll: ¿Qué día?] Domingo")


async def test_a_picture_is_sent_once_although_its_tool_is_called_again(tmp_path: Path) -> None:
    """The daemon dies in the tool, after the picture was stored and perhaps sent."""
    async with open_tools(tmp_path, hangs=True) as (stage, folder):
        stage.model.script(show("file"), say("Listo"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await stage.gateway.wait_sent(LAURA)
        await stage.crash()
        (folder / "hang").unlink()
        (tmp_path / "files" / "vista.png").write_bytes(b"another")
        await stage.start()
        await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])
        assert delivered(stage) == ["image", "text"]


@pytest.mark.parametrize("shown", [True, False])
async def test_links_have_a_preview_only_if_that_is_set(tmp_path: Path, *, shown: bool) -> None:
    async with open_scene(tmp_path, delivery={"typing": False, "link_preview": shown}) as stage:
        stage.model.script(say("Mire https://example.com/menu"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        (sent,) = await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert sent.request["no_link_preview"] == (not shown)


async def test_a_plain_function_sends_from_its_thread(tmp_path: Path) -> None:
    async with open_tools(tmp_path) as (stage, _):
        stage.model.script(call("show_from_a_thread"), say("Listo"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await found(lambda: outcomes(stage) == ["answered"])
        assert delivered(stage) == ["image", "text"]


@pytest.mark.parametrize("what", ["outside", "link", "page", "large"])
async def test_forbidden_files_are_not_sent(tmp_path: Path, what: str) -> None:
    """Files outside of the folder, links that lead there, a picture that is none, an empty file."""
    async with open_tools(tmp_path) as (stage, _):
        stage.model.script(show(what), say("No pude"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await found(lambda: outcomes(stage) == ["answered"])
        assert delivered(stage) == ["text"]
        assert stage.events("tool raised an error")


@pytest.mark.parametrize("unreadable", [False, True])
async def test_a_picture_whose_file_is_gone_fails_alone(
    tmp_path: Path, *, unreadable: bool
) -> None:
    """The disk lost it between two lives of the daemon: the answer is said all the same."""
    async with open_tools(tmp_path) as (stage, _):
        held = stage.gateway.faults.add(operation="send", kind="hold")
        stage.model.script(show("file"), say("Listo"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay?")
        await held.reached.wait()
        await stage.crash()
        stored = [path for path in stage.settings.data_dir.rglob("*") if path.is_file()]
        (picture,) = [path for path in stored if path.read_bytes() == PICTURE]
        picture.unlink()
        object_store.remove(picture)
        if unreadable:
            picture.mkdir()
        await stage.start()
        await found(lambda: outcomes(stage) == ["answered"])
        assert states(stage) == [("image", "failed"), ("text", "sent")]
        assert delivered(stage) == ["text"]
