"""How many numbers one process serves: the start, its memory, idle CPU, and a webhook to each.

``python benchmarks/many_numbers.py [COUNT…]``; without a count for 1, 100 and 1,000 numbers. One
simulated gateway stands for those of all numbers.
"""

import http.client
import json
import sys
import tempfile
import time
from pathlib import Path

from figures import mb
from subject import Outside, outside_world, recado

COUNTS = (1, 100, 1000)
SETTLE_SECONDS = 60.0
"""So that every number was asked for its state."""
IDLE_SECONDS = 60.0
SECRET = "secret-of-number-{}"  # noqa: S105 - of numbers that do not exist


def configuration(count: int, outside: Outside, folder: Path) -> Path:
    """Write the TOML file with so many numbers, each with a token, a secret and a window."""
    lines = []
    for place in range(count):
        lines += [
            f"[numbers.n{place}]",
            'token = "none"',
            f'api_url = "http://127.0.0.1:{outside.port}"',
            f'webhook_secret = "{SECRET.format(place)}"',
            f'channel_id = "CHANNEL-{place}"',
            f"[numbers.n{place}.buffer]",
            "window_seconds = 600",
            "max_wait_seconds = 3600",
        ]
    path = folder / f"{count}.toml"
    path.write_text("\n".join(lines))
    return path


def one_each(port: int, count: int) -> float:
    """Post one message to each number; gives how many seconds that took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.perf_counter()
    for place in range(count):
        message = {
            "id": f"hola-{place}",
            "type": "text",
            "from_me": False,
            "chat_id": f"573{place:09}@s.whatsapp.net",
            "from": f"573{place:09}",
            "timestamp": int(time.time()),
            "text": {"body": "Hola"},
        }
        headers = {"Authorization": f"Bearer {SECRET.format(place)}"}
        body = json.dumps({"messages": [message], "channel_id": f"CHANNEL-{place}"})
        connection.request("POST", f"/n/n{place}/hook", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"number {place}: {answer.status}")
    return time.perf_counter() - began


def measure(count: int, outside: Outside, folder: Path) -> list[str]:
    """The row of the table."""
    own = {"RECADO_CONFIG": str(configuration(count, outside, folder))}
    given = dict.fromkeys(("RECADO_WHAPI__TOKEN", "RECADO_WHAPI__API_URL"), "")
    with recado(folder / f"data {count}", outside, {**own, **given}) as subject:
        ready, memory = subject.ready_seconds, subject.memory()
        time.sleep(SETTLE_SECONDS)  # noqa: TID251 - the daemon is left alone
        before = subject.cpu_seconds()
        time.sleep(IDLE_SECONDS)  # noqa: TID251 - the daemon is left alone
        idle = (subject.cpu_seconds() - before) / IDLE_SECONDS
        settled, seconds = subject.memory(), one_each(subject.port, count)
        windows = subject.figures()["recado_active_windows"]
        if windows != count:
            raise RuntimeError(f"{windows} windows of {count}")
        return [
            f"{count:,}",
            f"{ready:.2f} s",
            mb(memory),
            mb(settled),
            f"{100 * idle:.1f} %",
            f"{1000 * seconds / count:.2f} ms",
            mb(subject.memory()),
        ]


def main() -> None:
    """Print a row for each count."""
    counts = [int(text) for text in sys.argv[1:]] or COUNTS
    print("| numbers | start | memory | a minute later | idle CPU | a webhook | a window each |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name, outside_world() as outside:
        for count in counts:
            print(f"| {' | '.join(measure(count, outside, Path(name)))} |", flush=True)


if __name__ == "__main__":
    main()
