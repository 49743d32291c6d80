"""Answers that are known whole before their first byte is written."""

import trio
from hypercorn.typing import AppWrapper, ASGISendEvent

from daemon.http.asgi import Headers, Log
from daemon.http.whole_request import WholeRequest
from daemon.observability.events import UNEXPECTED_ERROR

FAILED: Headers = [(b"content-length", b"0"), (b"connection", b"close")]


class Answer:
    """One response, gathered from the app's ASGI messages."""

    def __init__(self) -> None:
        self._status = 500
        self._headers = FAILED
        self._body = b""

    async def send(self, message: ASGISendEvent | None) -> None:
        """Take in what the app sends; nothing of it is written yet."""
        if message is None:
            return
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    @property
    def closes(self) -> bool:
        """True if the connection is to be closed behind it."""
        return (b"connection", b"close") in self._headers

    def encode(self, common: Headers, *, last: bool) -> bytes:
        """Write it as HTTP/1.1; ``last`` says that the connection will be closed."""
        headers = [*self._headers, *common]
        if last and not self.closes:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        return b"HTTP/1.1 %d \r\n%b\r\n%b" % (self._status, b"".join(lines), self._body)


async def answered_at_once(app: AppWrapper, request: WholeRequest, log: Log) -> Answer:
    """Run the app for one request in the calling task; its failure is logged and becomes a 500.

    The app answers with a length, and without waiting for the client.
    """
    answer = Answer()
    try:
        await app(
            request.scope,  # type: ignore[arg-type]  # plain dictionaries, as ASGI has them
            request.receive,  # type: ignore[arg-type]
            answer.send,
            trio.to_thread.run_sync,
            trio.from_thread.run,
        )
    except Exception as error:  # noqa: BLE001 - the boundary of the app's code
        log.event(
            UNEXPECTED_ERROR,
            where="request",
            what="a request failed",
            error=type(error).__name__,
            exc_info=error,
        )
        return Answer()
    return answer
