"""Other systems are told over real HTTP what happens: signed, in order, at least once."""

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result
from pydantic import SecretStr
from support.dashboard import open_browser, ref_of, words_of
from support.model_script import call, say
from support.operator import files_with, recado
from support.place import variables_of_store
from support.receiver import SECRET, Receiver, open_receiver
from support.rows import change, count, rows, select
from support.scenes import PEDRO, forgive, found, logged, open_scene
from support.stage import LAURA, Stage

from daemon.__main__ import main
from daemon.domain.announcements import EVENTS, schema
from daemon.errors import StoreUnavailable
from daemon.ledger.webhook_deliveries import WebhookDeliveries
from daemon.ops import webhook_sender

ROOT = Path(__file__).parents[2]
ESCALATION = json.dumps(
    {"reason": "customer_complaint", "summary": "La ducha no funciona.", "urgency": "high"}
)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look and try again at once where the daemon lets seconds pass."""
    monkeypatch.setattr(webhook_sender, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(webhook_sender, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(webhook_sender, "REST_SECONDS", 0.02)
    return iter([None])


def check_form(body: object) -> None:
    """Raise ValidationError if a body is not as the schema says."""
    import jsonschema  # type: ignore[import-untyped] # noqa: PLC0415 - takes as long as a test

    jsonschema.validate(body, schema())


@asynccontextmanager
async def telling(
    folder: Path, receiver: Receiver, *, endpoints: tuple[dict[str, Any], ...] = ({},), **more: Any
) -> AsyncIterator[Stage]:
    """A running daemon with endpoints at the receiver; ``more`` as in `open_scene`."""
    async with open_scene(folder, started=False, **more) as stage:
        webhooks = tuple(receiver.settings(**one) for one in endpoints)
        stage.settings = stage.settings.model_copy(update={"webhooks": webhooks})
        await stage.start()
        yield stage


async def told(receiver: Receiver, *kinds: str) -> None:
    """Wait until the receiver has something of each of these types."""
    await found(lambda: set(receiver.types()), lambda types: set(kinds) <= types)


async def deliveries(data_dir: Path, *words: str) -> Result:
    """Run `recado deliveries` beside the daemon."""
    command, *rest = words
    whole = ["deliveries", command, "--data-dir", str(data_dir), *rest]
    environ = variables_of_store(data_dir)
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(main, whole, env=environ))


def states(stage: Stage) -> set[str]:
    return {state for (state,) in select(stage.settings.data_dir, "webhook_deliveries", "state")}


async def all_settled(stage: Stage) -> None:
    """Wait until nothing waits for an endpoint."""
    await stage.quiet()
    await found(lambda: states(stage), lambda left: left <= {"sent", "dead"})


async def test_a_conversation_is_announced_signed_and_as_the_schema_says(tmp_path: Path) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        stage.model.script(say("Sí, hay cupo."))
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        (answer,) = await stage.gateway.wait_sent(LAURA)
        await told(receiver, "message.received", "message.sent", "turn.ended", "contact.changed")
        await all_settled(stage)
        (received,) = receiver.of("message.received")
        assert received.data["text"] == "¿Hay cupo?"
        assert (received.data["message_id"], received.data["author"]) == (asked, LAURA)
        (sent,) = receiver.of("message.sent")
        assert (sent.data["text"], sent.data["by"]) == ("Sí, hay cupo.", "bot")
        assert sent.data["message_id"] == answer.id
        (ended,) = receiver.of("turn.ended")
        assert (ended.data["outcome"], ended.data["messages"]) == ("answered", [asked])
        assert sent.data["turn"] == ended.data["turn"] != ""
        (contact,) = receiver.of("contact.changed")
        assert (contact.data["changed"], contact.data["name"]) == ("new", "Laura")
        assert receiver.unverified == []
        assert len(set(receiver.asked)) == len(receiver.asked) == 4
        for taken in receiver.taken:
            check_form(taken.body)
        # What was delivered is not kept a second time.
        assert set(select(stage.settings.data_dir, "webhook_deliveries", "payload, error")) == {
            ("", "")
        }
        exported = (await stage.get("/metrics")).text
        assert 'recado_webhook_deliveries_total{endpoint="crm",result="delivered"} 4.0' in exported


async def test_what_cannot_be_noted_while_the_store_is_away_is_told_soon_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time without it would double a delay that a fault of the task has, to minutes."""
    delivered, failures = WebhookDeliveries.delivered, iter(range(8))

    async def noted(*arguments: Any, **named: Any) -> None:
        if next(failures, None) is not None:
            raise StoreUnavailable("the store is away")
        await delivered(*arguments, **named)

    monkeypatch.setattr(WebhookDeliveries, "delivered", noted)
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        stage.model.script(say("Sí, hay cupo."))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await told(receiver, "message.received", "message.sent", "turn.ended")
        await all_settled(stage)
        assert next(failures, None) is None
        assert states(stage) == {"sent"}
        assert stage.errors() == []


