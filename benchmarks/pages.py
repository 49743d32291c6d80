"""What an operator and another system ask a daemon for, of a store with many chats."""

import json
import statistics
import time
import urllib.request
from urllib.parse import quote

from load import SECRET

PAGES = (
    "/dashboard", "/dashboard/stats", "/dashboard/chats", "/dashboard/api/chats",
    "/dashboard/chats/@", "/dashboard/work", "/dashboard/api/work", "/dashboard/figures",
    "/dashboard/log", "/dashboard/logs", "/dashboard/comparisons", "/metrics", "/health",
    "/api/v1/chats?limit=100", "/api/v1/chats?state=idle", "/api/v1/chats?label=vip",
    "/api/v1/chats/@", "/api/v1/chats/@/messages", "/api/v1/chats/@/turns",
    "/api/v1/search?query=viernes%20cupo", "/api/v1/search?query=r1234",
    "/api/v1/search?query=reser", "/api/v1/search?query=no%20hay%20nada",
    "/dashboard/api/search?query=viernes", "/api/v1/figures", "/api/v1/outcomes",
    "/api/v1/usage", "/api/v1/log", "/api/v1/work", "/api/v1/failed-messages",
    "/api/v1/dead-turns", "/api/v1/unreadable-events", "/api/v1/webhook-deliveries",
    "/api/v1/reminders", "/api/v1/questions", "/api/v1/labels",
)  # fmt: skip
""" ``@`` stands for a chat."""
LOOKS = 5


def look(port: int, page: str) -> bytes:
    """Ask for a page. Raises OSError if it does not come."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{page}", headers={"Authorization": f"Bearer {SECRET}"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - to ourselves
        found: bytes = answer.read()
        return found


def of_a_chat(port: int) -> tuple[str, ...]:
    """The pages, with the newest chat in them."""
    chats = json.loads(look(port, "/api/v1/chats?limit=1"))["chats"]
    return tuple(page.replace("@", quote(chats[0]["ref"])) for page in PAGES)


def milliseconds(port: int) -> dict[str, float]:
    """How long each page takes, the median of some."""
    found = {}
    for name, page in zip(PAGES, of_a_chat(port), strict=True):
        took = []
        for _ in range(LOOKS):
            began = time.perf_counter()
            look(port, page)
            took.append(1000 * (time.perf_counter() - began))
        found[name] = statistics.median(took)
    return found
