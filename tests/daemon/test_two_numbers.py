"""Two numbers in one daemon: each gets what is its own, and the trouble of one stays its own."""

import json
from collections import Counter
from inspect import iscoroutinefunction
from itertools import count
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import trio
from click.testing import CliRunner
from support.model_script import say
from support.operator import recado
from support.place import variables_of_store
from support.plain import NO_TLS
from support.rows import rows, select
from support.scenes import found
from support.stage import LAURA, text_webhook
from support.two_numbers import BAR_ID, BAR_SECRET, SHOP_ID, SHOP_SECRET, TwoNumbers, open_two

from daemon.__main__ import main
from daemon.conversation import registry
from daemon.domain.redaction import mask_numbers
from daemon.gateway.port import Gateway
from daemon.ops.maintenance import tasks as maintenance


async def post(
    stage: TwoNumbers, path: str, body: bytes | object, secret: str = ""
) -> httpx.Response:
    """Post one webhook call with a secret as its bearer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
        return await client.post(stage.url + path, content=content, headers=headers)


def call(message_id: str, channel: str | None, body: str = "Hola") -> dict[str, Any]:
    """A call with one text, that names a channel unless it is None."""
    webhook = text_webhook(body, message_id)
    del webhook["channel_id"]
    return webhook | ({"channel_id": channel} if channel is not None else {})


def said(stage: TwoNumbers) -> tuple[list[str], list[str]]:
    """What Laura was told by the shop and by the bar."""
    return stage.received(), [message.text for message in stage.bar.sent(LAURA)]


async def test_a_customer_of_both_numbers_has_two_conversations(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with open_two(data_dir) as stage:
        await stage.gateway.customer_says(LAURA, "Busco unos zapatos")
        await stage.gateway.wait_sent(LAURA)
        await stage.bar.customer_says(LAURA, "Una mesa para dos")
        await stage.bar.wait_sent(LAURA)
        assert "zapatos" not in str(stage.model.calls[-1].body)
        await stage.quiet()
        assert {number for (number,) in select(data_dir, "chats", "channel")} == {"shop", "bar"}
        assert {number for (number,) in select(data_dir, "outbox", "channel")} == {"shop", "bar"}
        assert [len(words) for words in said(stage)] == [1, 1]
        lines = [line for line in stage.events("message") if line.get("number")]
        assert {line["number"] for line in lines} == {"shop", "bar"}


async def test_each_number_has_its_own_instructions_and_tables(tmp_path: Path) -> None:
    (tmp_path / "bar.md").write_text("You answer for a cocktail bar.")
    bar = {
        "assistant": {"instructions_file": tmp_path / "bar.md", "model": "gpt-6-bar"},
        "buffer": {"window_seconds": 0.05},
    }
    async with open_two(tmp_path / "data", bar=bar) as stage:
        await stage.bar.customer_says(LAURA, "Hola")
        await stage.bar.wait_sent(LAURA)
        assert "cocktail bar" in str(stage.model.calls[-1].body)
        assert stage.model.calls[-1].body["model"] == "gpt-6-bar"
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        assert "small hotel" in str(stage.model.calls[-1].body)
        assert stage.model.calls[-1].body["model"] != "gpt-6-bar"


@pytest.mark.parametrize(
    ("path", "channel", "secret", "status", "reason"),
    [
        ("/n/shop/hook", BAR_ID, SHOP_SECRET, 200, ""),  # the address decides
        ("/n/shop/hook/messages/post", None, SHOP_SECRET, 200, ""),
        ("/n/shop/hook", SHOP_ID, BAR_SECRET, 401, "secret"),
        ("/n/shop/hook", SHOP_ID, "", 401, "secret"),
        ("/n/club/hook", SHOP_ID, SHOP_SECRET, 404, "not found"),
        ("/n/shop/hoax", SHOP_ID, SHOP_SECRET, 404, "not found"),
        ("/n/shop", SHOP_ID, SHOP_SECRET, 404, "not found"),
        ("/hook", SHOP_ID, SHOP_SECRET, 200, ""),
        ("/hook/messages", SHOP_ID, SHOP_SECRET, 200, ""),
        ("/hook", SHOP_ID, BAR_SECRET, 401, "secret"),
        ("/hook", SHOP_ID, "nobody's", 401, "secret"),
        ("/hook", SHOP_ID, "", 401, "secret"),
        ("/hook", "CLUB-1", SHOP_SECRET, 400, "unknown number CLUB-1"),
        ("/hook", None, SHOP_SECRET, 400, "names no number"),
    ],
)
async def test_a_call_reaches_only_the_number_of_its_secret(
    tmp_path: Path, path: str, channel: str | None, secret: str, status: int, reason: str
) -> None:
    data_dir = tmp_path / "data"
    async with open_two(data_dir) as stage:
        answer = await post(stage, path, call("laura-1", channel), secret)
        assert answer.status_code == status
        assert reason in answer.json().get("error", "")
        stored = select(data_dir, "messages", "channel, id")
        assert stored == ([("shop", "laura-1")] if status == 200 else [])
        if status == 400:
            (line,) = stage.events("a webhook was refused")
            assert reason in line["reason"]
        if status == 200:
            await stage.gateway.wait_sent(LAURA)
            assert [len(words) for words in said(stage)] == [1, 0]


async def test_a_body_that_is_no_call_is_refused(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        for body in (b"", b"hola", b"[]", b'{"channel_id": 5}', b'{"channel_id": null}'):
            assert (await post(stage, "/hook", body, SHOP_SECRET)).status_code == 400
        assert rows(tmp_path / "data", "events") == []


async def test_both_go_on_after_a_crash(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        gate = trio.Event()
        stage.model.script(say("uno", gate=gate), say("dos", gate=gate))
        await stage.gateway.customer_says(LAURA, "Hola, tienda")
        await stage.bar.customer_says(LAURA, "Hola, bar")
        await stage.model.wait_requests(2)
        await stage.crash()
        gate.set()
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.bar.wait_sent(LAURA)
        await stage.quiet()
        assert [len(words) for words in said(stage)] == [1, 1]


async def test_a_person_takes_over_one_of_the_two_chats(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        await stage.gateway.agent_says(LAURA, "Ya la atiendo yo")
        await stage.gateway.customer_says(LAURA, "Gracias")
        await stage.bar.customer_says(LAURA, "¿Hay mesa?")
        await stage.bar.wait_sent(LAURA)
        await stage.quiet()
        assert [len(words) for words in said(stage)] == [0, 1]
        async with httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=30) as client:
            paused = {"chat": LAURA, "number": "bar"}
            assert (await client.post("/takeover/pause", json=paused)).json() == {"chats": 1}
            unknown = {"chat": LAURA, "number": "club"}
            assert (await client.post("/takeover/pause", json=unknown)).status_code == 404
            assert (await client.post("/takeover/resume", json={"chat": LAURA})).json() == {
                "chats": 2
            }
        await stage.gateway.wait_sent(LAURA)


async def test_the_trouble_of_one_channel_holds_only_its_own_sends(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        stage.gateway.set_channel_state("QR")
        await found(lambda: stage.events("channel is not usable"))
        reasons = (await stage.get("/health")).json()["reasons"]
        assert [reason.partition(":")[0] for reason in reasons] == ["shop"]
        await stage.gateway.customer_says(LAURA, "Hola, tienda")
        await stage.bar.customer_says(LAURA, "Hola, bar")
        await stage.bar.wait_sent(LAURA)
        assert [len(words) for words in said(stage)] == [0, 1]
        stage.log.seek(0)
        stage.log.truncate()


async def test_the_budget_of_one_number_is_its_own(tmp_path: Path) -> None:
    spent = {"budget": {"total_tokens": 1}}
    async with open_two(tmp_path / "data", shop=spent) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.bar.customer_says(LAURA, "Hola")
        await stage.bar.wait_sent(LAURA)
        shop, bar = said(stage)
        assert shop != bar
        assert len(stage.model.calls) == 1
        days = select(tmp_path / "data", "usage_days", "channel", where={"chat": ""})
        assert {number for (number,) in days} == {"shop", "bar"}
        stage.log.seek(0)
        stage.log.truncate()


async def test_the_budget_of_each_number_is_shown_with_its_own_limits(tmp_path: Path) -> None:
    shop = {"budget": {"total_tokens": 70_000, "contact_tokens": 60_000, "currency": "COP"}}
    bar = {"budget": {"total_tokens": 90_000}}
    async with open_two(tmp_path / "data", shop=shop, bar=bar) as stage:
        await stage.bar.customer_says(LAURA, "Hola")
        await stage.bar.wait_sent(LAURA)
        await stage.quiet()
        budget = (await stage.get("/dashboard/api/work")).json()["budget"]
        limits = {one["ours"]: one["limits"]["total_tokens"] for one in budget["numbers"]}
        assert limits == {"shop": 70_000, "bar": 90_000}
        used = {one["ours"]: one["tokens"] > 0 for one in budget["numbers"]}
        assert used == {"shop": False, "bar": True}
        (chat,) = budget["chats"]
        assert (chat["ours"], chat["limits"]["contact_tokens"]) == ("bar", 0)
        page = (await stage.get("/dashboard/work")).text
        assert page.count('data-testid="budget-total"') == 2
        assert "<b>shop</b>" in page
    config = tmp_path / "recado.toml"
    config.write_text(
        f'data_dir = "{tmp_path / "data"}"\n[numbers.shop]\ntoken = "s"\n'
        '[numbers.shop.budget]\ntotal_tokens = 70000\ncurrency = "COP"\n'
        '[numbers.bar]\ntoken = "b"\n[numbers.bar.budget]\ntotal_tokens = 90000\n'
    )
    environ = variables_of_store(tmp_path / "data")
    shown = CliRunner(env=environ).invoke(main, ["budget", "--config", str(config)]).stdout
    assert "limits of shop: contact_tokens none, contact_cost none, total_tokens 70000" in shown
    assert "total of shop  0 tokens  0.0000 COP" in shown
    assert "limits of bar: contact_tokens none, contact_cost none, total_tokens 90000" in shown
    assert f"{mask_numbers(LAURA)}@s.whatsapp.net of bar" in shown
    told = CliRunner(env=environ).invoke(main, ["budget", "--json", "--config", str(config)]).stdout
    numbers = json.loads(told)["numbers"]
    assert numbers["shop"]["limits"]["total_tokens"] == 70_000
    assert numbers["bar"]["tokens"] == json.loads(told)["total"]["tokens"] > 0


async def test_the_flood_of_one_number_leaves_the_other_a_place(tmp_path: Path) -> None:
    places = {"assistant": {"max_concurrent_runs": 4}}
    async with open_two(tmp_path / "data", assistant=places["assistant"]) as stage:
        gate = trio.Event()
        stage.model.script(*[say("Ya va", gate=gate)] * 4)
        for place in range(8):
            await stage.gateway.customer_says(f"5730000000{place:02}", "Hola")
        await stage.model.wait_requests(3)
        await stage.bar.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(4)
        assert "5730000000" not in str(stage.model.calls[-1].body)
        gate.set()
        await stage.bar.wait_sent(LAURA)


async def test_a_flood_of_calls_at_one_number_keeps_the_other_answering(tmp_path: Path) -> None:
    """Of genuine ones, and of some whose secret is guessed, from the address of all gateways."""
    ids = count()
    answers: Counter[int] = Counter()
    over = trio.Event()

    async def flood(stage: TwoNumbers, secret: str) -> None:
        while not over.is_set():  # a request that is cancelled may leave httpx half done
            place = next(ids)
            webhook = text_webhook("Hola", f"flood-{place}", f"5730000{place % 40:05}")
            path = "/n/shop/hook"
            answers[(await post(stage, path, webhook, secret)).status_code] += 1

    async with open_two(tmp_path / "data") as stage, trio.open_nursery() as nursery:
        for secret in (SHOP_SECRET,) * 6 + ("a guess",) * 2:
            nursery.start_soon(flood, stage, secret)
        await found(lambda: answers[200], lambda taken: taken > 100)
        for turn in range(1, 4):
            await stage.bar.customer_says(LAURA, f"¿Hay mesa para {turn}?")
            await stage.bar.wait_sent(LAURA, turn)
        over.set()
    assert set(answers) <= {200, 401}
    assert answers[200] > 100


class BuggyGateway:
    """The shop's gateway with a bug: whatever it is asked raises what nobody expects."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._gateway, name)
        if not iscoroutinefunction(found):
            return found

        async def fail(*_arguments: object, **_named: object) -> None:
            raise ZeroDivisionError("a bug")

        return fail


