"""Delivers webhook calls as Whapi does: until each got its 200.

Whapi's settings document a wait that grows linearly with each try, up to a ceiling; neither a last
try nor an order is promised. Here calls of one chat keep their order, a call that fails holds up
its own chat alone, and tries never end.
"""

import itertools
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import trio

from daemon.domain.messages import JsonObject

Mode = Literal["body", "path", "method"]
Until = Literal["queued", "attempted", "acknowledged"]
"""How long a caller waits: not at all, for the first try, or for the 200. All but the first need
the gateway's `run` to be running."""


@dataclass(frozen=True, slots=True)
class Target:
    """One entry of the channel's ``webhooks`` setting."""

    url: str
    mode: Mode = "body"
    headers: Mapping[str, str] = field(default_factory=dict)
    events: frozenset[str] = frozenset()
    """``messages.post`` and the like; empty: all."""

    def address(self, event: str) -> tuple[str, str]:
        """Return method and URL of a call about `event` in this target's mode."""
        kind, _, method = event.partition(".")
        base = self.url.rstrip("/")
        if self.mode == "path":
            return "POST", f"{base}/{kind}/{method}"
        if self.mode == "method":
            return method.upper(), f"{base}/{kind}"
        return "POST", self.url


@dataclass(frozen=True, slots=True)
class CallAttempt:
    """One try: when, and the status answered; 0 and a reason where there was none."""

    at: float
    status: int
    reason: str = ""


@dataclass(eq=False, slots=True)
class WebhookPost:
    """One webhook call on its way to one target, with all its tries so far."""

    target: Target
    event: str
    payload: JsonObject
    body: bytes
    message_ids: tuple[str, ...]
    attempts: list[CallAttempt] = field(default_factory=list)
    attempted: trio.Event = field(default_factory=trio.Event)
    acknowledged: trio.Event = field(default_factory=trio.Event)

    async def wait(self, until: Until) -> None:
        """Wait as long as `until` says."""
        if until == "attempted":
            await self.attempted.wait()
        elif until == "acknowledged":
            await self.acknowledged.wait()


def plain_client(**options: Any) -> httpx.AsyncClient:
    """Return a client for servers of this machine, without timeouts: its users have cancel scopes.

    It speaks only plain HTTP, so it does not spend time on loading CA certificates.
    """
    return httpx.AsyncClient(
        timeout=None,  # noqa: S113 - see above
        trust_env=False,
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        **options,
    )


class WholeBody(httpx.AsyncByteStream):
    """A request body in one piece.

    httpx's own is an async generator; a call that is cancelled while it is written leaves that to
    the garbage collector, of which trio warns later.
    """

    def __init__(self, body: bytes) -> None:
        self._parts = iter((body,))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


class Postbox:
    """Holds webhook calls in memory and delivers them while `run` runs."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        backoff_seconds: float,
        max_backoff_seconds: float,
        timeout_seconds: float,
        report: Callable[[WebhookPost], None],
    ) -> None:
        """`report` is called after each try of a delivery, in the delivering task."""
        self.deliveries: list[WebhookPost] = []
        """Every call that was put in, oldest first."""
        self.backoff_seconds = backoff_seconds
        self.max_backoff_seconds = max_backoff_seconds
        self.transport: httpx.AsyncBaseTransport | None = None
        """What carries the calls; None: httpx's own."""
        self._now = now
        self._timeout_seconds = timeout_seconds
        self._report = report
        self._lanes: dict[str, deque[WebhookPost]] = {}
        self._running: tuple[trio.Nursery, httpx.AsyncClient] | None = None

    def put(self, lane: str, delivery: WebhookPost) -> None:
        """Queue a call behind the others of its lane (a chat's id, or any name of its own)."""
        self.deliveries.append(delivery)
        queue = self._lanes.get(lane)
        if queue is not None:
            queue.append(delivery)
            return
        self._lanes[lane] = deque([delivery])
        if self._running is not None:
            self._start(lane, *self._running)

    def retarget(self, target: Target) -> None:
        """Make calls that still wait go to `target` from their next try on."""
        for queue in self._lanes.values():
            for delivery in queue:
                delivery.target = target

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver what is queued and what comes. Runs until cancelled; what is left stays queued.

        One task a lane, named after it, which ends when its lane is empty.
        """
        # As many kept alive as open: httpx's default keeps 20 and would open the rest each time.
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        async with (
            plain_client(limits=limits, transport=self.transport) as client,
            trio.open_nursery() as nursery,
        ):
            self._running = nursery, client
            try:
                for lane in self._lanes:
                    self._start(lane, nursery, client)
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._running = None

    def _start(self, lane: str, nursery: trio.Nursery, client: httpx.AsyncClient) -> None:
        nursery.start_soon(self._drain, lane, client, name=f"gateway webhooks {lane}")

    async def _drain(self, lane: str, client: httpx.AsyncClient) -> None:
        queue = self._lanes[lane]
        while queue:
            await self._deliver(queue[0], client)
            queue.popleft()
        del self._lanes[lane]

    async def _deliver(self, delivery: WebhookPost, client: httpx.AsyncClient) -> None:
        for number in itertools.count(1):
            attempt = await self._try(delivery, client)
            delivery.attempts.append(attempt)
            if attempt.status == 200:
                delivery.acknowledged.set()
            self._report(delivery)
            delivery.attempted.set()
            if attempt.status == 200:
                return
            await trio.sleep(min(number * self.backoff_seconds, self.max_backoff_seconds))

    async def _try(self, delivery: WebhookPost, client: httpx.AsyncClient) -> CallAttempt:
        method, url = delivery.target.address(delivery.event)
        length = {"content-type": "application/json", "content-length": str(len(delivery.body))}
        headers = {**length, **delivery.target.headers}
        try:
            with trio.fail_after(self._timeout_seconds):
                request = client.build_request(method, url, headers=headers)
                request.stream = WholeBody(delivery.body)
                response = await client.send(request)
        except (httpx.HTTPError, httpx.InvalidURL, trio.TooSlowError) as error:
            return CallAttempt(self._now(), 0, type(error).__name__)
        return CallAttempt(self._now(), response.status_code)