async def test_a_secret_is_replaced_without_a_request_that_the_receiver_cannot_verify(
    tmp_path: Path,
) -> None:
    """Each body is signed with both secrets while the receiver knows one of them."""
    new = f"whsec_{base64.b64encode(b'n' * 32).decode()}"
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        for secrets, known in (
            ((SECRET,), SECRET),
            ((new, SECRET), SECRET),
            ((new, SECRET), new),
            ((new,), new),
        ):
            receiver.secret = known
            endpoint = receiver.settings(secret=tuple(map(SecretStr, secrets)))
            await stage.stop()
            stage.settings = stage.settings.model_copy(update={"webhooks": (endpoint,)})
            await stage.start()
            before = len(receiver.of("message.received"))
            stage.model.script(say("Sí."))
            await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
            await found(lambda: len(receiver.of("message.received")), lambda n: n > before)  # noqa: B023
            await all_settled(stage)
        assert receiver.unverified == []
        receiver.secret = SECRET  # which the daemon does not know any more
        stage.model.script(say("Sí."))
        await stage.gateway.customer_says(LAURA, "¿Y mañana?")
        await found(lambda: receiver.unverified)


async def test_what_a_clock_a_day_ahead_let_receivers_refuse_is_told_when_it_is_right(
    tmp_path: Path,
) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        await stage.stop()
        stage.later_seconds = 86400
        await stage.start()
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await found(lambda: receiver.unverified)
        await stage.stop()
        assert receiver.taken == []
        stage.later_seconds = 0
        await stage.start()
        await told(receiver, "message.received")
        await all_settled(stage)


async def test_a_takeover_is_announced_from_the_request_to_its_end(tmp_path: Path) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        stage.model.script(call("escalate_to_human", ESCALATION), say("Una persona le escribe."))
        await stage.gateway.customer_says(LAURA, "La ducha no funciona")
        await told(receiver, "chat.escalated", "turn.ended")
        waits = await stage.gateway.customer_says(LAURA, "¿Hola?")
        await told(receiver, "chat.waiting")
        ours = await stage.gateway.agent_says(LAURA, "Ya va el técnico")
        await told(receiver, "chat.taken_over")
        async with open_browser(stage) as browser:
            await browser.post("/takeover/resume", json={"chat": LAURA})
        await told(receiver, "chat.given_back")
        await all_settled(stage)
        (escalated,) = receiver.of("chat.escalated")
        assert escalated.data["summary"] == "La ducha no funciona."
        assert escalated.data["turn"] == receiver.of("turn.ended")[0].data["turn"]
        (waiting,) = receiver.of("chat.waiting")
        assert (waiting.data["message_id"], waiting.data["reason"]) == (waits, "escalated")
        (taken,) = receiver.of("chat.taken_over")
        assert taken.data["by"] == "agent"
        agents = [one.data for one in receiver.of("message.sent") if one.data["by"] == "agent"]
        assert [(one["text"], one["message_id"]) for one in agents] == [("Ya va el técnico", ours)]
        for one in receiver.taken:
            check_form(one.body)