async def test_a_crash_in_the_chats_of_one_number_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug wherever the shop's chats call the gateway: the bar answers, the process goes on."""
    monkeypatch.setattr(registry, "CRASH_BASE_SECONDS", 0.02)
    monkeypatch.setattr(
        maintenance, "BASE_SECONDS", 3600.0
    )  # no task begins again after the last look
    monkeypatch.setattr(maintenance, "CAP_SECONDS", 3600.0)
    async with open_two(tmp_path / "data", started=False) as stage:
        wrapped: list[Gateway] = []

        def first_only(gateway: Gateway) -> Gateway:
            wrapped.append(gateway)
            return cast("Gateway", BuggyGateway(gateway)) if len(wrapped) == 1 else gateway

        stage.wrap_gateway = first_only  # type: ignore[method-assign]
        await stage.start()
        await stage.gateway.customer_says(LAURA, "Hola, tienda")
        await stage.bar.customer_says(LAURA, "Hola, bar")
        await stage.bar.wait_sent(LAURA)
        crashes = 'recado_chat_crashes_total{{number="{}"}} 0.0'.format
        with trio.fail_after(60):
            while crashes("shop") in (shown := (await stage.get("/metrics")).text):
                await trio.lowlevel.checkpoint()
        assert crashes("bar") in shown
        tasks = await found(
            lambda: {line["task"] for line in stage.events("unexpected error")},
            lambda tasks: tasks >= {"own number of shop", "watch of shop"},
        )
        assert not {task for task in tasks if task.endswith(" of bar")}
        crashed = [line for line in stage.events("unexpected error") if line["where"] == "chat"]
        assert {line["number"] for line in crashed} == {"shop"}
        assert [len(words) for words in said(stage)] == [0, 1]
        stage.log.seek(0)
        stage.log.truncate()


