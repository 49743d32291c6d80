"""Twenty people at the desk of a store with 5,000 chats: how long each page takes them.

``python benchmarks/desk.py [CHATS [PEOPLE]]``. Each of them opens the list, a chat, a search and
the work page, over and over, and reads for a second after each. One process asks for all of them,
over connections that stay open, so its own work is in the times too.
"""

import http.client
import random
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dashboard_readers import ADMIN_TOKEN
from seeding import seeded
from subject import outside_world, recado

CHATS, PEOPLE = 5_000, 20
SECONDS = 30.0
READS_SECONDS = 1.0
LIST = "/dashboard/chats"
LINK = re.compile(rb'href="(/dashboard/chats/[\w-]+)["?]')

Times = dict[str, list[float]]


def at_the_desk(port: int, seed: int, until: float) -> Times:
    """One person's pages; gives the seconds of each."""
    rng, times = random.Random(seed), defaultdict[str, list[float]](list)  # noqa: S311 - repeatable
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def opened(kind: str, path: str) -> bytes:
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        answer = connection.getresponse()
        body = answer.read()
        times[kind].append(time.perf_counter() - began)
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        time.sleep(READS_SECONDS * rng.uniform(0.5, 1.5))  # noqa: TID251 - somebody reads
        return body

    time.sleep(rng.random() * READS_SECONDS)  # noqa: TID251 - they do not begin together
    while time.perf_counter() < until:
        refs = LINK.findall(opened("list", LIST))
        opened("chat", rng.choice(refs).decode())
        opened("search", f"{LIST}?q={rng.choice(('hola', 'reserva', 'laura', 'precio'))}")
        opened("work", "/dashboard/work")
    return times


def main() -> None:
    """Print a row for each page."""
    chats, people = (
        [*map(int, sys.argv[1:]), CHATS, PEOPLE][:2] if sys.argv[1:] else (CHATS, PEOPLE)
    )
    with tempfile.TemporaryDirectory() as name, outside_world() as outside:
        folder = seeded(Path(name) / "data", outside, chats)
        with recado(folder, outside, {"RECADO_WEB__ADMIN_TOKEN": ADMIN_TOKEN}) as subject:
            before, began = subject.cpu_seconds(), time.perf_counter()
            until = began + SECONDS
            with ThreadPoolExecutor(people) as pool:
                found = list(
                    pool.map(lambda seed: at_the_desk(subject.port, seed, until), range(people))
                )
            cpu = (subject.cpu_seconds() - before) / (time.perf_counter() - began)
    print(f"{people} people, {chats:,} chats; the daemon used {100 * cpu:.0f} % of a processor\n")
    print("| page | opened | median ms | p99 ms |\n|---|---:|---:|---:|")
    for kind in found[0]:
        times = sorted(1000 * seconds for one in found for seconds in one[kind])
        worst = statistics.quantiles(times, n=100)[98]
        print(f"| {kind} | {len(times)} | {statistics.median(times):.0f} | {worst:.0f} |")


if __name__ == "__main__":
    main()
