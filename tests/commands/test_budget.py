"""`recado budget`: what was used up today, by whom, and a fresh start for one contact."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.operator import recado, recado_at
from support.place import variables_of_store
from support.rows import change, rows
from support.stage import LAURA, Stage, open_stage

from daemon.__main__ import main
from daemon.domain.texts import texts

CHAT = f"{LAURA}@s.whatsapp.net"


def _reset(data_dir: Path, chat: str = LAURA) -> Result:
    arguments = ["budget", "reset", chat, "--data-dir", str(data_dir)]
    return CliRunner().invoke(main, arguments, env=variables_of_store(data_dir))


async def _answered(stage: Stage, words: str, count: int) -> None:
    await stage.gateway.customer_says(LAURA, words)
    await stage.gateway.wait_sent(LAURA, count)
    await stage.quiet()


async def test_it_shows_the_use_of_today_with_numbers_masked(stage: Stage) -> None:
    await _answered(stage, "Hola", 1)
    data_dir = stage.settings.data_dir
    ((tokens,),) = [tuple(row.values()) for row in rows(data_dir, "usage", "tokens")]
    done = await recado(data_dir, "budget")
    assert done.exit_code == 0, done.output
    assert f"total  {tokens} tokens" in done.stdout
    assert f"5730…4567@s.whatsapp.net  {tokens} tokens" in done.stdout
    assert LAURA not in done.stdout
    revealed = await recado(data_dir, "budget", "--reveal", "--chat", LAURA)
    assert CHAT in revealed.stdout
    other = await recado(data_dir, "budget", "--json", "--chat", "573007654321")
    shown = json.loads(other.stdout)
    assert shown["contacts"] == []
    assert shown["total"] == {"tokens": tokens, "cost": 0.0, "gateway_cost": 0.0, "spent": False}


async def test_a_configuration_gives_the_limits_and_the_day(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        await _answered(stage, "Hola", 1)
    config = tmp_path / "recado.toml"
    config.write_text(
        f'data_dir = "{tmp_path / "data"}"\n[budget]\ntotal_tokens = 5000\ntotal_cost = 2.5\n'
        'currency = "COP"\n[budget.prices.gpt-6-luna]\ninput = 1.5\noutput = 6\n'
    )
    environ = variables_of_store(tmp_path / "data")
    done = CliRunner(env=environ).invoke(main, ["budget", "--json", "--config", str(config)])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["currency"] == "COP"
    assert shown["limits"]["total_tokens"] == 5000
    assert shown["limits"]["contact_cost"] == 0
    (contact,) = shown["contacts"]
    assert contact["tokens"] == shown["total"]["tokens"] > 0


def test_a_limit_of_cost_without_a_price_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "recado.toml"
    config.write_text("[budget]\ntotal_cost = 2.5\n")
    done = CliRunner().invoke(main, ["budget", "--config", str(config)])
    assert done.exit_code == 2
    assert "budget.total_cost: needs a price of gpt-6-luna in budget.prices" in done.stderr


def test_a_price_must_be_an_amount(tmp_path: Path) -> None:
    config = tmp_path / "recado.toml"
    config.write_text("[budget.prices.gpt-6-luna]\ninput = -1\n")
    done = CliRunner().invoke(main, ["budget", "--config", str(config)])
    assert done.exit_code == 2
    assert "budget.prices: must be a table of models" in done.stderr


async def test_a_contact_that_is_reset_is_answered_again_at_once(tmp_path: Path) -> None:
    limit = {"contact_tokens": 60_000, "answer_tokens": 50_000}
    async with open_stage(tmp_path / "data", budget=limit) as stage:
        await _answered(stage, "Hola", 1)
        change(stage.settings.data_dir, "usage", {"tokens": 30000})
        await _answered(stage, "¿Tienen cupo?", 2)
        assert stage.received()[1] == texts("es").budget
        done = _reset(stage.settings.data_dir)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("reset for 20")
        page = await recado(stage.settings.data_dir, "budget")
        assert "(0 tokens since the reset)" in page.stdout
        await _answered(stage, "Sigo aquí", 3)
        assert stage.received()[2] != texts("es").budget
        (audited,) = rows(
            stage.settings.data_dir, "audit JOIN audit_details ON audit_id = id", "action, subject"
        )
        assert audited == {"action": "budget reset", "subject": CHAT}


async def test_resetting_an_unused_budget_reports_so(stage: Stage) -> None:
    done = _reset(stage.settings.data_dir)
    assert done.exit_code == 1
    assert "this contact has used nothing" in done.stderr


@pytest.mark.sqlite
def test_an_empty_store_has_an_empty_page(tmp_path: Path) -> None:
    done = recado_at(tmp_path, "budget")
    assert done.exit_code == 2
    assert "there is no store" in done.stderr


async def test_a_forgotten_person_is_not_named_in_the_sums(stage: Stage) -> None:
    await _answered(stage, "Hola", 1)
    data_dir = stage.settings.data_dir
    before = rows(data_dir, "usage_days", "tokens", order="chat")
    assert (await recado(data_dir, "forget", LAURA, "--yes")).exit_code == 0
    chats = rows(data_dir, "usage_days", "chat", order="chat")
    assert chats[0] == {"chat": ""}
    assert str(chats[1]["chat"]).startswith("forgotten-")
    assert rows(data_dir, "usage_days", "tokens", order="chat") == before