async def test_metrics_and_health_tell_the_numbers_apart(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        shown = (await stage.get("/metrics")).text
        assert 'recado_turns_total{number="shop",outcome="answered"} 1.0' in shown
        assert 'recado_turns_total{number="bar",outcome="answered"} 0.0' in shown
        assert 'recado_channel_state{number="bar",state="' in shown
        assert 'recado_oldest_unanswered_timestamp_seconds{number="shop"}' in shown
        assert LAURA not in shown


async def test_the_dashboard_names_the_numbers_and_shows_one_of_them(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        for gateway in (stage.gateway, stage.bar):
            await gateway.customer_says(LAURA, "Hola")
            await gateway.wait_sent(LAURA)
        await stage.quiet()
        everybody = (await stage.get("/dashboard/api/chats")).json()["chats"]
        assert sorted(chat["ours"] for chat in everybody) == ["bar", "shop"]
        (one,) = (await stage.get("/dashboard/api/chats?number=bar")).json()["chats"]
        assert one["ours"] == "bar"
        page = (await stage.get("/dashboard/chats?number=bar")).text
        assert 'data-testid="number-shop"' in page
        assert page.count('data-testid="chat-row"') == 1
        chat = (await stage.get(f"/dashboard/chats/{one['ref']}")).text
        assert '<span class="chip" data-testid="ours">bar</span>' in chat


async def test_commands_name_the_number(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with open_two(data_dir) as stage:
        for gateway in (stage.gateway, stage.bar):
            await gateway.customer_says(LAURA, "Hola")
            await gateway.wait_sent(LAURA)
        await stage.quiet()
        refused = await recado(data_dir, "send", LAURA, "Tenemos ofertas")
        assert refused.exit_code == 2
        assert "say which number, with --number: bar, shop" in refused.stderr
        named = await recado(data_dir, "send", LAURA, "Su mesa está lista", "--number", "bar")
        assert named.exit_code == 0
        await stage.bar.wait_sent(LAURA, 2)
        assert [len(words) for words in said(stage)] == [1, 2]
        unknown = await recado(data_dir, "send", LAURA, "Hola", "--number", "club")
        assert "there is no number club" in unknown.stderr
        spent = await recado(data_dir, "budget")
        assert "total of bar" in spent.stdout
        assert "total of shop" in spent.stdout


async def reloaded(stage: TwoNumbers, words: str) -> dict[str, Any]:
    """Reload the configuration; gives the first line of the log with these words after it."""
    stage.log.seek(0)
    stage.log.truncate()
    stage.environment.reload.ring()
    lines = await found(lambda: stage.events(words))
    return dict(lines[0])


async def test_a_reload_changes_the_instructions_of_one_number_only(tmp_path: Path) -> None:
    instructions = tmp_path / "bar.md"
    instructions.write_text("You answer for a cocktail bar.")
    bar = {"assistant": {"instructions_file": instructions}}
    async with open_two(tmp_path / "data", bar=bar) as stage:
        instructions.write_text("You answer for a tea house.")
        stage.changes["bar"] = {**bar, "buffer": {"window_seconds": 0.05}}
        line = await reloaded(stage, "configuration read again")
        assert line["changed"] == "numbers.bar.buffer.window_seconds, the instructions"
        await stage.bar.customer_says(LAURA, "Hola")
        await stage.bar.wait_sent(LAURA)
        assert "tea house" in str(stage.model.calls[-1].body)
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        assert "small hotel" in str(stage.model.calls[-1].body)


async def test_a_fault_in_one_numbers_table_changes_neither(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        stage.changes["shop"] = {"texts": {"apology": "Uy."}}
        stage.changes["bar"] = {"budget": {"total_cost": 5.0}}
        line = await reloaded(stage, "configuration refused, nothing changed")
        assert line["reason"].startswith("numbers.bar.budget.total_cost: needs a price of ")
        stage.log.seek(0)
        stage.log.truncate()
        for gateway in (stage.gateway, stage.bar):
            await gateway.customer_says(LAURA, "Hola")
            await gateway.wait_sent(LAURA)


async def test_a_number_that_is_new_or_gone_waits_for_a_restart_and_is_named(
    tmp_path: Path,
) -> None:
    async with open_two(tmp_path / "data") as stage:
        stage.names = ("shop",)
        await reloaded(stage, "numbers.bar is gone, and is served until then: needs a restart")
        await stage.bar.customer_says(LAURA, "¿Hay mesa?")
        await stage.bar.wait_sent(LAURA)
        await stage.stop()
        await stage.start()
        gone = await post(stage, "/n/bar/hook", call("late-1", BAR_ID), BAR_SECRET)
        assert gone.status_code == 404
        stage.names = ("shop", "bar")
        await reloaded(stage, "numbers.bar is new: needs a restart")
        still = await post(stage, "/n/bar/hook", call("late-1", BAR_ID), BAR_SECRET)
        assert still.status_code == 404
        await stage.gateway.customer_says(LAURA, "Hola, tienda")
        await stage.gateway.wait_sent(LAURA)
        await stage.stop()
        await stage.start()
        back = await post(stage, "/n/bar/hook", call("late-1", BAR_ID), BAR_SECRET)
        assert back.status_code == 200
        await stage.bar.wait_sent(LAURA, 2)


async def test_a_single_named_number_leaves_rows_of_other_numbers_alone(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        gate = trio.Event()
        stage.model.script(say("uno", gate=gate))
        await stage.bar.customer_says(LAURA, "Hola, bar")
        await stage.model.wait_requests(1)
        await stage.stop()
        stage.names = ("shop",)
        await stage.start()
        await stage.gateway.customer_says(LAURA, "Hola, tienda")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [len(words) for words in said(stage)] == [1, 0]
        shown = (await stage.get("/metrics")).text
        assert 'recado_turns_total{number="shop",outcome="answered"} 1.0' in shown
        assert (await stage.get("/health")).json()["status"] == "healthy"
        await stage.stop()
        gate.set()
        stage.names = ("shop", "bar")
        await stage.start()
        await stage.bar.wait_sent(LAURA)
