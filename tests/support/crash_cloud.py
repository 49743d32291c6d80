"""The simulated Cloud API as the crash harness uses it: with the names of the simulated Whapi."""

import math
import random
import time
from types import SimpleNamespace
from typing import Any

from daemon.domain.messages import JsonObject
from daemon.sandbox.cloud_api import CloudCall, SimulatedCloud
from daemon.sandbox.cloud_phones import CloudPhones
from daemon.sandbox.ledger import SentMessage
from daemon.sandbox.payloads import chat_id_of
from daemon.sandbox.webhooks import Until
from support.cloud_bodies import PHONE_NUMBER_ID

APP_SECRET = "crash-app-secret"
STATUS_SECONDS = 20.0
"""How long a status is waited for that says whether a cut send has happened: longer than the calls
that have piled up during a kill take to get through, also on a slow machine."""


class CloudGateway(CloudPhones):
    """The Cloud API, and the phones of its customers."""

    def __init__(self, *, token: str, rng: random.Random) -> None:
        cloud = SimulatedCloud(
            token=token,
            app_secret=APP_SECRET,
            phone_number_id=PHONE_NUMBER_ID,
            rng=rng,
            backoff_seconds=0.05,
        )
        cloud.pair_burst = math.inf  # customers of the harness write much faster than people
        super().__init__(cloud, now=time.time, rng=rng, contacts=())
        self.echoes = SimpleNamespace(mode="after")
        """Our own sends do not come back."""
        self.faults = _Faults(cloud)

    def environment(self, url: str) -> dict[str, str]:
        """The settings of a daemon whose number is here."""
        return {
            "RECADO_GATEWAY": "cloud",
            "RECADO_CLOUD__API_URL": url,
            "RECADO_CLOUD__TOKEN": self.cloud.token,
            "RECADO_CLOUD__APP_SECRET": APP_SECRET,
            "RECADO_CLOUD__PHONE_NUMBER_ID": PHONE_NUMBER_ID,
            "RECADO_CLOUD__PAIR_SECONDS": "0",
            "RECADO_CLOUD__MAX_BUBBLES": "2",
            "RECADO_CLOUD__STATUS_SECONDS": str(STATUS_SECONDS),
            "RECADO_DELIVERY__UNKNOWN": "repeat",
        }

    def set_webhook(self, url: str) -> None:
        """Send webhooks to the daemon's address."""
        self.cloud.webhook_url = url

    async def customer_says(self, chat: str, words: str, *, deliver: Until) -> str:
        """Let a customer write a text."""
        message: JsonObject = self.compose(chat, words)
        await self.announce([message], deliver=deliver)
        return str(message["id"])

    def sent(self, chat: str) -> list[SentMessage]:
        """What a customer got."""
        return self.ledger.sent(chat_id_of(chat))

    def calls(self, operation: str) -> list[CloudCall]:
        """The requests of an operation; nothing is listed here."""
        return [call for call in self.cloud.made if call.operation == operation]

    def reset_faults(self) -> None:
        """Let all calls go well again."""
        self.faults.reset()


class _Faults:
    """Faults by the names of the simulated Whapi."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud

    def add(self, *, operation: str, kind: str, status: int, **_more: Any) -> None:
        """Let the next call of an operation fail: before anything is done, or after it."""
        if kind in {"status", "drop_before"}:
            code = 130429 if status == 429 else 131000
            self._cloud.faults.add(operation=operation, kind="code", code=code, status=status)
        else:
            self._cloud.faults.add(operation=operation, kind="drop_after")

    def reset(self) -> None:
        """Forget all of them."""
        for kind in ("code", "drop_after"):
            self._cloud.faults.clear(operation="send", kind=kind)
