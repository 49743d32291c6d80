"""People before the dashboard: they look at its pages and at the live log, and go away again."""

import sys
from itertools import count
from pathlib import Path

import trio
from load import SECRET

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.websocket import Refused, websocket

PAGES = ("/dashboard", "/dashboard/chats", "/dashboard/work", "/dashboard/log", "/metrics")
STAYS = (3.0, 8.0, 20.0, 40.0)
"""Seconds that they follow the live log."""
PAUSE_SECONDS = 2.0
ADMIN_TOKEN = SECRET
HEADERS = ((b"Authorization", f"Bearer {ADMIN_TOKEN}".encode()),)
ANSWER_SECONDS = 60.0
"""For all pages: on a machine that has much else to do they may take a while."""


class Readers:
    """Some people; each of them comes again and again until they are sent away."""

    def __init__(self) -> None:
        self.pages = self.followed = self.lines = self.refused = 0
        self._visits = count()
        self._scope = trio.CancelScope()

    async def visit(self, port: int, amount: int) -> None:
        """Have `amount` of them come and go; ends when they are sent away, or it is cancelled."""
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            for _ in range(amount):
                nursery.start_soon(self._come_and_go, port)

    def leave(self) -> None:
        """Send everybody away."""
        self._scope.cancel()

    async def _come_and_go(self, port: int) -> None:
        while True:
            number = next(self._visits)
            try:
                with trio.fail_after(ANSWER_SECONDS):
                    for page in PAGES:
                        await self._look(port, page)
                await self._follow(port, number)
            except (OSError, trio.BrokenResourceError, trio.EndOfChannel, Refused) as error:
                print(f"a reader was not served: {error!r}", file=sys.stderr)
                self.refused += 1
            except trio.TooSlowError:
                print("a reader was not served in time", file=sys.stderr)
                self.refused += 1
            await trio.sleep(PAUSE_SECONDS)

    async def _look(self, port: int, page: str) -> None:
        """Load one page over a connection of its own."""
        head = f"GET {page} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        head += f"Authorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head.encode())
            answer = b"".join([bytes(part) async for part in stream])
        if answer.startswith(b"HTTP/1.1 200 "):
            self.pages += 1
        else:
            print(f"{page}: {answer[:60]!r}", file=sys.stderr)
            self.refused += 1

    async def _follow(self, port: int, number: int) -> None:
        """Follow the live log for a while; each third reader reads one message and no more."""
        target = "/dashboard/api/logs?history=50"
        async with websocket(port, target, headers=HEADERS) as client:
            with trio.move_on_after(STAYS[number % len(STAYS)]):
                self.lines += len((await client.receive()).get("lines", []))
                while number % 3:
                    self.lines += len((await client.receive()).get("lines", []))
                await trio.sleep_forever()
        self.followed += 1
