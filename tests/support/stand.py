"""A daemon and its simulators for a test outside trio: Playwright brings its own loop.

The simulators run in a thread of their own; the daemon is a process, so that it can be killed.
"""

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import trio

from support.browser_daemon import PHONE_VARIABLE
from support.model_script import Step
from support.ports import free_port
from support.process import ROOT, DaemonProcess, Site, open_site

T = TypeVar("T")

ADMIN_TOKEN = "a-token-for-the-dashboard"
LIFE_SECONDS = 1800.0
"""Seconds after which a stand ends in any case."""
CALL_SECONDS = 120.0


class Stand:
    """The test's access to the other thread. Its methods block; the test's thread calls them."""

    def __init__(self, site: Site, stop: trio.Event) -> None:
        self.site = site
        self.url = ""
        self.phone_url = f"{site.environ['WHAPI_API_URL']}/phone"
        self._stop = stop
        self._token = trio.lowlevel.current_trio_token()
        self._process: DaemonProcess | None = None
        self._variables = {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "RECADO_WEB__PORT": str(free_port()),
            "RECADO_WEB__ADMIN_TOKEN": ADMIN_TOKEN,
            PHONE_VARIABLE: site.environ["WHAPI_API_URL"],
        }

    def ask(self, deed: Callable[..., Awaitable[T]], *args: Any, **names: Any) -> T:
        """Run a function in the simulators' thread, and wait for its end."""

        async def bounded() -> T:
            with trio.fail_after(CALL_SECONDS):
                return await deed(*args, **names)

        return trio.from_thread.run(bounded, trio_token=self._token)

    def tell(self, deed: Callable[..., T], *args: Any, **names: Any) -> T:
        """Run a function there that does not wait."""
        return trio.from_thread.run_sync(partial(deed, *args, **names), trio_token=self._token)

    def start(self, **variables: str) -> None:
        """Start the daemon, always at the same address, and wait until it is ready."""

        async def begin() -> None:
            self._process = await self.site.launch(
                "-m", "support.browser_daemon", variables={**self._variables, **variables}
            )
            self.url = await self.site.opened(self._process)

        try:
            self.ask(begin)
        except trio.TooSlowError:
            told = self._process.text if self._process else ""
            raise AssertionError(f"the daemon is not ready: {told}") from None

    def script(self, words: str, *steps: Step) -> None:
        """Script the model's answer to a conversation with these words."""

        def is_asked(body: dict[str, Any]) -> bool:
            return words in json.dumps(body["input"], ensure_ascii=False)

        self.tell(self.site.model.script, *(replace(step, when=is_asked) for step in steps))

    def wait_received(self, chat: str, words: str) -> str:
        """Wait until a customer received a message with these words; gives its id."""
        gateway = self.site.gateway

        def found() -> list[str]:
            return [message.id for message in gateway.sent(chat) if words in message.text]

        self.ask(gateway.wait_for, lambda: bool(found()))
        return self.tell(found)[0]

    def kill(self) -> None:
        """End the daemon as ``kill -9`` does."""
        assert self._process is not None
        process = self._process.process
        self.tell(process.kill)
        self.ask(process.wait)

    def finish(self) -> None:
        """End the daemon and the simulators."""
        self.tell(self._stop.set)


@contextmanager
def open_stand(folder: Path, *, seconds: float = LIFE_SECONDS) -> Iterator[Stand]:
    """Both simulators on free ports, and a daemon that the test starts; ends after ``seconds``."""
    made: SimpleQueue[Stand | BaseException] = SimpleQueue()

    async def live() -> None:
        stop = trio.Event()
        async with open_site(folder, seconds=seconds) as site:
            made.put(Stand(site, stop))
            await stop.wait()

    def run() -> None:
        try:
            trio.run(live)
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits for it
            made.put(error)

    thread = threading.Thread(target=run, name="simulators")
    thread.start()
    stand = made.get(timeout=CALL_SECONDS)
    if isinstance(stand, BaseException):
        raise stand
    try:
        yield stand
    finally:
        stand.finish()
        thread.join(CALL_SECONDS)