async def test_an_agents_words_from_the_dashboard_are_announced_once_when_sent(
    tmp_path: Path,
) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        async with open_browser(stage) as browser:
            said = await browser.post(
                f"/api/v1/chats/{await ref_of(browser, 'Laura')}/messages",
                json={"type": "text", "text": "Soy Ana", "agent": "Ana"},
            )
            assert said.status_code == 202, said.text
        await found(lambda: [one for one in receiver.of("message.sent") if one.data["agent"]])
        await told(receiver, "chat.taken_over")
        await all_settled(stage)
        by_agents = [one.data for one in receiver.of("message.sent") if one.data["by"] == "agent"]
        assert [(one["text"], one["agent"]) for one in by_agents] == [("Soy Ana", "Ana")]
        assert by_agents[0]["message_id"] == stage.gateway.sent(LAURA)[-1].id


async def test_a_receiver_that_was_down_gets_everything_after_a_crash_under_the_same_ids(
    tmp_path: Path,
) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        receiver.status = 503
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await stage.gateway.wait_sent(LAURA)  # nobody waits for the receiver
        await stage.quiet()
        await logged(stage, "outgoing webhook not delivered", 3)
        await stage.crash()
        stored = dict(select(stage.settings.data_dir, "webhook_deliveries", "event, webhook_id"))
        receiver.status = 200
        await stage.start()
        await told(receiver, *stored)
        await all_settled(stage)
        assert {one.type: one.id for one in receiver.taken} == stored
        assert len(receiver.taken) == len(stored)
        (line, *_) = stage.events("outgoing webhook not delivered")
        assert (line["endpoint"], line["error"]) == ("crm", "answered 503")
        assert receiver.url not in stage.log.getvalue()


async def test_what_was_taken_and_not_noted_is_delivered_again_under_its_id(
    tmp_path: Path,
) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        receiver.open = trio.Event()
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: receiver.asked)
        await stage.crash()
        receiver.open.set()
        await stage.start()
        await told(receiver, "message.received", "message.sent", "turn.ended", "contact.changed")
        await all_settled(stage)
        assert len(set(receiver.asked)) == 4 < len(receiver.asked)
        assert states(stage) == {"sent"}


async def test_one_that_hangs_delays_neither_answers_nor_other_endpoints(tmp_path: Path) -> None:
    async with open_receiver() as stuck, open_receiver() as receiver:
        stuck.open = trio.Event()
        async with open_scene(tmp_path, started=False) as stage:
            both = (receiver.settings(), stuck.settings(name="slow"))
            stage.settings = stage.settings.model_copy(update={"webhooks": both})
            await stage.start()
            await stage.gateway.customer_says(LAURA, "Hola")
            await stage.gateway.wait_sent(LAURA)
            await told(receiver, "message.received", "message.sent", "turn.ended")
            await found(lambda: stuck.asked)
            assert stuck.taken == []
            stuck.open.set()
            await all_settled(stage)
            assert {one.id for one in stuck.taken} == {one.id for one in receiver.taken}


async def test_what_is_given_up_is_shown_and_can_be_delivered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "MOST_TRIES", 2)
    only = ({"events": ("message.received",)},)
    async with open_receiver() as receiver, telling(tmp_path, receiver, endpoints=only) as stage:
        data_dir = stage.settings.data_dir
        receiver.status = 500
        for n, chat in enumerate((LAURA, PEDRO)):
            await stage.gateway.customer_says(chat, f"Hola {n}")
        await found(lambda: states(stage), lambda all_: all_ == {"dead"})
        assert len(receiver.asked) >= 4
        shown = await deliveries(data_dir, "show")
        assert shown.exit_code == 1
        assert "crm  0 waiting, 2 given up" in shown.stdout
        assert "message.received" in shown.stdout
        assert LAURA not in shown.stdout
        async with open_browser(stage) as browser:
            page = words_of((await browser.get("/dashboard/work")).text)
            assert "webhook no entregado" in page
            work = (await browser.get("/dashboard/api/work")).json()["dead_webhooks"]
            assert LAURA not in str(work)
            receiver.status = 200
            first = work[-1]["id"]
            again = await browser.post("/api/v1/webhook-deliveries/replay", json={"ids": [first]})
            assert again.json() == {"put_back": 1}
            await found(lambda: len(receiver.taken) == 1)
            bad = await browser.post("/api/v1/webhook-deliveries/replay", json={"ids": 1})
            assert bad.status_code == 422
        replayed = await deliveries(data_dir, "replay", "--endpoint", "crm")
        assert replayed.stdout.startswith("1 to be delivered again")
        await found(lambda: len(receiver.taken) == 2)
        await all_settled(stage)
        assert (await deliveries(data_dir, "show")).exit_code == 0
        nothing = await deliveries(data_dir, "replay", "--all", "--json")
        assert nothing.exit_code == 1
        assert len({one.id for one in receiver.taken}) == 2
        audited = select(data_dir, "audit", "action", where={"action": "webhook replay"})
        assert len(audited) == 2


