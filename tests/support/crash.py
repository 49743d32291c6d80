"""The crash harness: the real daemon in a process of its own, and simulators that outlive it.

Both simulators live in the harness, so their records show what customers and the model saw; the
daemon is killed with SIGKILL and started again on the same store. It inherits its listening
socket, as from systemd, so a webhook may wait for the next life of the daemon or fail and be
delivered again.
"""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Literal

import trio

from daemon.http.server import serve
from daemon.sandbox.ledger import SentMessage
from daemon.sandbox.payloads import chat_id_of, digits_of
from daemon.sandbox.webhooks import WebhookPost
from support.crash_cloud import CloudGateway
from support.crash_judges import (
    SECOND_PART,
    Fault,
    judge_acknowledged,
    judge_answers,
    judge_effects,
    judge_reminders,
    judge_store,
    judge_webhooks,
    references,
)
from support.crash_model import BOOKING, NOTED, REMINDER, NamingModel
from support.crash_points import USUAL_FILE
from support.crash_process import POLL_SECONDS, Lives
from support.crash_rows import (
    duplicates,
    read_store,
    refused_reminders,
    sends_in_flight,
    stored_ids,
    timeline,
    work_left,
)
from support.crash_tool import BOOKINGS_VARIABLE
from support.gateway import ScriptedGateway
from support.model_script import Step
from support.one_write import OneWrite
from support.place import variables_of_daemon
from support.receiver import Receiver
from support.stage import NUMBER, new_world

TOKEN = "crash-token"
SECRET = "crash-webhook-secret"
"""Of Whapi's webhooks. With it the store's thread reads all but the first of a connection."""
SECOND_CHATS = (1, 3)
"""Quarters of the chats that are not the first ones of their scenes."""

GatewayKind = Literal["whapi", "cloud"]
AnyGateway = ScriptedGateway | CloudGateway


