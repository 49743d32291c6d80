"""The way of the system before Recado: a run is made, and looked at again and again.

As it was: create a run, wait 1 s, look, and so on. If it wants tools, they are run and their
outputs submitted; then wait 1 s, look, and wait 0.5 s longer after each look, 5 s at most. Only its
waits are rebuilt: the gathering of a burst is left out, tools take no time, and there is one
request where the Assistants API needed several (thread, message, run, list of messages).

Usage: python polling_cycle.py PORT AMOUNT RATE, on the port of `simulator.py`.
"""

import sys
from itertools import count
from typing import Any

import httpx
import trio

POLL_SECONDS = 1.0
AFTER_TOOLS_SECONDS, LONGEST_SECONDS = 0.5, 5.0


async def cycle(client: httpx.AsyncClient, token: str) -> None:
    """Answer one question."""
    await client.post("/control/asked", json={"token": token})
    question: list[dict[str, Any]] = [{"role": "user", "content": f"Hola, consulta {token}."}]
    response = await _create(client, question)
    while response["status"] != "completed":
        await trio.sleep(POLL_SECONDS)
        response = await _look(client, response)
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    if calls:
        outputs = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "success"}
            for item in calls
        ]
        response = await _create(client, [*question, *calls, *outputs])
        await trio.sleep(POLL_SECONDS)
        for number in count(1):
            response = await _look(client, response)
            if response["status"] == "completed":
                break
            await trio.sleep(min(number * AFTER_TOOLS_SECONDS, LONGEST_SECONDS))
    text = response["output"][0]["content"][0]["text"]
    await client.post("/messages/text", json={"to": "573001234567", "body": text})


async def _create(client: httpx.AsyncClient, items: list[dict[str, Any]]) -> dict[str, Any]:
    body = {"model": "gpt-6-luna", "background": True, "input": items}
    found: dict[str, Any] = (await client.post("/v1/responses", json=body)).json()
    return found


async def _look(client: httpx.AsyncClient, response: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/v1/responses/{response['id']}")).json()
    return found


async def main(port: int, amount: int, rate: float) -> None:
    """Begin `amount` cycles, `rate` a second; ends with the last of them."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=120, trust_env=False
    ) as client:
        announced = (await client.post("/control/expect", json={"amount": amount})).json()
        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            for number, token in enumerate(announced["tokens"]):
                await trio.sleep_until(began + number / rate)
                nursery.start_soon(cycle, client, token)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
