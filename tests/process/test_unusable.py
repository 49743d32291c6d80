"""A configuration or a store that cannot be used: it says so, and waits to be mended."""

from pathlib import Path

import httpx
import pytest
from support.place import database
from support.plain import NO_TLS
from support.ports import free_port
from support.process import Site, health_when_known, open_site, until
from support.stage import LAURA

from daemon.ledger.migrations import latest_version


def at(port: int) -> dict[str, str]:
    """The variable that sets the port."""
    return {"RECADO_WEB__PORT": str(port)}


async def assert_minimal(url: str, reason: str) -> None:
    """Somebody answers there who explains why there is no daemon, and takes no webhooks."""
    health = await health_when_known(url)
    assert health["status"] == "minimal"
    assert health["initialized"] is False
    assert reason in health["reason"]
    assert "soon" not in health["reason"]
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=url, trust_env=False, timeout=60
    ) as client:
        assert (await client.get("/ready")).status_code == 503
        assert (await client.post("/hook", content=b"{}")).status_code == 503


async def test_a_bad_configuration_is_explained_on_health(site: Site) -> None:
    port = free_port()
    process = await site.launch(variables={**at(port), "RECADO_BUFFER__WINDOW_SECONDS": "soon"})
    await assert_minimal(f"http://127.0.0.1:{port}", "buffer.window_seconds")
    assert (await process.end())[0] == 2
    assert "RECADO_BUFFER__WINDOW_SECONDS" in process.text


async def test_a_tool_that_cannot_be_loaded_is_explained_on_health(
    site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "broken.py").write_text("import nothing_of_that_name\n")
    port = free_port()
    process = await site.launch(variables={**at(port), "RECADO_TOOLS__FOLDER": str(folder)})
    await assert_minimal(f"http://127.0.0.1:{port}", "broken.py")
    assert (await process.end())[0] == 2


@pytest.mark.sqlite  # on PostgreSQL it stands by
async def test_a_second_process_on_the_store_leaves_the_first_alone(site: Site) -> None:
    first = await site.start()
    port = free_port()
    second = await site.launch(variables=at(port))
    await assert_minimal(
        f"http://127.0.0.1:{port}", f"in use by another process (pid {first.process.pid})"
    )
    assert (await second.end())[0] == 2
    await site.gateway.customer_says(LAURA, "Hola")
    await site.gateway.wait_sent(LAURA)
    assert (await first.end())[0] == 0


@pytest.mark.sqlite
async def test_a_store_that_is_not_one_is_explained_on_health(site: Site) -> None:
    site.data_dir.mkdir()
    (site.data_dir / "recado.db").write_bytes(b"this is not a database" * 400)
    port = free_port()
    process = await site.launch(variables=at(port))
    await assert_minimal(f"http://127.0.0.1:{port}", "the store cannot be used")
    assert (await process.end())[0] == 2


async def test_a_later_version_of_the_tables_ends_a_running_node_and_is_explained_on_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    async with open_site(tmp_path) as site:
        port = free_port()
        process = await site.start(**at(port))
        database().set_version(site.data_dir, latest_version() + 1)
        await until(lambda: "is the first that can work with it" in process.text)
        await assert_minimal(f"http://127.0.0.1:{port}", "the store cannot be used")
        assert (await process.end())[0] == 2


async def test_check_finds_nothing_wrong(site: Site) -> None:
    status, out, _ = await site.say("check")
    assert status == 0
    assert "ok: instructions: " in out
    assert "error" not in out


async def test_check_names_every_fault_with_its_place(site: Site) -> None:
    status, out, _ = await site.say(
        "check",
        RECADO_ENVIRONMENT="production",
        RECADO_BUFFER__WINDOW_SECONDS="soon",
        RECADO_WEB__PROT="1",
    )
    assert status == 1
    lines = out.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    for words in (
        "buffer.window_seconds: must be",
        "RECADO_WEB__PROT: unknown environment variable, did you mean RECADO_WEB__PORT?",
        "web.webhook_secret: must be set",
        "web.admin_token: must be set",
    ):
        assert any(words in line for line in lines)


async def test_check_misses_the_keys(site: Site) -> None:
    status, out, _ = await site.say("check", WHAPI_TOKEN="", OPENAI_API_KEY="")
    assert status == 1
    assert "error: whapi.token: is not set" in out
    assert "error: assistant.api_key: is not set" in out


NOBODY = "warning: neither escalation.chat nor notify.urls is set"


async def test_check_warns_about_missing_notification_targets(site: Site) -> None:
    """An address that is none is named by its place, since it may hold a password."""
    _, out, _ = await site.say("check")
    assert NOBODY in out
    _, out, _ = await site.say("check", RECADO_NOTIFY__URLS="ntfy://topic json://localhost/a,b")
    assert "ok: notify.urls: 2 addresses" in out
    assert NOBODY not in out
    status, out, _ = await site.say(
        "check", RECADO_NOTIFY__URLS="ntfy://topic, nonsense://user:hunter2@example.com"
    )
    assert status == 1
    assert "error: notify.urls[1]: is no address that Apprise knows" in out
    assert "hunter2" not in out
    _, out, _ = await site.say("check", RECADO_NOTIFY__URLS="hunter2")
    assert "error: notify.urls: must be an address such as ntfy://topic" in out
    assert "hunter2" not in out


async def test_wrong_usage_ends_with_two(site: Site) -> None:
    status, _, err = await site.say("run", "--nonsense")
    assert status == 2
    assert "--nonsense" in err