@pytest.mark.parametrize(
    ("status", "headers", "state"),
    [
        (301, {"location": "/elsewhere"}, "pending"),
        (410, {}, "dead"),
        (429, {"retry-after": "600"}, "pending"),
    ],
)
async def test_answers_are_taken_as_the_specification_says(
    status: int, headers: dict[str, str], state: str, tmp_path: Path
) -> None:
    only = ({"events": ("message.received",)},)
    async with open_receiver() as receiver, telling(tmp_path, receiver, endpoints=only) as stage:
        receiver.status, receiver.headers = status, headers
        await stage.gateway.customer_says(LAURA, "Hola")
        look = "state, error, next_at - created_at"
        ((found_state, error, wait),) = await found(
            lambda: select(
                stage.settings.data_dir, "webhook_deliveries", look, where={"tries >": 0}
            )
        )
        assert (found_state, error) == (state, f"answered {status}")
        assert (wait > 300) == ("retry-after" in headers)


async def test_an_address_that_is_not_public_is_not_called(tmp_path: Path) -> None:
    only = ({"private": False, "events": ("message.received",)},)
    async with open_receiver() as receiver, telling(tmp_path, receiver, endpoints=only) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        (line,) = await logged(stage, "outgoing webhook given up")
        assert "not public" in line["error"]
        assert states(stage) == {"dead"}
        assert receiver.asked == []


async def test_each_endpoint_gets_the_events_that_it_wants(tmp_path: Path) -> None:
    wants = ({"events": ("turn.ended",)}, {"name": "other", "numbers": ("another",)})
    async with open_receiver() as receiver, telling(tmp_path, receiver, endpoints=wants) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await told(receiver, "turn.ended")
        await all_settled(stage)
        assert list(receiver.types()) == ["turn.ended"]
        stored = select(stage.settings.data_dir, "webhook_deliveries", "endpoint, event")
        assert stored == [("crm", "turn.ended")]


