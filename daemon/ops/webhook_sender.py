"""Outgoing webhooks: what the ledger has announced is posted to the endpoints, at least once.

One side task with a child for each endpoint, so that a slow one delays no other. A body is signed
as Standard Webhooks 1.0 says (github.com/standard-webhooks/standard-webhooks) and tried again with
growing delays; a crash between the answer and its note repeats it, under the same id. An endpoint
that fails is left alone for a while before anything else is sent there.
"""

import base64
import hmac
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal

import httpx
import trio

from daemon import __version__
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.announcements import EVENTS, EndpointCounts
from daemon.domain.limits import delay
from daemon.errors import MediaDelayed, MediaError, NotOwned, StoreUnavailable, store_fault
from daemon.ledger.webhook_deliveries import (
    Subscription,
    WebhookDeliveries,
    WebhookDelivery,
)
from daemon.media.download import Resolve, address_of, origin_of, request_at, resolve_host
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of
from daemon.settings.webhooks import WebhookSettings, signing_key
from daemon.system.process import authorities

LOOK_SECONDS = 1.0
"""Between two looks for something to send."""

BATCH = 50
AT_ONCE = 8
"""Deliveries to one endpoint under way; those about one chat go one after the other."""

SEND_SECONDS = 20.0
"""For one attempt; Standard Webhooks recommends 15 to 30."""

RETRY_SECONDS = 5.0
RETRY_CAP_SECONDS = 4 * 3600.0
MOST_TRIES = 30
"""After 5 s, 10 s … 4 h; given up after two to three days."""

ASKED_CAP_SECONDS = 3600.0
"""The longest ``Retry-After`` that is honoured."""

REST_SECONDS = 1.0
REST_CAP_SECONDS = 60.0
"""Before an endpoint is tried again at all, after 1, 2 … rounds without a success."""

GONE = 410
"""The receiver wants no more, says the specification: this delivery is given up at once."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What has come of one request."""

    result: Literal["delivered", "failed", "refused"]
    """``refused``: it is not tried again."""
    error: str = ""
    retry_after: float = 0
    """Seconds that the receiver asks to wait."""


class Endpoint:
    """One receiver. Its own task posts to it."""

    def __init__(
        self, settings: WebhookSettings, http: httpx.AsyncClient, *, resolve: Resolve
    ) -> None:
        self.name = settings.name
        self._url = settings.url
        self._keys = [signing_key(secret) for secret in settings.secret]
        self._private = settings.private
        self._http = http
        self._resolve = resolve

    async def post(self, delivery: WebhookDelivery, *, now: float) -> Attempt:
        """Post one body. Takes `SEND_SECONDS` at most; no redirect is followed."""
        body = delivery.payload.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"recado/{__version__}",
            "webhook-id": delivery.webhook_id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": signatures(self._keys, delivery.webhook_id, int(now), body),
        }
        with trio.move_on_after(SEND_SECONDS):
            try:
                address = await address_of(
                    origin_of(self._url), self._resolve, any_address=self._private
                )
                request = request_at(
                    self._http, "POST", self._url, address, headers=headers, content=body
                )
                response = await self._http.send(request, stream=True)
                await response.aclose()
            except MediaError as error:
                refused = not isinstance(error, MediaDelayed)
                return Attempt("refused" if refused else "failed", str(error))
            except (httpx.HTTPError, httpx.StreamError) as error:
                return Attempt("failed", f"no answer: {type(error).__name__}")
            return _judged(response)
        return Attempt("failed", f"no answer within {SEND_SECONDS:g} s")


