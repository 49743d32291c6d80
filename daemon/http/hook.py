"""``/hook`` and ``/n/<number>/hook``: the gateways' webhooks.

The address or the body names the event, and where there are several numbers, the number too.

A 200 means that the event is durably stored. The checks before it are ordered by their cost:
method, secret, declared size, then the body under a deadline and two limits. The webhooks of a
gateway that signs them have no secret; the signature is checked when the body is there.

The gateway repeats a call that was not answered with a 2xx, with growing pauses, so every refusal
that may pass by itself is a 503 with ``Retry-After``.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from io import BytesIO
from urllib.parse import parse_qsl

import trio

from daemon.errors import StoreUnavailable, WebhookError, WebhookTooLarge
from daemon.http.access import Access, has_bearer
from daemon.http.asgi import (
    EdgeLog,
    Headers,
    Receive,
    Scope,
    Send,
    answer_json,
    http_date,
    json_response,
)
from daemon.http.clients import Client, client_of
from daemon.http.request_context import (
    EdgeSettings,
    RequestCounts,
    WebhookIntake,
)
from daemon.http.usual_webhooks import StoreThread, UsualCall, UsualWebhooks
from daemon.http.whole_request import (
    END,
    WHOLE,
    Answer,
    GatheredResponse,
    WholeRequest,
    is_webhook,
    whole_request,
)
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.lines import iso_utc
from daemon.ops.webhook_auth import Challenge

METHODS = ("POST", "PUT", "PATCH", "DELETE")
CLOSE: Headers = [(b"connection", b"close")]
"""For answers given before the body was read."""
RETRY: Headers = [(b"retry-after", b"2")]
"""Two seconds: as long as a restart takes, and short for a customer who waits."""


STORE_SECONDS = 20.0
"""How long a call waits to be stored: a database whose standby is gone does not say when."""


MOST_HEADS, LONGEST_HEAD = 500, 2048
"""Heads of usual requests that are known, and the bytes of the longest; theirs differ in the
length of the body alone."""


class _Refusal(Exception):
    """The call is answered without being accepted."""

    def __init__(
        self, status: int, reason: str, headers: Headers, *, is_logged: bool = False
    ) -> None:
        """``is_logged``: the reason is in the log already."""
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers
        self.is_logged = is_logged


class _ClientLeft(Exception):
    """The client closed before its body was complete: nothing may be stored."""


class Hook:
    """The ASGI app of ``/hook``; one for all calls, since they share a memory budget."""

    def __init__(
        self,
        intake: WebhookIntake,
        counts: RequestCounts,
        settings: EdgeSettings,
        log: EdgeLog,
        access: Access,
        *,
        now: Callable[[], float],
    ) -> None:
        """``now``: wall clock, Unix seconds."""
        self._intake = intake
        self._counts = counts
        self._now = now
        self._settings = settings
        self._access = access
        self._log = log
        self._auth_of = settings.auth_of
        self._only = next(iter(self._auth_of)) if len(self._auth_of) == 1 else ""
        self._known = tuple({secret for auth in self._auth_of.values() for secret in auth.secrets})
        """The secrets of all numbers."""
        self._all_want_one = all(
            auth.secrets and auth.is_genuine is None for auth in self._auth_of.values()
        )
        """True if no number takes calls without a secret."""
        self._bytes_left = settings.body_budget
        self._heads: dict[bytes, tuple[str, str, int]] = {}
        """The number, the event and the length of the body of requests that begin like this."""
        self._answer = (-1, b"", b"")
        """A second, and the answer to what is stored in it, before and after the fraction."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call. Runs in the request's own task; a disconnect does not cancel it."""
        if scope["method"] == "GET" and (challenges := self._challenges(scope)):
            await self._answer_challenge(scope, send, challenges)
            return
        body = _Body(self)
        try:
            status, content, headers = await self._take(scope, receive, body)
        except _ClientLeft:
            return
        finally:
            self._bytes_left += body.reserved
        await answer_json(send, status, content, headers)
        self._counts.hook_answered(status, trio.current_time() - body.arrived_at)

    async def _take(
        self, scope: Scope, receive: Receive, body: "_Body"
    ) -> tuple[int, dict[str, object], Headers]:
        """Accept one call; returns status, content and headers of its answer."""
        try:
            await self._accept(scope, receive, body)
        except _ClientLeft:
            raise
        except Exception as error:  # noqa: BLE001 - the daemon outlives any one call
            return self._failed(error, client_of(scope).address(scope))
        return 200, self._received(self._now()), []

    def _received(self, now: float) -> dict[str, object]:
        """The content of a 200."""
        return {
            "received": True,
            "timestamp": iso_utc(now),
            "environment": self._settings.environment,
        }

    def _failed(self, error: BaseException, address: str) -> tuple[int, dict[str, object], Headers]:
        """Log why a call was not accepted; gives status, content and headers of its answer."""
        match error:
            case _Refusal():
                if not error.is_logged:
                    self._note(address, error.status, error.reason)
                return error.status, {"error": error.reason}, error.headers
            case WebhookTooLarge():
                self._note(address, 413, str(error))
                return 413, {"error": str(error)}, []
            case WebhookError():
                return 400, {"error": str(error)}, []
            case StoreUnavailable():
                self._log.warning("a webhook was not stored", reason=str(error))
                return 503, {"error": "cannot store the event now"}, RETRY
        self._log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a webhook failed",
            error=type(error).__name__,
            exc_info=error,
        )
        return 500, {"error": "internal error"}, []

    # -- the usual call ------------------------------------------------------------------------

    def receive(self, source: UsualWebhooks) -> StoreThread | None:
        """Have the store's thread take calls from a source; None: this store's does not."""
        return self._intake.receive(source)

    def usual_call(self, data: bytes, client: Client) -> UsualCall | None:
        """A request to be stored if it is a usual call with one text; see `answer_whole`.

        A client sends the same head with each body of one length, so it is read once. Called in
        the store's thread.
        """
        if not client.authenticated or client.through_proxy:
            return None
        end = data.find(END) + len(END)
        known = self._heads.get(data[:end]) or self._read_head(data, end)
        if known is None:
            return None
        number, event, length = known
        if len(data) - end != length:
            return None
        return self._intake.received_text(data[end:], event, number)

    def _read_head(self, data: bytes, end: int) -> tuple[str, str, int] | None:
        """What the head of a usual request says, which is kept; None for another one."""
        request = whole_request(data, is_webhook)
        if request is None or request.body != data[end:] or not request.body:
            return None
        called = self._usual_call(request)
        if called is None:
            return None
        known = (*called, len(request.body))
        if end <= LONGEST_HEAD:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            self._heads[data[:end]] = known
        return known

    def refusal(self, error: BaseException, client: Client, seconds: float) -> Answer:
        """Return the answer to a usual call that is not stored."""
        status, content, headers = self._failed(error, client.peer)
        self._counts.hook_answered(status, seconds)
        return _gathered(status, content, headers)

    def answered(self, seconds: float) -> None:
        """Count a usual call that was stored and answered, so long after its last byte."""
        self._counts.hook_answered(200, seconds)

    async def answer_whole(self, request: WholeRequest, client: Client) -> Answer | None:
        """Answer a usual call without ASGI; None for another one, which has to come by `__call__`.

        Usual is a whole POST for a number that its path names, or the only one, whose client has
        sent the secret on this connection before and does so again. It costs half of the other
        way. A whole request is small, so it takes nothing of the memory for large bodies.
        """
        if not client.authenticated or client.through_proxy:
            return None
        called = self._usual_call(request)
        if called is None:
            return None
        number, event = called
        arrived_at = trio.current_time()
        try:
            await self._intake.accept(request.body, event, number)
        except Exception as error:  # noqa: BLE001 - the daemon outlives any one call
            return self.refusal(error, client, trio.current_time() - arrived_at)
        self.answered(trio.current_time() - arrived_at)
        return self.receipt()

    def _usual_call(self, request: WholeRequest) -> tuple[str, str] | None:
        """The number and the event of a request that names them and has the secret; else None."""
        if request.method != "POST":
            return None
        number, event = self._named_directly(request.path)
        auth = self._auth_of.get(number)
        if (
            auth is None
            or auth.is_genuine is not None
            or not has_bearer(request.headers, auth.secrets)
            or len(request.body) > self._settings.max_body_bytes
        ):
            return None
        return number, event

    def _named_directly(self, path: str) -> tuple[str, str]:
        """The number and the event that a path names; the number is empty if that is unclear."""
        try:
            number, rest = self._named_by_path(path)
        except _Refusal:
            return "", ""
        event = path_event("POST", rest)
        return ("", "") if event is None else (number, event)

    def receipt(self) -> bytes:
        """The whole 200: what `answer_json` makes once a second, with another fraction of it.

        Any thread may call it.
        """
        now = self._now()
        second, head, tail = self._answer
        if second != int(now):
            second = int(now)
            answer = _gathered(200, self._received(second), [])
            whole = answer.encode([(b"date", http_date(second))], last=False)
            head, tail = whole.split(b".000Z", 1)
            self._answer = second, head, tail
        return b"%b.%03dZ%b" % (head, int(now * 1000) % 1000, tail)

    # -- all others ----------------------------------------------------------------------------

    async def _accept(self, scope: Scope, receive: Receive, body: "_Body") -> None:
        """Check whose call it is, and have it stored. Raises what `_take` answers."""
        event, number = self._called(scope)
        if number:
            await self._admit(scope, number)
        else:
            await self._admit_any(scope)
        await body.read(scope, receive)
        content = body.take()
        for name in (number,) if number else await self._named_in(content):
            if not number:
                await self._admit(scope, name)
            await self._check_signature(scope, name, content)
            with trio.move_on_after(STORE_SECONDS) as limit:
                await self._intake.accept(content, event, name)
            if limit.cancelled_caught:
                raise StoreUnavailable(f"the store has not answered for {STORE_SECONDS:.0f} s")

    def _called(self, scope: Scope) -> tuple[str, str]:
        """The event that URL and method name, and the number, empty if the body has to name it.

        Raises _Refusal if there is no such call.
        """
        number, path = self._named_by_path(scope["path"])
        event = path_event(scope["method"], path)
        if event is None:
            raise _Refusal(404, "not found", CLOSE)
        if scope["method"] not in METHODS:
            allow = ", ".join(METHODS).encode()
            raise _Refusal(405, "method not allowed", [*CLOSE, (b"allow", allow)])
        return event, number

    def _named_by_path(self, path: str) -> tuple[str, str]:
        """The number that a path names (empty: the body has to), and the rest from ``/hook`` on.

        Raises _Refusal if there is no such path.
        """
        if not path.startswith("/n/"):
            return self._only, path
        number, _, rest = path.removeprefix("/n/").partition("/")
        if number not in self._auth_of:
            raise _Refusal(404, "not found: there is no such number", CLOSE)
        if rest.partition("/")[0] != "hook":
            raise _Refusal(404, "not found", CLOSE)
        return number, f"/{rest}"

    async def _named_in(self, body: bytes) -> tuple[str, ...]:
        """The numbers that a body names. Raises _Refusal if it names none of ours."""
        try:
            return await self._intake.named_in(body)
        except WebhookError as error:
            raise _Refusal(400, str(error), []) from error

    async def _admit(self, scope: Scope, number: str) -> None:
        """Check the secret of a number. Raises _Refusal if it is missing or wrong.

        Most calls take the fast path: the client has sent its secret on this connection before,
        and does so now.
        """
        if self._auth_of[number].is_genuine is not None:
            return  # `_check_signature` follows when the body is there
        secrets, client = self._auth_of[number].secrets, client_of(scope)
        if (
            client.authenticated
            and not client.through_proxy
            and has_bearer(scope["headers"], secrets)
        ):
            return
        if not await self._access.check_bearer(scope, secrets, "webhook"):
            raise self._unauthorised(scope)

    async def _admit_any(self, scope: Scope) -> None:
        """Refuse who has a secret of no number, before the body is read. Raises _Refusal.

        Which number it must be of is checked when the body has named it. A call without any may be
        signed, or for a number that wants none.
        """
        if not any(name == b"authorization" for name, _ in scope["headers"]):
            if self._all_want_one:
                raise self._unauthorised(scope)
            return
        if not await self._access.check(scope, lambda: self._is_of_any_number(scope), "webhook"):
            raise self._unauthorised(scope)

    def _is_of_any_number(self, scope: Scope) -> bool:
        """Whether the bearer is a secret of any number, or some number wants none."""
        return not self._all_want_one or has_bearer(scope["headers"], self._known)

    async def _check_signature(self, scope: Scope, number: str, body: bytes) -> None:
        """Check the signature of a call, where the gateway signs it. Raises _Refusal."""
        is_genuine = self._auth_of[number].is_genuine
        if is_genuine is None:
            return
        check = partial(is_genuine, scope["headers"], body)
        if not await self._access.check(scope, check, "webhook"):
            raise _Refusal(401, "a valid signature is needed", CLOSE, is_logged=True)

    def _unauthorised(self, scope: Scope) -> _Refusal:
        headers = [*CLOSE, (b"www-authenticate", b'Bearer realm="recado"')]
        shown = any(name == b"authorization" for name, _ in scope["headers"])
        return _Refusal(401, "a valid webhook secret is needed", headers, is_logged=shown)

    def _challenges(self, scope: Scope) -> list[Challenge]:
        """The functions that answer the gateways' challenges, asked by GET."""
        try:
            number = self._named_by_path(scope["path"])[0]
        except _Refusal:
            return []
        wanted = [self._auth_of[number]] if number else self._auth_of.values()
        return [auth.challenge for auth in wanted if auth.challenge is not None]

    async def _answer_challenge(
        self, scope: Scope, send: Send, challenges: Sequence[Challenge]
    ) -> None:
        """Prove to the gateway, which asks by GET, that its webhooks are wanted here."""
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        answers = (challenge(query) for challenge in challenges)
        words = next((answer for answer in answers if answer is not None), None)
        if not await self._access.check(scope, lambda: words is not None, "webhook"):
            await answer_json(send, 403, {"error": "a valid verify token is needed"}, CLOSE)
            return
        content = (words or "").encode()
        length = b"%d" % len(content)
        head = [(b"content-type", b"text/plain"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": content})

    def _note(self, address: str, status: int, reason: str) -> None:
        self._log.warning("a webhook was refused", status=status, reason=reason, address=address)

    def reserve(self, size: int, more: int) -> None:
        """Reserve `more` bytes for a body of at least `size` bytes. Raises _Refusal."""
        if size > self._settings.max_body_bytes:
            limit = self._settings.max_body_bytes
            raise _Refusal(413, f"the body is larger than {limit} bytes", CLOSE)
        if more > self._bytes_left:
            raise _Refusal(503, "too many large bodies at once", [*CLOSE, *RETRY])
        self._bytes_left -= more

    @property
    def body_deadline_seconds(self) -> float:
        """The time in which one body must arrive."""
        return self._settings.body_deadline_seconds


class _Body:
    """One body while it is received, and the bytes reserved for it."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self._buffer = BytesIO()
        self.reserved = 0
        self.arrived_at = trio.current_time()
        """When its last byte arrived; until then, when its head did."""

    async def read(self, scope: Scope, receive: Receive) -> None:
        """Collect the body. Raises _Refusal if it is too large or too slow, or _ClientLeft."""
        self._reserve(declared_size(scope["headers"]))
        if WHOLE in scope.get("extensions", ()):
            self._add((await receive())["body"])
            return
        with trio.move_on_after(self._hook.body_deadline_seconds) as waiting:
            more = True
            while more:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise _ClientLeft
                self._add(event.get("body", b""))
                more = event.get("more_body", False)
        if waiting.cancelled_caught:
            raise _Refusal(408, "the body did not arrive in time", CLOSE)
        self.arrived_at = trio.current_time()

    def take(self) -> bytes:
        """Return the body. CPython shares the buffer here; joining parts would copy it."""
        return self._buffer.getvalue()

    def _add(self, part: bytes) -> None:
        self._reserve(self._buffer.tell() + len(part))
        self._buffer.write(part)

    def _reserve(self, size: int) -> None:
        more = size - self.reserved
        if more > 0:
            self._hook.reserve(size, more)
            self.reserved = size


def _gathered(status: int, content: dict[str, object], headers: Headers) -> GatheredResponse:
    answer = GatheredResponse()
    for message in json_response(status, content, headers):
        answer.add(message)
    return answer


def declared_size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The body's size by Content-Length; 0 without it (chunked, or no body).

    The server has validated it: digits only, at most twenty, and only one.
    """
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return 0


def path_event(method: str, path: str) -> str | None:
    """Name the event of a call (``messages.post``; empty: the body says it), None if not ours.

    A gateway adds to the configured URL the type and the method (``/messages/post``, by POST), only
    the type (``/messages``; the HTTP method is the method), or nothing. Types are passed on as they
    are.
    """
    parts = [part for part in path.split("/") if part][1:]
    if not parts:
        return ""
    if len(parts) == 1:
        return f"{parts[0]}.{method.lower()}"
    if len(parts) == 2:
        return f"{parts[0]}.{parts[1].lower()}"
    return None
