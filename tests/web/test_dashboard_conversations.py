"""Conversations in the dashboard, on a whole daemon: reading them and taking part in them."""

import json
import re
import tomllib
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from support.dashboard import bubbles_of, chats_of, open_browser, ref_of, words_of
from support.model_script import call, say
from support.plain import NO_TLS
from support.rows import insert, rows, select, states, states_of
from support.scenes import forgive, found, open_scene, outbox, outcomes, thread
from support.stage import LAURA, Stage

from daemon.conversation import delivery, presence
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import AN_AGENT, DONE
from daemon.http.dashboard.conversations import formatted

SAMPLES = Path(__file__).parents[1] / "sample_data"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PEDRO = "573007654321"
CLICK = "0f8b1c52-aaaa-bbbb"


async def answered(stage: Stage, text: str, answer: str, *, name: str = "Laura") -> None:
    """Let Laura say something and get her answer."""
    before = len(stage.received())
    stage.model.script(say(answer))
    await stage.gateway.customer_says(LAURA, text, name=name)
    await stage.gateway.wait_sent(LAURA, before + 1)
    await found(lambda: set(outcomes(stage)) == {"answered"})


def audit(stage: Stage) -> list[tuple[str, str]]:
    """What people have done, and to whom."""
    joined = "audit JOIN audit_details ON audit_id = id"
    rows = select(stage.settings.data_dir, joined, "action, subject", order="id")
    return [(command, subject) for command, subject in rows]


async def post(
    browser: httpx.AsyncClient, ref: str, verb: str, /, **fields: object
) -> httpx.Response:
    return await browser.post(f"/api/v1/chats/{ref}/{verb}", json=fields)


async def write(browser: httpx.AsyncClient, ref: str, text: str, *, key: str) -> int:
    body = {"type": "text", "text": text, "agent": "Marta"}
    headers = {"Idempotency-Key": key}
    answer = await browser.post(f"/api/v1/chats/{ref}/messages", json=body, headers=headers)
    return answer.status_code


async def test_hostile_names_and_words_are_shown_as_text_and_numbers_are_masked(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, HOSTILE, "Son *dos* noches", name=f"Laura {HOSTILE}")
        ref = (await chats_of(browser))[0]["ref"]
        for path in ("/dashboard/chats", f"/dashboard/chats/{ref}", f"/dashboard/api/chats/{ref}"):
            page = await browser.get(path)
            assert page.status_code == 200
            assert LAURA not in page.text
            assert LAURA not in str(page.url)
            if "/api/" not in path:
                assert "<script>alert" not in page.text
                assert "<img src=x" not in page.text
                assert "&lt;script&gt;alert(1)" in page.text
        page = await browser.get(f"/dashboard/chats/{ref}")
        assert "Son <b>dos</b> noches" in page.text
        assert "unsafe" not in page.headers["Content-Security-Policy"]


async def test_a_chat_is_found_by_name_by_number_and_by_words(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "¿Aceptan mascotas 100%?", "Sí, con collar", name="Laura Gómez")
        await stage.gateway.customer_says(PEDRO, "Hola", name="Pedro")
        await stage.gateway.wait_sent(PEDRO)
        queries = ("gómez", "+57 300 123", "mascotas", "con collar", "100%", "1_0%", "nadie")
        names = [[chat["name"] for chat in await chats_of(browser, q=query)] for query in queries]
        laura = ["Laura Gómez"]
        assert names == [laura, laura, laura, laura, laura, [], []]
        assert len(await chats_of(browser)) == 2
        page = await browser.get("/dashboard/chats?q=MASCÓTA")
        assert "<mark>mascotas</mark>" in page.text
        link = re.search(
            r'href="(/dashboard/chats/[^"#]+)#(in-\d+)" +data-testid="found"', page.text
        )
        assert link is not None
        chat = await browser.get(link[1].replace("&amp;", "&"))
        assert f'id="{link[2]}"' in chat.text
        for filters in ("person=pedro", "state=failed", "until=2001-01-01", "number=another"):
            page = await browser.get(f"/dashboard/chats?q=mascotas&{filters}")
            assert "<mark>" not in page.text, filters