async def test_without_endpoints_nothing_is_stored_and_what_waited_is_given_up(
    tmp_path: Path,
) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        receiver.status = 500
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        before = count(stage.settings.data_dir, "webhook_deliveries")
        await stage.stop()
        stage.settings = stage.settings.model_copy(update={"webhooks": ()})
        await stage.start()
        await stage.gateway.customer_says(LAURA, "¿Y hoy?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert count(stage.settings.data_dir, "webhook_deliveries") == before > 0
        assert states(stage) == {"dead"}


async def test_a_person_who_is_forgotten_is_gone_from_what_waits_for_other_systems(
    tmp_path: Path,
) -> None:
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        data_dir = stage.settings.data_dir
        receiver.status = 500
        await stage.gateway.customer_says(LAURA, "Me llamo Zoraida Zurriago", name="Zoraida")
        await stage.gateway.customer_says(PEDRO, f"Dígale a {LAURA} que llame")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.wait_sent(PEDRO)
        await stage.quiet()
        held = json.loads((await recado(data_dir, "export", LAURA)).stdout)
        words = [row["payload"]["data"].get("text") for row in held["outgoing_webhooks"]]
        assert "Me llamo Zoraida Zurriago" in words
        done = await recado(data_dir, "forget", LAURA, "--yes")
        assert done.exit_code == 0, done.output
        left = rows(data_dir, "webhook_deliveries", "chat, payload", where={"state": "pending"})
        assert left
        assert all(LAURA not in str(row) and "Zurriago" not in str(row) for row in left)
        await stage.stop()
        assert files_with(data_dir, "Zurriago") == []
        await stage.start()


async def test_disappearing_messages_are_announced_without_text(tmp_path: Path) -> None:
    only = ({"events": ("message.received",)},)
    async with open_receiver() as receiver, telling(tmp_path, receiver, endpoints=only) as stage:
        body = {"type": "text", "text": {"body": "secreto"}, "context": {"ephemeral": 86400}}
        await stage.gateway.customer_sends(LAURA, body)
        await told(receiver, "message.received")
        assert [one.data["text"] for one in receiver.taken] == [""]


async def test_facts_and_the_name_of_a_contact_are_announced(tmp_path: Path) -> None:
    only = ({"events": ("contact.changed",)},)
    async with open_receiver() as receiver, telling(tmp_path, receiver, endpoints=only) as stage:
        stage.model.script(
            call("remember", json.dumps({"fact": "Es alérgica al maní"})), say("Listo")
        )
        await stage.gateway.customer_says(LAURA, "Soy alérgica al maní", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.customer_says(LAURA, "Gracias", name="Laura P.")
        await found(lambda: len(receiver.taken) == 3)
        seen = [(t.data["changed"], t.data["name"], t.data["facts"]) for t in receiver.taken]
        assert seen == [
            ("new", "Laura", []),
            ("facts", "Laura", ["Es alérgica al maní"]),
            ("name", "Laura P.", ["Es alérgica al maní"]),
        ]


async def test_a_spent_budget_and_the_state_of_the_number_are_announced(tmp_path: Path) -> None:
    only = ({"events": ("budget.spent", "number.changed")},)
    async with (
        open_receiver() as receiver,
        telling(tmp_path, receiver, endpoints=only, budget={"contact_tokens": 10}) as stage,
    ):
        await stage.gateway.customer_says(LAURA, "Hola")
        await told(receiver, "budget.spent")
        (spent,) = receiver.of("budget.spent")
        assert spent.data["chat"].startswith(LAURA)
        stage.gateway.set_channel_state("QR")
        await told(receiver, "number.changed")
        changed = receiver.of("number.changed")[0]
        assert changed.data["state"] == "needs_qr"
        check_form(changed.body)
        forgive(stage)


def test_the_page_has_the_schema_of_the_code_and_names_every_event() -> None:
    stored = json.loads((ROOT / "docs" / "webhooks.schema.json").read_text("utf-8"))
    assert stored == schema()
    page = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
    assert [event for event in EVENTS if f"`{event}`" not in page] == []


async def test_a_reminder_is_announced_when_it_is_made_and_when_it_is_not_sent(
    tmp_path: Path,
) -> None:
    when = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    wanted = {"when": when, "text": "Su mesa es hoy.", "cancel_on": "reply"}
    async with open_receiver() as receiver, telling(tmp_path, receiver) as stage:
        stage.model.script(call("remind", json.dumps(wanted)), say("Listo."), say("Con gusto."))
        await stage.gateway.customer_says(LAURA, "Recuérdemelo, por favor", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: len(receiver.of("reminder.changed")), lambda told: told == 1)
        await stage.gateway.customer_says(LAURA, "Ya no hace falta", name="Laura")
        await stage.quiet()
        change(stage.settings.data_dir, "reminders", {"due_at": time.time()})
        made, ended = await found(
            lambda: [taken.data for taken in receiver.of("reminder.changed")],
            lambda told: len(told) == 2,
        )
        assert (made["state"], made["kind"], made["text"]) == (
            "waiting",
            "reminder",
            wanted["text"],
        )
        assert (ended["state"], ended["reminder"]) == ("cancelled", made["reminder"])
        assert ended["reason"] != ""
        await all_settled(stage)
        for taken in receiver.taken:
            check_form(taken.body)
