"""The HTTP edge of a whole daemon, with mutated requests and handshakes over raw sockets.

What must not be: a 500, an unexpected error in the log, a connection that failed, an answer to a
request with two lengths, a connection that does not end after its client has left, and tasks or
descriptors that are left behind.
"""

import json
import random
import re
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path

import trio
from pydantic import SecretStr
from support.simulators import simulators
from support.stage import Stage, outside_world, quick_settings

from fuzz.finding import Finding, Report
from fuzz.requests import SECRET, TOKEN, mutated

CLIENTS = 4
END_SECONDS = 60.0
"""In which a connection ends after its client: a body may take 30 s, a hold-up 20 s."""
MOST_FINDINGS = 50
LEFT_TASKS, LEFT_DESCRIPTORS = 20, 20
"""More than at the beginning, when all clients have left: those of the pool to the simulators."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_TWO_LENGTHS = re.compile(
    rb"\r\ncontent-length: *\d+\r\n(?:[\w-]+: [^\r\n]*\r\n)*transfer-encoding: *chunked\r\n",
    re.IGNORECASE,
)


def fuzz_edge(seed: int, seconds: float) -> Report:
    """Run with a seed for so many seconds."""
    with tempfile.TemporaryDirectory(prefix="recado-fuzz-") as folder:
        return trio.run(_Run(seed, Path(folder)).run, seconds)


class _Run:
    """One daemon and what was found with it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self._folder = folder
        self._cases = 0
        self._findings: dict[str, Finding] = {}
        self._recent: deque[int] = deque(maxlen=3 * CLIENTS)

    async def run(self, seconds: float) -> Report:
        """Start the daemon, send for so many seconds, and look at what is left."""
        settings = quick_settings(
            self._folder / "data",
            {
                "web": {
                    "port": 0,
                    "webhook_secret": (SecretStr(SECRET),),
                    "admin_token": SecretStr(TOKEN),
                    "trusted_proxies": ("127.0.0.1",),
                },
                # Nobody is answered: this is about the edge.
                "contacts": {"allow": ("573009999999",)},
            },
        )
        async with simulators(outside_world()) as outside, trio.open_nursery() as nursery:
            stage = Stage(settings, outside, nursery)
            await stage.start()
            await self._one(stage, 0, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            before = _left()
            with trio.move_on_after(seconds):
                async with trio.open_nursery() as clients:
                    for _ in range(CLIENTS):
                        clients.start_soon(self._client, stage)
            await self._look_at_what_is_left(before)
            await stage.stop()
        return Report(self._cases, tuple(self._findings.values()))

    async def _client(self, stage: Stage) -> None:
        while len(self._findings) < MOST_FINDINGS:
            self._cases += 1
            case = self._cases
            self._recent.append(case)
            await self._one(stage, case, mutated(random.Random(f"{self._seed}:{case}")))  # noqa: S311

    async def _one(self, stage: Stage, case: int, data: bytes) -> None:
        """Send one input on a connection of its own and judge what comes back."""
        chance = random.Random(f"{self._seed}:{case}:way")  # noqa: S311 - repeatable on purpose
        port = int(stage.url.rpartition(":")[2])
        answer = b""
        with trio.move_on_after(END_SECONDS) as waiting:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                with suppress(trio.BrokenResourceError):
                    for part in _parts(data, chance):
                        await stream.send_all(part)
                        await trio.lowlevel.checkpoint()
                    if chance.random() < 0.1:
                        return  # leaves without a word
                    await stream.send_eof()
                    async for piece in stream:
                        answer += piece
        if waiting.cancelled_caught:
            self._note("does not end after its client has left", case, data)
        statuses = {int(status) for status in _STATUS.findall(answer)}
        if statuses & {500, 502, 504}:
            self._note("a 500", case, data)
        if _TWO_LENGTHS.search(data.partition(b"\r\n\r\n")[0] + b"\r\n") and 200 in statuses:
            self._note("two lengths were taken", case, data)
        self._look_at_log(stage, case, data)

    def _look_at_log(self, stage: Stage, case: int, data: bytes) -> None:
        """Look for faults in what was logged since the last look."""
        lines = stage.log.getvalue().splitlines()
        stage.log.seek(0)
        stage.log.truncate()
        for line in map(json.loads, lines):
            if line["level"] in {"error", "critical"} or line["event"] == "a connection failed":
                what = f"{line['event']}: {line.get('error', '')} {line.get('what', '')}"
                # It is seen after its time: whose it is can be any of the last ones.
                detail = f"cases {[*self._recent]}: {line.get('exception', '')}"
                self._note(what, case, data, detail)

    async def _look_at_what_is_left(self, before: tuple[int, int]) -> None:
        """Wait until tasks and descriptors are as they were, or note that they are not."""
        tasks, descriptors = before
        with trio.move_on_after(END_SECONDS) as waiting:
            while True:
                left_tasks, left_descriptors = _left()
                few_tasks = left_tasks <= tasks + LEFT_TASKS
                if few_tasks and left_descriptors <= descriptors + LEFT_DESCRIPTORS:
                    return
                await trio.sleep(0.5)
        if waiting.cancelled_caught:
            self._note(f"left behind: {_left()} tasks and descriptors, before {before}", 0, b"")

    def _note(self, what: str, case: int, data: bytes, detail: str = "") -> None:
        self._findings.setdefault(what, Finding(what, case, data, detail))


def _left() -> tuple[int, int]:
    """How many tasks and descriptors this process has."""
    return trio.lowlevel.current_statistics().tasks_living, len(
        list(Path("/proc/self/fd").iterdir())
    )


def _parts(data: bytes, chance: random.Random) -> list[bytes]:
    """The input as a client sends it: mostly at once, else in pieces."""
    if chance.random() < 0.7:
        return [data]
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(1, 5)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
