"""Secrets and phone numbers go into every input of a real process; no output gives them away."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.model_script import Step
from support.plain import NO_TLS
from support.process import Site, until
from support.rows import select
from support.stage import text_webhook

from daemon.sandbox.model_wire import CallTool

PHONE = "573009998877"
ADMIN = "admin-canary-Zx81qLm0"
HOOK = "hook-canary-Yw72pKn1"
OTHER = "sk-proj-canaryUv63oJm2"
CARD = "4111 1111 1111 1111"
MAIL = "ana.gomez@example.com"
EASTERN = "\u0663\u0660\u0660\u0669\u0669\u0669\u0668\u0668\u0667\u0667"
PRIVATE = f"{CARD} {MAIL} {EASTERN} 12345678Z"
"""A card, an address, a number in Arabic digits and an identity card."""

CANARY = f"+{PHONE} {PHONE}@s.whatsapp.net {ADMIN} {HOOK} {OTHER} Bearer {OTHER}"

TOOL = f'''
"""A tool that fails and tells everything."""

from daemon.tools.tool import tool


@tool
async def leak(words: str) -> str:
    """Fail with the words it was given."""
    raise RuntimeError(words + {CANARY!r} + {PRIVATE!r})
'''

ADDRESS = re.compile(r"(http://127\.0\.0\.1:[0-9]+)/hook")

PATHS = (
    *("/", "/health", "/ready", "/locks", "/metrics", f"/{PHONE}?token={OTHER}"),
    *("/dashboard/logs", "/dashboard/stats"),
)
"""What answers an operator's programs; pages of conversations are to show words."""

FORMATS = ("human", "json", "journal")
"""The journal's protocol itself is in ``tests/observe``; without journald its events are JSON."""


def hook_bodies() -> list[object]:
    """Webhook bodies with the canary wherever they hold words."""
    name = f"{EASTERN} {CANARY}"
    fields: dict[str, Any] = {"from_name": name, "chat_name": CANARY, CANARY: CANARY}
    return [
        text_webhook(f"{PRIVATE} {CANARY}", "CANARY1", chat=PHONE, **fields),
        {"messages": [{"id": CANARY, "type": CANARY, "from": CANARY}], "channel_id": CANARY},
        {"presences": [{"contact_id": PHONE, "status": "typing"}], "channel_id": "SANDBOX-00001"},
        {"messages": CANARY, "event": {"type": CANARY, "event": CANARY}},
        CANARY,
    ]


async def leaked(url: str, site: Site) -> list[str]:
    """Send the inputs; gives what HTTP answered."""
    seen = []
    rights, none = {"Authorization": f"Bearer {HOOK}"}, {"Authorization": f"Bearer {OTHER}"}
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=url, trust_env=False, timeout=60
    ) as client:
        for body in hook_bodies():
            for headers in (rights, none):
                answer = await client.post("/hook", json=body, headers={**headers, "X-A": PHONE})
                seen.append(answer.text)
        await site.gateway.wait_sent(PHONE)
        admin = {"Authorization": f"Bearer {ADMIN}"}
        for path in PATHS:
            seen.append((await client.get(path, headers=admin)).text)
            seen.append((await client.get(path, headers=none)).text)
    return seen


@pytest.mark.parametrize("written", FORMATS)
async def test_no_output_has_a_secret_or_a_number(site: Site, tmp_path: Path, written: str) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "leaking.py").write_text(TOOL)
    site.model.script(
        Step(status=500, message=CANARY),
        Step(outputs=(CallTool("leak", json.dumps({"words": CANARY})),)),
        Step(status=400, message=CANARY),
    )
    process = await site.launch(
        variables={
            "RECADO_LOG__FORMAT": written,
            "RECADO_LOG__LEVEL": "debug",
            "RECADO_LANGUAGE": "es",
            "RECADO_BUFFER__TYPING_SECONDS": "0.2",
            "RECADO_TOOLS__FOLDER": str(folder),
            "RECADO_WEB__ADMIN_TOKEN": ADMIN,
            "RECADO_WEB__WEBHOOK_SECRET": HOOK,
        }
    )
    await until(lambda: ADDRESS.search(process.text) is not None)
    seen = await leaked(ADDRESS.findall(process.text)[0], site)
    await process.end()
    assert "leak" in process.text
    for text in (process.text, *seen):
        for hidden in (PHONE, PHONE[2:], ADMIN, HOOK, OTHER):
            assert hidden not in text
    for hidden in (CARD, MAIL, EASTERN, EASTERN.encode("unicode-escape").decode(), "12345678Z"):
        assert hidden not in process.text
    rows = select(site.data_dir, "log_lines", "kind, turn, line")
    lines = str([tuple(row) for row in rows])
    assert "message" in lines
    for hidden in (PHONE, ADMIN, HOOK, OTHER, CARD, MAIL, EASTERN, "12345678Z"):
        assert hidden not in lines
    given_up = select(site.data_dir, "turns", "reason", where={"outcome !=": "answered"})
    assert len(given_up) == 1
    for hidden in (PHONE, ADMIN, HOOK, OTHER):
        assert hidden not in str([tuple(row) for row in given_up])
