"""Both simulators as a service of systemd: ``python -m support.outside``, on fixed ports."""

import io
import os

import trio

from daemon.system.systemd import notifier
from support.simulators import simulators
from support.stage import new_world

GATEWAY_PORT, MODEL_PORT = 8081, 8082
WEBHOOK = "http://127.0.0.1:8080/hook"


async def main() -> None:
    """Run them until the process is ended."""
    world = new_world(io.StringIO())
    async with simulators(world, gateway_port=GATEWAY_PORT, model_port=MODEL_PORT) as outside:
        outside.gateway.set_webhook(WEBHOOK)
        notifier(os.environ)("READY=1")
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
