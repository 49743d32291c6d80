"""Let many different contacts write to a daemon, and see whether its memory stays flat.

    python benchmarks/contacts.py --contacts 100000

Each contact writes once and is answered; the store grows with them, the daemon must not. It is a
process of its own; the simulators around it keep what they have seen in theirs.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import httpx
import trio

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.process import open_site
from support.stage import text_webhook

AT_ONCE = 50
STEPS = 10
DAY_SECONDS = 24 * 3600


async def write(client: httpx.AsyncClient, first: int, count: int) -> None:
    """Let so many new contacts write, some at a time, and wait until all are answered."""
    for start in range(first, first + count, AT_ONCE):
        async with trio.open_nursery() as nursery:
            for number in range(start, min(start + AT_ONCE, first + count)):
                body = text_webhook("Hola", f"m{number}", f"57300{number:07d}")
                nursery.start_soon(lambda body=body: client.post("/hook", json=body))
        while (await client.get("/locks")).json()["stats"]["totalUsers"] > AT_ONCE // 2:  # noqa: ASYNC110
            await trio.sleep(0.05)


async def measure(folder: Path, total: int) -> None:
    async with open_site(folder, seconds=DAY_SECONDS) as site:
        process = await site.launch(variables={"RECADO_LOG__LEVEL": "info"})
        url = await site.opened(process)
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for step in range(STEPS):
                await write(client, step * total // STEPS, total // STEPS)
                process.text = ""
                metrics = (await client.get("/metrics")).text
                found = re.search(r"^process_resident_memory_bytes (\S+)", metrics, re.MULTILINE)
                memory = float(found[1]) / 1e6 if found else 0.0
                print(f"{(step + 1) * total // STEPS:>8} contacts {memory:8.1f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    total = parser.parse_args().contacts
    with tempfile.TemporaryDirectory() as folder:
        trio.run(measure, Path(folder), total)


if __name__ == "__main__":
    main()