async def test_a_chat_is_shown_as_on_a_phone(tmp_path: Path) -> None:
    """Both sides' words in order, an agent's with their name, an edit and a deletion marked."""
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "¿Hay cupo?", "Sí hay")
        await stage.gateway.agent_says(LAURA, "Te atiendo yo")
        ref = await ref_of(browser, "Laura")
        await found(lambda: len(thread(stage)) > 2)
        shown = (await bubbles_of(browser, ref))["bubbles"]
        assert [(b["side"], b["content"]["body"]) for b in shown] == [
            ("customer", "¿Hay cupo?"),
            ("bot", "Sí hay"),
            ("agent", "Te atiendo yo"),
        ]
        assert shown[1]["state"] in {"sent", "delivered", "read"}
        assert shown[0]["turn"] == shown[1]["turn"] != ""
        (chat,) = await chats_of(browser, state="paused")
        assert chat["state"] == "paused"
        assert chat["last"]["side"] == "agent"
        assert await chats_of(browser, state="failed") == []


async def test_every_kind_of_message_can_be_shown(tmp_path: Path) -> None:
    """Whole payloads of each of WhatsApp's types; a page that lacks a field would be a fault."""
    async with (
        open_scene(tmp_path, groups={"mode": "off"}) as stage,
        open_browser(stage) as browser,
    ):
        for sample in sorted(SAMPLES.glob("*.json")):
            assert (await stage.post(sample.read_bytes())).status_code == 200
        chats = await chats_of(browser)
        shown = [await browser.get(f"/dashboard/chats/{chat['ref']}") for chat in chats]
        assert {page.status_code for page in shown} == {200}
        assert sum(page.text.count('data-testid="bubble"') for page in shown) > 25
        forgive(stage)  # some tell that the channel is not linked