def signatures(keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``: a signature (v1, HMAC-SHA256) by each key."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, signed, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _judged(response: httpx.Response) -> Attempt:
    if response.is_success:
        return Attempt("delivered")
    words = f"answered {response.status_code}"
    if response.status_code == GONE:
        return Attempt("refused", words)
    asked = response.headers.get("retry-after", "")
    seconds = float(asked) if asked.isdecimal() else 0.0
    return Attempt("failed", words, min(seconds, ASKED_CAP_SECONDS))


class WebhookSender:
    """Delivers to all endpoints. `run` is its only task."""

    def __init__(
        self,
        store: WebhookDeliveries,
        endpoints: Sequence[Endpoint],
        *,
        of_number: Callable[[], Mapping[str, WebhookDeliveries]],
        log: Log,
        metrics: Metrics,
        now: Callable[[], float],
        random: Random,
    ) -> None:
        """``of_number``: those served here, now; what is about others is not sent here."""
        self._store = store
        self._of_number = of_number
        self._endpoints = endpoints
        self._log = log
        self._metrics = metrics
        self._now = now
        self._random = random

    async def run(self) -> None:
        """Deliver until cancelled; without endpoints it ends."""
        if not self._endpoints:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._measure, name="figures of outgoing webhooks")
            for endpoint in self._endpoints:
                nursery.start_soon(self._serve, endpoint, name=f"webhooks to {endpoint.name}")

    async def _measure(self) -> None:
        """Show what waits. Runs until cancelled."""
        while True:
            with suppress(StoreUnavailable):
                counts = await self._store.counts()
                for endpoint in self._endpoints:
                    self._metrics.webhooks_waiting(
                        endpoint.name, counts.get(endpoint.name, EndpointCounts())
                    )
            await trio.sleep(LOOK_SECONDS)

    async def _serve(self, endpoint: Endpoint) -> None:
        """Deliver what is due to one endpoint. Runs until cancelled."""
        failures = 0
        while True:
            wait = LOOK_SECONDS
            try:
                due = await self._store.due(
                    endpoint.name,
                    self._of_number(),
                    now=self._now(),
                    limit=BATCH,
                    longest_wait=RETRY_CAP_SECONDS,
                )
                worked = await self._post_all(endpoint, due) if due else 0
            except* StoreUnavailable as away:  # of any of the posts, too
                self._log.debug("outgoing webhooks wait for the store", error=store_fault(away))
            else:
                failures = failures + 1 if due and not worked else 0
                wait = 0 if worked else wait
            if failures:
                wait = delay(
                    failures - 1,
                    base_seconds=REST_SECONDS,
                    cap_seconds=REST_CAP_SECONDS,
                    fraction=self._random.random(),
                )
            await trio.sleep(wait)

    async def _post_all(self, endpoint: Endpoint, due: Sequence[WebhookDelivery]) -> int:
        """Post deliveries, those of a chat in order, until one fails; gives how many worked."""
        chats: defaultdict[tuple[str, str], list[WebhookDelivery]] = defaultdict(list)
        for delivery in due:
            chats[delivery.key].append(delivery)
        places, outcomes = trio.CapacityLimiter(AT_ONCE), [0, 0]

        async def post(deliveries: Sequence[WebhookDelivery]) -> None:
            for delivery in deliveries:
                async with places:
                    if outcomes[1]:
                        return
                    try:
                        worked = await self._post(endpoint, delivery)
                    except NotOwned:
                        return  # the node that owns the number now delivers it, once more
                    outcomes[0 if worked else 1] += 1

        async with trio.open_nursery() as nursery:
            for deliveries in chats.values():
                nursery.start_soon(post, deliveries, name=f"webhooks to {endpoint.name}")
        return outcomes[0]

    async def _post(self, endpoint: Endpoint, delivery: WebhookDelivery) -> bool:
        """Post one delivery and store the result; False if the endpoint failed."""
        store = self._of_number().get(delivery.key.number, self._store)
        attempt = await endpoint.post(delivery, now=self._now())
        if attempt.result == "delivered":
            await store.delivered(delivery, now=self._now())
            self._metrics.webhook_deliveries.labels(endpoint.name, "delivered").inc()
            return True
        is_over = attempt.result == "refused" or delivery.tries + 1 >= MOST_TRIES
        wait = delay(
            delivery.tries,
            base_seconds=RETRY_SECONDS,
            cap_seconds=RETRY_CAP_SECONDS,
            fraction=self._random.random(),
        )
        again_at = 0.0 if is_over else self._now() + max(wait, attempt.retry_after)
        await store.failed(delivery, attempt.error, again_at=again_at, now=self._now())
        self._metrics.webhook_deliveries.labels(
            endpoint.name, "dead" if is_over else "failed"
        ).inc()
        self._log.warning(
            "outgoing webhook given up" if is_over else "outgoing webhook not delivered",
            endpoint=endpoint.name,
            type=delivery.event,
            delivery=delivery.id,
            tries=delivery.tries + 1,
            error=attempt.error,
        )
        return False


def subscriptions_of(settings: Settings) -> list[Subscription]:
    """What the configured endpoints want."""
    return [
        Subscription(endpoint=one.name, events=one.events or EVENTS, numbers=one.numbers)
        for one in settings.webhooks
    ]


async def subscribe(settings: Settings, process: Process) -> None:
    """Store what the endpoints want; for the process that leads. Raises StoreUnavailable."""
    telemetry, store = process.telemetry, process.store.webhooks
    # Of several nodes another one may have been given a new number before this one.
    numbers = () if process.store.cluster else tuple(numbers_of(settings))
    left = await store.subscribe(subscriptions_of(settings), numbers=numbers, now=telemetry.now())
    if left:
        telemetry.log.warning(
            "outgoing webhooks of removed endpoints and numbers given up", deliveries=left
        )


@asynccontextmanager
async def open_webhook_sender(
    settings: Settings,
    process: Process,
    numbers: Numbers,
    *,
    resolve: Resolve = resolve_host,
) -> AsyncIterator[WebhookSender]:
    """Open the delivery for a block: subscribe the endpoints, and open a client for each.

    Each client has connections of its own, since a name may share its address with another. No
    proxy is used: it would resolve the names again. Raises StoreUnavailable.
    """
    telemetry, store = process.telemetry, process.store.webhooks
    if process.store.database.leads:
        with suppress(NotOwned):  # another node leads by now, and does it
            await subscribe(settings, process)
    client = partial(
        httpx.AsyncClient,
        trust_env=False,
        timeout=httpx.Timeout(SEND_SECONDS),
        limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
    )
    telemetry.metrics.expect_endpoints([one.name for one in settings.webhooks])
    async with AsyncExitStack() as opened:
        endpoints = [
            Endpoint(
                one,
                await opened.enter_async_context(client(verify=authorities())),
                resolve=resolve,
            )
            for one in settings.webhooks
        ]
        yield WebhookSender(
            store,
            endpoints,
            of_number=lambda: {one.name: one.services.store.webhooks for one in numbers.served},
            log=telemetry.log,
            metrics=telemetry.metrics,
            now=telemetry.now,
            random=telemetry.random,
        )
