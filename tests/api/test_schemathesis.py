"""Schemathesis against the whole daemon: requests that fit the description, and that do not.

Every answer must be one that the description has, and none a server error.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
from pydantic import SecretStr
from support.api import open_client, token_on
from support.model_script import say
from support.scenes import QUICK_RULES, forgive
from support.stage import LAURA, Stage, open_stage

EXAMPLES = 8
"""Random requests for each operation and phase."""

CONFIG = """
[parameters]
"path.ref" = "{ref}"
"path.number" = "main"

[[operations]]
include-operation-id = ["send_message", "send_first_message", "send_file", "react", "add_reminder"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]

[[operations]]
include-operation-id = ["show_outcomes"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]

[[operations]]
include-tag = ["texts"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
"""
"""The chat that there is. The same Idempotency-Key comes with several requests, and days may be
none of the calendar: 422."""

NOT_CHECKED = "ignored_auth"
"""It guesses tokens, which are answered more slowly each time; test_callers.py tries all routes."""


GROUPS = [
    ("chats", "handover", "contacts", "turns"),
    ("sending", "reminders"),
    ("work", "knowledge", "daemon", "texts"),
]
"""The tags of the operations; a daemon for each group, so that they are tried side by side."""


async def test_every_operation_is_in_a_group(stage: Stage) -> None:
    paths = (await stage.get("/api/openapi.json")).json()["paths"].values()
    tags = {tag for path in paths for operation in path.values() for tag in operation["tags"]}
    assert tags == {tag for group in GROUPS for tag in group}


@pytest.mark.parametrize("tags", GROUPS, ids="-".join)
async def test_the_daemon_answers_as_it_describes(tmp_path: Path, tags: tuple[str, ...]) -> None:
    web = {"admin_token": SecretStr("an-admin-token-of-a-test"), "api_requests_per_minute": 0}
    async with open_stage(tmp_path / "data", rules=QUICK_RULES, web=web) as stage:
        stage.model.script(say("Sí, hay cupo."))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo el viernes?", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        token = token_on(stage.settings.data_dir, "operator")
        async with open_client(stage, token) as api:
            (chat,) = (await api.get("chats")).json()["chats"]
        config = tmp_path / "schemathesis.toml"
        config.write_text(CONFIG.format(ref=chat["ref"]))
        program = str(Path(sys.executable).with_name("schemathesis"))
        run = partial(
            trio.run_process,
            [
                *(program, "--config-file", str(config), "run", f"{stage.url}/api/openapi.json"),
                *("--header", f"Authorization: Bearer {token}"),
                *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
                *("--checks", "all", "--exclude-checks", NOT_CHECKED, "--seed", "1", "--no-shrink"),
                *("--generation-database", "none"),
                *(f"--include-tag={tag}" for tag in tags),
            ],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=tmp_path,
        )
        done = await run()
        assert done.returncode == 0, done.stdout.decode()
        forgive(stage)
