"""`recado numbers`, and other commands where there are several numbers."""

import json
from pathlib import Path

import trio
from click.testing import CliRunner, Result
from support.place import variables_of_store
from support.stage import LAURA
from support.two_numbers import TwoNumbers, open_two

from daemon.__main__ import main
from daemon.sandbox.start import TOKEN
from daemon.settings import Settings

URL = "https://bot.example.com/hook"


def address(settings: Settings) -> str:
    """Where the simulated gateway of a number is."""
    return settings.whapi.api_url


async def recado(stage: TwoNumbers, *arguments: str) -> Result:
    """Run a command with a configuration of both numbers."""
    environ = {
        "RECADO_DATA_DIR": str(stage.settings.data_dir),
        **variables_of_store(stage.settings.data_dir),
        "OPENAI_API_KEY": TOKEN,
        "OPENAI_BASE_URL": f"{stage.model_url}/v1",
        "WEBHOOK_URL": URL,
    }
    for name, number in stage.outside_settings().numbers.items():
        environ[f"RECADO_NUMBERS__{name.upper()}__TOKEN"] = TOKEN
        environ[f"RECADO_NUMBERS__{name.upper()}__API_URL"] = address(number)
        environ[f"RECADO_NUMBERS__{name.upper()}__WEBHOOK_SECRET"] = f"secret-of-{name}"
    run = CliRunner(env=environ)
    return await trio.to_thread.run_sync(lambda: run.invoke(main, list(arguments)))


async def test_it_lists_the_numbers_with_state_and_waiting_customers(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        await stage.bar.agent_says(LAURA, "Ya la atiendo yo")
        await stage.bar.customer_says(LAURA, "Gracias")
        await stage.quiet()
        shown = await recado(stage, "numbers")
        lines = ["shop  whapi  ok  0 waiting", "bar  whapi  ok  1 waiting"]
        # On PostgreSQL the node that has a number follows.
        assert [line.partition(" waiting")[:2] for line in shown.stdout.splitlines()] == [
            line.partition(" waiting")[:2] for line in lines
        ]
        assert shown.exit_code == 0
        stage.bar.set_channel_state("QR")
        rows = json.loads((await recado(stage, "numbers", "--json")).stdout)
        states = {row["name"]: row["state"] for row in rows}
        assert states == {"shop": "ok", "bar": "needs_qr"}
        assert (await recado(stage, "numbers")).exit_code == 1
        offline = await recado(stage, "numbers", "--offline")
        assert offline.stdout.splitlines()[1].startswith("bar  whapi  1 waiting")
        assert "bar 5730…4567@s.whatsapp.net  waits" in (await recado(stage, "unanswered")).stdout
        done = await recado(stage, "done", LAURA, "--number", "bar")
        assert done.stdout == "1 message closed\n"
        stage.log.seek(0)
        stage.log.truncate()


async def test_each_number_has_its_own_webhook_and_is_checked(tmp_path: Path) -> None:
    async with open_two(tmp_path / "data") as stage:
        refused = await recado(stage, "webhook", "set")
        assert "say which number, with --number: shop, bar" in refused.stderr
        done = await recado(stage, "webhook", "set", "--number", "bar")
        own = "https://bot.example.com/n/bar/hook"
        assert done.stdout == f"added {own}\n"
        (*_, added) = stage.bar.settings._values["webhooks"]
        assert added["url"] == own
        assert added["headers"] == {"Authorization": "Bearer secret-of-bar"}
        checked = (await recado(stage, "check", "--online")).stdout
        assert "error: bar:" not in checked
        assert "error: shop: no webhook of the channel goes to web.webhook_url" in checked
