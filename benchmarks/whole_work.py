"""What a whole turn and a whole webhook execute, trio included, in a daemon of its own.

A turn is a webhook, the model, a reply, its echo and its status. The counts waver by a few per
cent: what waits at the same time is done in one pass of the event loop or in two.
"""

import json
import signal
import tempfile
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from contenders import BUILD, HERE
from counted_daemon import THREADS
from load import Client, requests
from subject import Outside, Recado, outside_world, recado, written

TURNS, WARM_UPS = 12, 6
TURNS_A_SECOND = 2
PATIENCE = 60
OF_TURNS = {"RECADO_BUFFER__WINDOW_SECONDS": "0.1"}

CONNECTIONS, ROUNDS, FIRST_ROUNDS = 16, 20, 10
"""Webhooks are posted on so many connections at once, each of its own chat, and the next ones after
the last answer."""
OF_WEBHOOKS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "3600",
    "RECADO_BUFFER__MAX_WAIT_SECONDS": "3600",
    "RECADO_BUFFER__MAX_MESSAGES": "1000",
    "RECADO_PRESENCE__ENABLED": "false",
}
ALWAYS = {
    # What is done every so often is no part of either.
    "RECADO_HOUSEKEEPING__FIGURES_SECONDS": "3600",
    "RECADO_HOUSEKEEPING__SWEEP_SECONDS": "3600",
}


def whole_turn() -> dict[str, int]:
    """Instructions of one turn by `_shares`, and its writes."""

    def prepare(_subject: Recado, world: Outside) -> None:
        world("manner", shortest=0.05, longest=0.06)
        world("burst", amount=WARM_UPS, rate=TURNS_A_SECOND, patience=PATIENCE)

    def work(_subject: Recado, world: Outside) -> None:
        found = world("burst", amount=TURNS, rate=TURNS_A_SECOND, patience=PATIENCE)
        if any(question["replies"] != 1 for question in found["questions"]):
            raise RuntimeError("a turn was not answered once")

    counts, writes = _counted(OF_TURNS, prepare, work)
    return {**_shares(counts, TURNS), "writes": round(writes / TURNS)}


def whole_webhook() -> dict[str, int]:
    """Instructions of one webhook of a known chat whose window is open, by `_shares`."""
    feed = requests("chat", 1, chats=CONNECTIONS)
    clients: list[Client] = []

    def post(rounds: int) -> None:
        for _ in range(rounds):
            for client, request in zip(clients, islice(feed, CONNECTIONS), strict=True):
                client.send(request)
            for client in clients:
                while not client.answered():
                    pass

    def prepare(subject: Recado, _world: Outside) -> None:
        clients.extend(Client(subject.port) for _ in range(CONNECTIONS))
        post(FIRST_ROUNDS)

    counts, _ = _counted(OF_WEBHOOKS, prepare, lambda _subject, _world: post(ROUNDS))
    return _shares(counts, CONNECTIONS * ROUNDS)


def _counted(
    settings: Mapping[str, str],
    prepare: Callable[[Recado, Outside], None],
    work: Callable[[Recado, Outside], None],
) -> tuple[dict[str, int], float]:
    """What some work executes, by package, and how many writes it makes."""
    BUILD.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=BUILD, prefix="count-") as folder,
        outside_world() as world,
    ):
        output = Path(folder) / "counts.json"
        program = (str(HERE / "counted_daemon.py"), str(output))
        with recado(Path(folder) / "data", world, {**ALWAYS, **settings}, program) as subject:
            prepare(subject, world)
            before = subject.figures()["recado_store_batch_rows_sum"]
            subject.process.send_signal(signal.SIGUSR2)
            work(subject, world)
            subject.process.send_signal(signal.SIGUSR2)
            counts: dict[str, int] = json.loads(written(output))
            writes = subject.figures()["recado_store_batch_rows_sum"] - before
    return counts, writes


def _shares(counts: dict[str, int], times: int) -> dict[str, int]:
    """The daemon's own instructions in the main thread, trio's, other libraries', the threads'."""
    own, threads = counts.pop("daemon", 0), counts.pop(THREADS, 0)
    trio = sum(counts.pop(package, 0) for package in ("trio", "outcome", "attr", "attrs"))
    return {
        "instructions": own // times,
        "library instructions": sum(counts.values()) // times,
        "trio instructions": trio // times,
        "thread instructions": threads // times,
    }
