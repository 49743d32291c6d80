"""The customers of the benchmarks: they post as Whapi does, and wait for their replies."""

import base64
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import trio
from keep_alive import Connections
from load import SECRET
from mixed_traffic import MixedTraffic

from daemon.sandbox import payloads

CHANNEL = "MANTIS-M72HC"
NUMBERS = "s.whatsapp.net"
"""What follows the name of a contact that is a number."""


@dataclass(slots=True)
class Question:
    """One message of a customer, and what became of it. Times are of this process's own clock."""

    posted_at: float = 0
    stored_at: float = 0
    model_seconds: float = 0
    replied_at: float = 0
    replies: int = 0


class Customers:
    """Everybody who writes, over a pool of keep-alive connections to one daemon."""

    def __init__(self) -> None:
        self._questions: dict[str, Question] = {}
        self._open = 0
        self._numbers = count(1)
        self._mixed = MixedTraffic()
        self._run = int(time.time()) % 10**8
        self._connections = Connections()
        self._changed = trio.Event()
        self.refused = 0
        self.statuses: tuple[str, ...] = ("delivered",)

    # -- what the other side of the world reports --------------------------------------------

    def model_took(self, token: str, seconds: float) -> None:
        """Note how long a round of the model took for a question."""
        question = self._questions.get(token)
        if question is not None:
            question.model_seconds += seconds

    def reply_came(self, token: str) -> None:
        """Note that the reply to a question was sent."""
        question = self._questions.get(token)
        if question is None:
            return
        question.replies += 1
        if question.replies == 1:
            question.replied_at = trio.current_time()
            self._open -= 1
            if not self._open:
                self._changed.set()

    async def tell_of(self, message: dict[str, Any]) -> None:
        """Post the echo of a message that the daemon sent, then what `statuses` says of it."""
        if not self._connections.port:
            return
        await self._post(_call("messages", [message]))
        for status in self.statuses:
            update = payloads.status_update(message, status, time.time())
            await self._post(_call("statuses", [update]))

    # -- what they are told to do --------------------------------------------------------------

    async def target(self, port: int) -> None:
        """Post there from now on; 0 is nowhere."""
        await self._connections.target(port)

    def forget(self) -> None:
        """Start from nothing."""
        self._questions, self._open, self.refused = {}, 0, 0

    async def burst(self, amount: int, rate: float, patience: float) -> dict[str, Any]:
        """Let `amount` customers write once, evenly `rate` a second, each at its time."""
        self.forget()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(amount):
                await trio.sleep_until(began + number / rate)
                nursery.start_soon(self._ask)
            asked = trio.current_time() - began
        return {"asking_seconds": asked, **await self.answered(patience)}

    async def fill(self, amount: int, connections: int, server: str) -> dict[str, Any]:
        """Let `amount` customers write, each next one when an earlier one has its 200.

        With ``server`` ``lid`` they have no numbers: nothing of them is asked of Whapi.
        """
        began = trio.current_time()
        left = iter(range(amount))

        async def one_after_the_other() -> None:
            for _ in left:
                await self._ask(server)

        async with trio.open_nursery() as nursery:
            for _ in range(connections):
                nursery.start_soon(one_after_the_other)
        return {"seconds": trio.current_time() - began}

    async def pass_by(
        self, first: int, amount: int, connections: int, every: int
    ) -> dict[str, Any]:
        """Let `amount` contacts write once; of `every` so many one gets an answer of the model.

        To the others an agent says something in the same call, which is far less work.
        """
        left = iter(range(first, first + amount))

        async def one_after_the_other() -> None:
            for number in left:
                name = f"571{number:09d}"
                chat = {"chat_id": f"{name}@lid", "type": "text"}
                asked = self._said(name, {**chat, "text": {"body": f"Hola, soy el {number}."}})
                words = {"from_me": True, "text": {"body": "Hola, soy Ana."}}
                said = self._said(name, {**chat, **words})
                both = [asked, said] if number % every else [asked]
                await self._post(_call("messages", both))

        async with trio.open_nursery() as nursery:
            for _ in range(connections):
                nursery.start_soon(one_after_the_other)
        return {"refused": self.refused}

    async def expect(self, amount: int) -> dict[str, Any]:
        """Announce questions, by their tokens, that come to the model without us."""
        self.forget()
        tokens = [self._new_token() for _ in range(amount)]
        self._open = amount
        for token in tokens:
            self._questions[token] = Question()
        return {"tokens": tokens}

    async def asked(self, token: str) -> dict[str, Any]:
        """Note that a question that was announced is asked now."""
        self._questions[token].posted_at = trio.current_time()
        return {}

    async def answered(self, patience: float) -> dict[str, Any]:
        """Wait for all replies; gives every question as it is then."""
        with trio.move_on_after(patience):
            while self._open:
                self._changed = trio.Event()
                await self._changed.wait()
        asked = [asdict(question) for question in self._questions.values()]
        return {"questions": asked, "refused": self.refused}

    async def probe(self, path: str, seconds: float, rate: float) -> dict[str, Any]:
        """Send a small request every 1/rate s, whether or not the last one was answered.

        With path ``/hook`` it is a message of a group, else a GET.
        """
        delays: list[float] = []

        async def ask(due: float) -> None:
            if path == "/hook":
                await self._post(self._group_message())
            else:
                await self._request(f"GET {path} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
            delays.append(trio.current_time() - due)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(max(1, int(seconds * rate))):
                await trio.sleep_until(began + number / rate)
                # From its due time on, so that a stall of this process counts too.
                nursery.start_soon(ask, began + number / rate)
        return {"delays": delays}

    async def large(self, megabytes: float) -> dict[str, Any]:
        """Post a call with a picture, `megabytes` in all; gives the seconds until its 200."""
        body = self._picture(int(megabytes * 1e6 * 3 / 4))
        began = trio.current_time()
        await self._post(body)
        return {"seconds": trio.current_time() - began, "refused": self.refused}

    async def mixed(self, seconds: float, rate: float) -> dict[str, Any]:
        """Send what `MixedTraffic` has next for so long, `rate` calls a second."""
        began = trio.current_time()
        sent = 0
        async with trio.open_nursery() as nursery:
            for number in range(int(seconds * rate)):
                await trio.sleep_until(began + number / rate)
                kind, thing = self._mixed.next()
                nursery.start_soon(self._post, _call(kind, [thing]))
                sent += 1
        return {"sent": sent, "refused": self.refused}

    # -- inside --------------------------------------------------------------------------------

    def _new_token(self) -> str:
        return f"{next(self._numbers)}-{self._run}"

    async def _ask(self, server: str = NUMBERS) -> None:
        token = self._new_token()
        question = self._questions[token] = Question()
        self._open += 1
        number = int(token.partition("-")[0])
        text = f"Hola, tengo una pregunta para el viernes, consulta {token}."
        content = {"type": "text", "text": {"body": text}}
        body = self._message(
            f"573{number:09d}", {**content, "chat_id": f"573{number:09d}@{server}"}
        )
        question.posted_at = trio.current_time()
        await self._post(body)
        question.stored_at = trio.current_time()

    def _picture(self, size: int) -> bytes:
        data = base64.b64encode(b"\xff\xd8\xff\xe0" + os.urandom(size)).decode()
        link = f"data:image/jpeg;base64,{data}"
        image = {"mime_type": "image/jpeg", "file_size": size + 4, "link": link}
        return self._message("573009999999", {"type": "image", "image": image})

    def _group_message(self) -> bytes:
        text = {"type": "text", "text": {"body": "Buenos días a todos."}}
        return self._message("573001234567", {**text, "chat_id": "120363000000000001@g.us"})

    def _message(self, chat: str, content: dict[str, Any]) -> bytes:
        return _call("messages", [self._said(chat, content)])

    def _said(self, chat: str, content: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"{next(self._numbers):012d}{self._run:010d}-gHqFdSGxaw",
            "from_me": False,
            "chat_id": f"{chat}@{NUMBERS}",
            "timestamp": int(time.time()),
            "source": "mobile",
            "chat_name": "Laura Cliente",
            "from": chat,
            "from_name": "Laura",
            **content,
        }

    async def _post(self, body: bytes) -> None:
        """Post one call."""
        head = (
            "POST /hook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"User-Agent: benchmark\r\nAccept: */*\r\nAuthorization: Bearer {SECRET}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        await self._request(head.encode() + body)

    async def _request(self, request: bytes) -> None:
        """Send one request; `refused` counts those that had no 200, for whatever reason."""
        if not self._connections.port:
            return
        try:
            status = await self._connections.exchange(request)
        except (OSError, trio.BrokenResourceError, EOFError) as error:
            print(f"no answer: {error!r}", file=sys.stderr)
            status = 0
        if status != 200:
            self.refused += 1


def _call(kind: str, things: list[dict[str, Any]]) -> bytes:
    event = {"type": kind, "event": "post"}
    call = {kind: things, "event": event, "channel_id": CHANNEL}
    return json.dumps(call, ensure_ascii=False).encode()