async def test_older_messages_are_paged_each_once(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        stage.model.script(say("listo"))
        await stage.gateway.agent_says(LAURA, "hola")
        for number in range(70):
            await stage.gateway.agent_says(LAURA, f"línea {number}")
        ref = (await chats_of(browser))[0]["ref"]
        seen: list[str] = []
        before = ""
        for _ in range(3):
            page = await bubbles_of(browser, ref, before)
            seen = [b["content"]["body"] for b in page["bubbles"]] + seen
            before = page["next"]
            if not before:
                break
        assert seen == ["hola", *[f"línea {number}" for number in range(70)]]


async def test_a_turn_becomes_a_case_without_what_names_the_customer(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "Soy Rosalba, +57 310 555 0199", "Hola", name="Rosalba Quintero")
        ref = await ref_of(browser, "Rosalba Quintero")
        turn = (await bubbles_of(browser, ref))["bubbles"][0]["turn"]
        page = await browser.get(f"/dashboard/chats/{ref}?turn={turn}")
        address = f"/dashboard/chats/{ref}/turns/{turn}/case.toml"
        assert f'href="{address}"' in page.text
        file = await browser.get(address)
        assert file.status_code == 200
        assert "attachment" in file.headers["Content-Disposition"]
        (case,) = tomllib.loads(file.text)["case"]
        assert case["turn"][0]["says"] == ["Soy Laura, 573001234567"]
        assert "Rosalba" not in file.text
        nothing = f"/dashboard/chats/{ref}/turns/none/case.toml"
        assert (await browser.get(nothing)).status_code == 404


async def test_a_turn_is_shown_with_its_tool_calls_and_their_results(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        arguments = json.dumps({"fact": f"prefiere {HOSTILE}"})
        stage.model.script(call("remember", arguments), say("Anotado"))
        await stage.gateway.customer_says(LAURA, "Soy alérgica", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        ref = await ref_of(browser, "Laura")
        turn = (await bubbles_of(browser, ref))["bubbles"][0]["turn"]
        story = (await browser.get(f"/dashboard/api/chats/{ref}/turns/{turn}")).json()
        (tool,) = story["tool_calls"]
        assert (tool["tool"], tool["arguments"]) == ("remember", arguments)
        assert [len(run["responses"]) for run in story["runs"]] == [2]
        assert LAURA not in json.dumps(story)
        page = await browser.get(f"/dashboard/turns/{turn}", follow_redirects=True)
        assert str(page.url).endswith(f"/dashboard/chats/{ref}?turn={turn}")
        told_words = words_of(page.text)
        for words in ("remember", "Modelo, ronda 1", "Modelo, ronda 2", "Mensaje al cliente"):
            assert words in told_words
        assert "<script>alert" not in page.text
        part = await browser.get(f"/dashboard/chats/{ref}?part=turns&turn={turn}")
        assert part.text.count('data-testid="step"') >= 6
        assert "<html" not in part.text


async def test_a_chat_is_taken_over_and_given_back(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "Hola", "¡Hola!")
        ref = await ref_of(browser, "Laura")
        assert (await post(browser, ref, "pause", minutes=5)).status_code == 204
        kept_out = await stage.gateway.customer_says(LAURA, "¿Sigues ahí?")
        assert states_of(stage.settings.data_dir)[kept_out] == (WITH_AGENT, AN_AGENT)
        assert stage.received() == ["¡Hola!"]
        stage.model.script(say("Aquí estoy"))
        assert (await post(browser, ref, "resume")).status_code == 204
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received() == ["¡Hola!", "Aquí estoy"]
        await found(lambda: states_of(stage.settings.data_dir)[kept_out][0] == "answered")
        key = f"{LAURA}@s.whatsapp.net"
        assert audit(stage) == [("pause", key), ("resume", key)]


@pytest.mark.parametrize(
    ("language", "waits", "button"),
    [
        ("es", "Espera a una persona desde", "Marcar como resuelto"),
        ("en", "Waiting for a person since", "Mark as resolved"),
    ],
)
async def test_a_chat_that_waits_for_a_person_is_shown_until_done(
    tmp_path: Path, language: str, waits: str, button: str
) -> None:
    """In the list, its filter, the conversation and on the message."""
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        browser.cookies.set("recado-language", language)
        await stage.gateway.agent_says(LAURA, "Hola")
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        (chat,) = await chats_of(browser, state=WITH_AGENT)
        assert (chat["state"], chat["unanswered"]) == (WITH_AGENT, 1)
        assert chat["waiting"]["reason"] == AN_AGENT
        page = (await browser.get(f"/dashboard/chats/{chat['ref']}")).text
        (shown,) = re.findall(r'data-testid="waits">([^<]*)<', page)
        assert shown.startswith(waits)
        assert AN_AGENT not in shown or language == "en"
        assert f"<span>{button}</span>" in page
        assert re.search(r'data-testid="fate" data-state="with_agent">\w', page)
        assert 'data-testid="filter-with_agent"' in page
        assert (await post(browser, chat["ref"], "close")).json() == {"messages": 1}
        assert states_of(stage.settings.data_dir)[asked] == ("handed_off", DONE)
        page = (await browser.get(f"/dashboard/chats/{chat['ref']}")).text
        assert 'data-testid="waits"' not in page
        assert 'data-testid="done"' not in page
        assert await chats_of(browser, state=WITH_AGENT) == []
        assert audit(stage) == [("done", f"{LAURA}@s.whatsapp.net")]
        assert (await post(browser, "0" * 16, "close")).status_code == 404


async def test_an_agent_writes_from_the_dashboard(tmp_path: Path) -> None:
    """It is said once, pauses the bot, and goes into the thread in the agent's name."""
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "Hola", "¡Hola!")
        ref = await ref_of(browser, "Laura")
        for _ in range(2):
            assert await write(browser, ref, "Soy Marta", key=CLICK) == 202
        assert await write(browser, ref, "¿Qué tal?", key=CLICK + "2") == 202
        await stage.gateway.wait_sent(LAURA, 3)
        assert stage.received() == ["¡Hola!", "Soy Marta", "¿Qué tal?"]
        await found(lambda: "tal?" in json.dumps(thread(stage)))
        items, note = [item["content"] for item in thread(stage)], "[Mensaje manual de Marta]"
        noted = [text for text in items[items.index(note) :] if text != note]
        assert "\n".join(noted) == "Soy Marta\n¿Qué tal?"  # together, or each by itself
        shown = (await bubbles_of(browser, ref))["bubbles"]
        assert [b["side"] for b in shown] == ["customer", "bot", "agent", "agent"]
        assert shown[2]["name"] == "Marta"
        assert (await chats_of(browser))[0]["state"] == "paused"
        assert [command for command, _ in audit(stage)] == ["send"] * 2
        await found(lambda: [state for state, _ in outbox(stage)] == ["sent"] * 3)


async def test_an_agents_words_are_sent_without_a_typing_indicator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FIRST_TYPING_SECONDS", 0.05)
    monkeypatch.setattr(presence, "REFRESH_SECONDS", 3600.0)
    async with (
        open_scene(tmp_path, delivery={"typing": True}) as stage,
        open_browser(stage) as browser,
    ):
        await answered(stage, "Hola", "¡Hola!")
        shown = len(stage.gateway.presences(LAURA))
        assert shown
        ref = await ref_of(browser, "Laura")
        assert await write(browser, ref, "Soy Marta", key=CLICK) == 202
        await stage.gateway.wait_sent(LAURA, 2)
        assert len(stage.gateway.presences(LAURA)) == shown


async def test_an_agents_words_end_the_run_and_are_not_held_up_by_the_pause(tmp_path: Path) -> None:
    """What the bot was about to say is dropped; the agent's own words are not."""
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        stage.model.script(say("uno\n\ndos"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await held.reached.wait()
        ref = await ref_of(browser, "Laura")
        assert await write(browser, ref, "Yo sigo", key=CLICK) == 202
        held.release()
        await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["handed_off"])
        assert stage.received() == ["uno", "Yo sigo"]
        fate = [("sent", "uno"), ("dropped", "dos"), ("sent", "Yo sigo")]
        await found(lambda: outbox(stage) == fate)
        await stage.gateway.customer_says(LAURA, "Gracias")
        await found(lambda: WITH_AGENT in states(stage.settings.data_dir))
        assert len(stage.model.calls) == 1


async def test_a_chat_that_is_unknown_is_not_found(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        nobody = "0123456789abcdef"
        for path in (f"chats/{nobody}", f"turns/{nobody}", f"api/chats/{nobody}/bubbles"):
            assert (await browser.get(f"/dashboard/{path}")).status_code == 404
        for minutes in (-1, "x"):
            body = {"minutes": minutes}
            answer = await browser.post(f"/dashboard/api/chats/{nobody}/pause", json=body)
            assert answer.status_code == 400
        answer = await browser.post(f"/dashboard/api/chats/{nobody}/pause", json={"minutes": 1})
        assert answer.status_code == 404
        assert audit(stage) == []


async def test_a_script_may_still_pause_a_chat_by_the_route_of_the_dashboard(
    tmp_path: Path,
) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "Hola", "¡Hola!")
        path = f"/dashboard/api/chats/{await ref_of(browser, 'Laura')}/pause"
        assert (await browser.post(path, json={"minutes": 5})).json() == {"done": True}
        assert audit(stage) == [("pause", f"{LAURA}@s.whatsapp.net")]


async def test_labels_are_changed_at_whapi(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "Hola", "¡Hola!")
        ref = await ref_of(browser, "Laura")
        refused = await post(browser, ref, "labels", add=["No existe"])
        assert refused.status_code == 409
        assert "Cotizado" in refused.json()["detail"]
        assert (await post(browser, ref, "labels", add=["cotizado"])).is_success
        chat = (await browser.get(f"/dashboard/api/chats/{ref}")).json()
        assert chat["labels"] == ["Cotizado"]
        assert await chats_of(browser, label="Cotizado")
        assert await chats_of(browser, label="Cotiz") == []
        assert (await chats_of(browser))[0]["labels"] == ["Cotizado"]
        page = (await browser.get(f"/dashboard/chats/{ref}?label=Cotizado")).text
        assert page.count('fill="lightblue"') == 2  # in the list, and in the chat
        known = (await browser.get("/api/v1/labels")).json()["labels"]
        assert {"id": None, "name": "Cotizado", "color": "lightblue"} in known
        assert (await post(browser, ref, "labels", add=[], remove=["Cotizado"])).is_success
        assert (await browser.get(f"/dashboard/api/chats/{ref}")).json()["labels"] == []
        assert [command for command, _ in audit(stage)] == ["label"] * 2


async def test_a_person_is_forgotten_only_when_it_is_confirmed(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await answered(stage, "Mi secreto", "Guardado")
        ref = await ref_of(browser, "Laura")
        await stage.quiet()
        assert (await post(browser, ref, "forget", confirm="0000")).status_code == 409
        assert len(await chats_of(browser)) == 1
        assert (await post(browser, ref, "forget", confirm=LAURA[-4:])).is_success
        assert await chats_of(browser) == []
        assert (await browser.get(f"/dashboard/chats/{ref}")).status_code == 404
        left = select(stage.settings.data_dir, "messages", "message")
        assert "secreto" not in json.dumps(left)
        assert [command for command, _ in audit(stage)] == ["forget"]


async def test_files_of_messages_are_served_and_no_others(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        folder = stage.settings.data_dir / "media"
        folder.mkdir(exist_ok=True)
        for name in ("a1.png", "b2.html", "c3.svg", ".draft-1"):
            (folder / name).write_bytes(b"<script>alert(1)</script>")
        picture = await browser.get("/dashboard/media/a1.png")
        assert picture.headers["Content-Type"] == "image/png"
        assert picture.headers["X-Content-Type-Options"] == "nosniff"
        assert picture.headers["Cache-Control"] == "no-store"
        assert "Content-Disposition" not in picture.headers
        assert "sandbox" in picture.headers["Content-Security-Policy"]
        page = await browser.get("/dashboard/media/b2.html")
        assert page.headers["Content-Type"] == "application/octet-stream"
        assert page.headers["Content-Disposition"].startswith("attachment")
        drawing = await browser.get("/dashboard/media/c3.svg")
        assert drawing.headers["Content-Disposition"].startswith("attachment")
        assert drawing.headers["Cache-Control"] == "no-store"
        for name in (".draft-1", "gone.png", "..%2frecado.db", "%2e%2e", "a1.png%00"):
            assert (await browser.get(f"/dashboard/media/{name}")).status_code == 404


async def test_nothing_is_shown_or_done_for_strangers(tmp_path: Path) -> None:
    closed = {"port": 0, "admin_token": SecretStr("let-me-in-123")}
    async with (
        open_scene(tmp_path, web=closed) as stage,
        httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=30) as stranger,
    ):
        assert (await stranger.get("/dashboard/chats")).status_code == 302
        for path in ("api/chats", "api/work", "media/a1.png", "api/chats/x/bubbles"):
            assert (await stranger.get(f"/dashboard/{path}")).status_code == 401
        refused = await stranger.post("/dashboard/api/chats/x/pause", json={})
        assert refused.status_code == 401


async def test_a_foreign_page_in_a_browser_can_do_nothing(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        browser.headers["Origin"] = "https://evil.example"
        for path in (
            "/dashboard/api/chats/x/pause",
            "/dashboard/api/reveal",
            "/api/v1/chats/x/close",
            "/api/v1/chats/x/messages",
        ):
            answer = await browser.post(path, json={})
            assert answer.status_code == 403


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*a* _b_ ~c~", "<b>a</b> <i>b</i> <s>c</s>"),
        ("2*3*4 a_b_c", "2*3*4 a_b_c"),
        ("*<b>*", "<b>&lt;b&gt;</b>"),
        ("* a *", "* a *"),
        ("<i>&", "&lt;i&gt;&amp;"),
    ],
)
def test_whatsapps_marks_are_shown_and_nothing_else_is_markup(text: str, shown: str) -> None:
    assert str(formatted(text)) == shown


async def test_a_card_that_was_sent_is_shown_with_its_number(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await found(lambda: outcomes(stage) == ["answered"])
        card = {"name": HOSTILE, "number": "+573007654321", "vcard": "BEGIN:VCARD"}
        data_dir = stage.settings.data_dir
        (sent,) = rows(data_dir, "outbox", "channel, chat, created_at")
        planted = {"body": "", "state": "sent", "kind": "contact", "payload": json.dumps(card)}
        insert(data_dir, "outbox", sent | planted)
        page = (await browser.get(f"/dashboard/chats/{await ref_of(browser, 'Laura')}")).text
        assert "<small>+573007654321</small>" in page
        assert HOSTILE not in page