class Harness:
    """One store, the simulators, and the daemon's current process."""

    bind = "127.0.0.1"
    """Where the simulators listen."""
    numbers: Sequence[str] = (NUMBER,)
    """Our numbers. Each customer writes to one of them."""

    def __init__(
        self,
        folder: Path,
        gateways: Mapping[str, AnyGateway],
        model: NamingModel,
        receiver: Receiver,
    ) -> None:
        self.gateways = gateways
        """By the name of our number."""
        self.gateway = next(iter(gateways.values()))
        """Of the first number, mostly the only one."""
        self.model = model
        self.receiver = receiver
        self.folder = folder
        self.written: defaultdict[str, list[str]] = defaultdict(list)
        """References by chat (digits), in the order in which they were written."""
        self.bookings_asked: list[str] = []
        self.daemon = Lives(folder)
        self.kills = 0
        self.in_flight = {"delivered": 0, "not delivered": 0}
        """Sends under way at a kill, by whether the customer has got the message."""
        self.faults: list[Fault] = []
        self._next_reference = 0
        self._answered: set[str] = set()
        self._counted: Counter[str] = Counter()

    @property
    def data_dir(self) -> Path:
        """The folder of the daemon's store."""
        return self.folder / "data"

    @property
    def bookings(self) -> Path:
        """The file that the tool writes to."""
        return self.folder / "bookings.txt"

    def connect(self, gateway_urls: Mapping[str, str], model_url: str) -> None:
        """Note where the simulators are, and send webhooks to the socket of the daemon."""
        instructions = self.folder / "instructions.md"
        instructions.write_text("You answer for a small hotel.")
        self.configure(
            {
                "RECADO_DATA_DIR": str(self.data_dir),
                **variables_of_daemon(self.data_dir),
                "RECADO_ASSISTANT__INSTRUCTIONS_FILE": str(instructions),
                **_gateway_settings(self.gateways, gateway_urls),
                "OPENAI_API_KEY": TOKEN,
                "OPENAI_BASE_URL": f"{model_url}/v1",
                BOOKINGS_VARIABLE: str(self.bookings),
                "RECADO_WEBHOOKS": json.dumps([self.receiver.table()]),
            }
        )
        self.send_webhooks_to(self.daemon.url)

    def send_webhooks_to(self, url: str) -> None:
        """Let the webhooks of all numbers go to a daemon, or to a balancer."""
        for number, gateway in self.gateways.items():
            gateway.set_webhook(f"{url}/hook" if number == NUMBER else f"{url}/n/{number}/hook")

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set the environment of the daemon."""
        self.daemon.configure(environment)

    def close(self) -> None:
        """See that no process is left."""
        self.daemon.close()

    # -- the customers -------------------------------------------------------------------------

    async def write(self, chat: str, *, book: bool = False) -> None:
        """A customer writes one message; its webhook is queued."""
        self._next_reference += 1
        reference = f"c{chat[-4:]}-m{self._next_reference}"
        self.written[chat].append(reference)
        if book:
            self.bookings_asked.append(reference)
        words = f"{BOOKING} {reference}" if book else f"hola {reference}"
        await self.gateway_of(chat).customer_says(chat, words, deliver="queued")

    def gateway_of(self, chat: str) -> AnyGateway:
        """That of the number that a customer, given as digits or chat id, writes to."""
        return self.gateways[self.numbers[int(digits_of(chat)) % len(self.numbers)]]

    def sends(self) -> list[SentMessage]:
        """What customers have got, by number and then in order."""
        return [sent for gateway in self.gateways.values() for sent in gateway.ledger.sends]

    def heard(self) -> dict[str, list[str]]:
        """The messages that each customer received, but for reminders, in order, by digits."""
        heard: defaultdict[str, list[str]] = defaultdict(list)
        for sent in self.sends():
            if not sent.text.startswith((REMINDER, NOTED)):
                heard[digits_of(sent.chat)].append(sent.text)
        return dict(heard)

    def reminders_heard(self, beginning: str = REMINDER) -> list[str]:
        """The reminders that customers received; their beginning tells texts and notes apart."""
        texts = [sent.text for sent in self.sends()]
        return [text for text in texts if text.startswith(beginning)]

    def waiting(self) -> int:
        """How many messages have not been answered yet, roughly."""
        for number, gateway in self.gateways.items():
            for sent in gateway.ledger.sends[self._counted[number] :]:
                if sent.text.startswith(SECOND_PART):
                    self._answered.update(references(sent.text))
            self._counted[number] = len(gateway.ledger.sends)
        return self._next_reference - len(self._answered)

    def progress(self) -> str:
        """The progress in one line."""
        return f"{self._next_reference} messages, {self.waiting()} waiting"

    def acknowledged(self) -> set[str]:
        """The ids of the customers' messages whose webhook got its 200."""
        return {
            message_id
            for gateway in self.gateways.values()
            for message_id in gateway.ledger.acknowledged & gateway.ledger.messages.keys()
            if not gateway.ledger.messages[message_id]["from_me"]
        }

    # -- the daemon's processes ----------------------------------------------------------------

    async def kill(self) -> None:
        """Kill the current process with SIGKILL at any point, and check the store."""
        self.daemon.kill()
        await self.death()

    async def death(self) -> None:
        """Wait until the current process has been killed, and check the store."""
        await self.daemon.death()
        self.kills += 1
        self._look_at_what_is_left()

    async def finish(self, *, seconds: float) -> bool:
        """Wait until no work is left; False if that takes too long."""
        with trio.move_on_after(seconds) as scope:
            while not self.is_finished():  # noqa: ASYNC110 - it is another process that finishes
                await trio.sleep(POLL_SECONDS)
        return not scope.cancelled_caught

    def is_finished(self) -> bool:
        """True once all is acknowledged, answered and closed, and no webhook is under way."""
        return not self.left()

    def left(self) -> list[str]:
        """What is still to be done: tables with such rows, and webhooks under way."""
        busy = any(gateway.postbox._lanes for gateway in self.gateways.values())
        return ["webhooks"] if busy else work_left(self.data_dir)

    def _look_at_what_is_left(self) -> None:
        """Between two processes: check that acknowledged messages are stored; note open sends."""
        self.faults += judge_acknowledged(self.acknowledged(), stored_ids(self.data_dir))
        for chat, body in sends_in_flight(self.data_dir):
            got = any(sent.text == body for sent in self.gateway_of(chat).ledger.sent(chat))
            self.in_flight["delivered" if got else "not delivered"] += 1

    # -- the judgement -------------------------------------------------------------------------

    def judge(self, *, notices: frozenset[str] = frozenset()) -> list[Fault]:
        """All judges over all ledgers; to be called when no daemon runs."""
        rows = read_store(self.data_dir)
        lines = self.bookings.read_text().splitlines() if self.bookings.exists() else []
        set_ones = set(self.bookings_asked) - refused_reminders(self.data_dir)
        return [
            *self.faults,
            *judge_answers(self.written, self.heard(), notices=notices),
            *judge_store(rows, self.acknowledged()),
            *judge_effects(lines, rows.calls, self.bookings_asked),
            *judge_reminders(set_ones, self.reminders_heard()),
            *judge_reminders(set_ones, self.reminders_heard(NOTED)),
            *judge_webhooks(self.receiver.requests(), rows, self.receiver.unverified),
        ]

    def usual_batches(self) -> list[int]:
        """How many webhooks the store's thread has read, stored and answered each time."""
        noted = self.folder / USUAL_FILE
        return [int(line) for line in noted.read_text().splitlines()] if noted.exists() else []

    def deliveries(self) -> Iterator[WebhookPost]:
        """The webhook calls of all numbers."""
        for gateway in self.gateways.values():
            yield from gateway.postbox.deliveries

    def figures(self) -> dict[str, float]:
        """Counts of what happened."""
        tries = [len(delivery.attempts) for delivery in self.deliveries()]
        starts = sorted(self.daemon.start_seconds)
        return {
            "kills": self.kills,
            "chats": len(self.written),
            "messages": sum(map(len, self.written.values())),
            "acknowledged": len(self.acknowledged()),
            "webhook_calls": len(tries),
            "webhook_calls_repeated": sum(count - 1 for count in tries),
            "messages_stored_usually": sum(self.usual_batches()),
            "sent": len(self.sends()),
            "sends_open_at_a_kill_delivered": self.in_flight["delivered"],
            "sends_open_at_a_kill_not_delivered": self.in_flight["not delivered"],
            "listings": sum(len(one.calls("list")) for one in self.gateways.values()),
            "model_calls": len(self.model.calls),
            "model_calls_resumed": sum(
                method == "GET" and path.startswith("/responses/")
                for method, path in self.model.hits
            ),
            "webhook_calls_found_stored": duplicates(self.data_dir),
            "bookings_asked": len(self.bookings_asked),
            "reminders_said": len(self.reminders_heard()),
            "webhooks_taken": len(self.receiver.taken),
            "webhooks_repeated": len(self.receiver.taken)
            - len({taken.id for taken in self.receiver.taken}),
            "start_seconds_median": round(starts[len(starts) // 2], 3) if starts else 0,
        }


@asynccontextmanager
async def open_harness(
    folder: Path,
    *,
    rng: random.Random,
    tokens_per_second: float = 0,
    spoil: Callable[[Step], Step] = lambda step: step,
    kind: GatewayKind = "whapi",
    made: type[Harness] = Harness,
) -> AsyncIterator[Harness]:
    """The simulators, in this process; the daemon is not started yet.

    ``spoil`` may change each answer of the model before it is given.
    """
    log = new_world(StringIO()).log
    gateways = {number: _gateway(kind, rng) for number in made.numbers}
    model = NamingModel(
        now=time.time,
        rng=rng,
        api_key=TOKEN,
        tokens_per_second=tokens_per_second,
        spoil=spoil,
    )
    receiver = Receiver()
    harness = made(folder, gateways, model, receiver)
    start = partial(
        serve, binds=[f"{harness.bind}:0"], stop=trio.Event(), grace_seconds=0.1, log=log
    )
    try:
        async with trio.open_nursery() as nursery:
            urls = {}
            for number, gateway in gateways.items():
                await nursery.start(gateway.run, name=f"simulated webhooks of {number}")
                (urls[number],) = await nursery.start(partial(start, gateway), name="gateway")
            await nursery.start(model.run, name="simulated model's responses")
            (model_url,) = await nursery.start(partial(start, model), name="model")
            (receiver.url,) = await nursery.start(partial(start, receiver), name="receiver")
            harness.connect(urls, model_url)
            yield harness
            nursery.cancel_scope.cancel()
    finally:
        harness.close()


def _gateway(kind: GatewayKind, rng: random.Random) -> AnyGateway:
    if kind == "cloud":
        return CloudGateway(token=TOKEN, rng=rng)
    gateway = ScriptedGateway(
        token=TOKEN,
        now=time.time,
        rng=rng,
        webhook_secret=SECRET,
        backoff_seconds=0.05,
        max_backoff_seconds=0.3,
    )
    gateway.postbox.transport = OneWrite(rng.choice(SECOND_CHATS))
    return gateway


def _gateway_settings(
    gateways: Mapping[str, AnyGateway], urls: Mapping[str, str]
) -> dict[str, str]:
    settings: dict[str, str] = {}
    for number, gateway in gateways.items():
        if isinstance(gateway, CloudGateway):
            settings |= gateway.environment(urls[number])
        elif number == NUMBER:
            settings |= {"WHAPI_TOKEN": TOKEN, "WHAPI_API_URL": urls[number]}
            settings |= {"RECADO_WEB__WEBHOOK_SECRET": SECRET}
        else:
            table = f"RECADO_NUMBERS__{number.upper()}"
            settings |= {f"{table}__TOKEN": TOKEN, f"{table}__API_URL": urls[number]}
            settings |= {f"{table}__WEBHOOK_SECRET": SECRET}
    return settings


def report(harness: Harness, faults: list[Fault], how: str) -> str:
    """Describe violations: the actions, and the chats' timelines."""
    lines = [f"{how}; kept in {harness.folder}", *(f"{f.chat}: {f.what}" for f in faults[:20])]
    heard = harness.heard()
    for chat in [*dict.fromkeys(fault.chat for fault in faults if fault.chat)][:2]:
        lines += ["", timeline(harness.data_dir, chat_id_of(chat))]
        lines += [f"heard: {text!r}" for text in heard.get(chat, [])]
    return "\n".join(lines[:400])
