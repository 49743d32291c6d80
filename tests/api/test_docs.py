"""The page about the API: its client works, and the description is what OpenAPI wants."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio
from support.api import Client, token_on
from support.stage import LAURA, Stage

from daemon.domain.roles import ACCESS_ROLES

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


async def test_the_client_of_the_page_answers_who_waits(stage: Stage, client: Client) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(source.splitlines()) <= 24
    async with client("agent") as api:
        (chat,) = (await api.get("chats")).json()["chats"]
        await api.post(f"chats/{chat['ref']}/pause", json={"minutes": 60})
        await stage.gateway.customer_says(LAURA, "¿Hay alguien?")
        while True:
            if (await api.get("chats?state=with_agent")).json()["chats"]:
                break
            await trio.sleep(0.05)
    environ = {"RECADO_URL": stage.url, "RECADO_TOKEN": token_on(stage.settings.data_dir, "agent")}
    run = partial(
        trio.run_process,
        [sys.executable, "-c", source],
        env={**os.environ, **environ},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    done = await run()
    assert done.returncode == 0, done.stdout.decode()
    assert re.fullmatch(r"Laura.* (sent|delivered|read)\n", done.stdout.decode())
    assert stage.received()[-1] == "Enseguida le atendemos."


async def test_the_description_is_served_and_names_roles(stage: Stage) -> None:
    answer = await stage.get("/api/openapi.json")
    assert answer.status_code == 200
    description = answer.json()
    assert description["openapi"].startswith("3.1")
    operations = [one for path in description["paths"].values() for one in path.values()]
    for operation in operations:
        assert operation["summary"], operation["operationId"]
        assert re.search(rf"Role: ({'|'.join(ACCESS_ROLES)})\.$", operation["description"])
    assert len(operations) > 10
    assert set(description["components"]["schemas"]) >= {"ChatPage", "ProblemDocument"}
    assert "ChatFilter" not in description["components"]["schemas"]
    limit = next(
        parameter
        for parameter in description["paths"]["/api/v1/chats"]["get"]["parameters"]
        if parameter["name"] == "limit"
    )
    assert limit["schema"]["maximum"] == 100
