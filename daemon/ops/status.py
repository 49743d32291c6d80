"""Reports of this process: its status for systemd, signs of life, and its record in the store."""

from collections.abc import Callable, Sequence

import trio

from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.conversation.reload import Reloader
from daemon.conversation.services import ChatServices
from daemon.conversation.telemetry import Telemetry
from daemon.domain.limits import day_of, used_ratios
from daemon.errors import StoreUnavailable
from daemon.ledger.ledger import Store
from daemon.ledger.process_records import ProcessHistory
from daemon.observability.events import EARLIER_END
from daemon.ops.maintenance.figures import Figures
from daemon.system.systemd import Notify, Sign

STATUS_SECONDS = 5.0
"""Between two lines, which systemd keeps in memory and passes to watchers of the unit."""


async def keep_status(
    process: Process,
    numbers: Numbers,
    figures: Figures,
    urls: Sequence[str],
    reloader: Reloader,
    notify: Notify,
) -> None:
    """Send systemd the current figures when they have changed. Runs until cancelled."""
    shown = ""
    while True:
        line = "; ".join(
            [
                f"serving {', '.join(urls)}",
                *await _figures(process, numbers, figures),
                *([f"reload refused: {reloader.refusal}"] if reloader.refusal else []),
            ]
        )
        if line != shown:
            shown = line
            notify(f"STATUS={line}")
        with trio.move_on_after(STATUS_SECONDS):
            await reloader.tried.answer()


async def _figures(process: Process, numbers: Numbers, figures: Figures) -> list[str]:
    statistics = numbers.statistics()
    waiting, oldest = (
        process.run_slots.waiting,
        figures.total(numbers.served_names()).oldest_unanswered,
    )
    parts = [
        f"{_count(statistics.chats, 'chat')}, {_count(statistics.runs, 'run')}, {waiting} waiting"
    ]
    if oldest:
        age = max(0.0, process.telemetry.now() - oldest)
        parts.append(f"oldest unanswered {age:.0f} s")
    shares = [await _used_share(number.services) for number in numbers.served]
    used = max((share for share in shares if share is not None), default=None)
    if used is not None:
        parts.append(f"budget {100 * used:.0f} %")
    return parts


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


async def _used_share(services: ChatServices) -> float | None:
    """The used share of the day's budget; None without a limit or a readable store."""
    budget = services.config.rules.budget
    if not (budget.total_tokens or budget.total_cost):
        return None
    try:
        used = await services.store.usage.total(
            services.number.name, day_of(services.telemetry.now(), services.config.rules.zone)
        )
    except StoreUnavailable:
        return None
    return max(used_ratios(budget, used).values())


def signs_of_life(
    store: Store, numbers: Numbers, *, http_is_open: Callable[[], bool]
) -> tuple[Sign, ...]:
    """The watchdog's checks besides the event loop.

    The store's writer handles a write, even if a full disk refuses it; the tasks that accept
    clients and own the chats run. A slow chat is no reason for a restart, which would drop the
    windows of all others: it has its own time limits.
    """

    async def writer_answers() -> bool:
        await store.database.answer()
        return True

    async def http_accepts() -> bool:
        return http_is_open()

    async def chats_are_owned() -> bool:
        return numbers.is_open

    return (
        Sign("the store's writer", writer_answers),
        Sign("the HTTP server", http_accepts),
        Sign("the chats", chats_are_owned),
    )


LAST_NOTE_SECONDS = 0.5
"""The longest delay of the end by noting it."""


class ProcessRecord:
    """The record of this process in the store. Made and called by the composer; never fails."""

    def __init__(self, history: ProcessHistory, telemetry: Telemetry, *, node: str = "") -> None:
        """``node``: the name of this node, where there are several."""
        self._history = history
        self._node = node
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._now = telemetry.now

    async def begin(self) -> None:
        """Find out, count and log how the last process ended, and begin the record of this one."""
        try:
            earlier = await self._history.begin(node=self._node, now=self._now())
        except StoreUnavailable as error:
            self._log.warning("the start was not noted", error=str(error))
            return
        self._metrics.vitals.count_earlier_ends(earlier.ends, earlier.last_stop_seconds)
        if earlier.last_end not in {None, "clean"}:
            self._log.event(EARLIER_END, how=earlier.last_end)

    async def stopping(self) -> None:
        """Note that the stop has begun; durable on return."""
        try:
            await self._history.stopping(node=self._node, now=self._now())
        except StoreUnavailable as error:
            self._log.debug("the stop was not noted", error=str(error))

    async def stopped(self) -> None:
        """Note that everything but the store is closed, unless that takes too long."""
        with trio.move_on_after(LAST_NOTE_SECONDS, shield=True):
            try:
                await self._history.stopped(node=self._node, now=self._now())
            except StoreUnavailable as error:
                self._log.debug("the end was not noted", error=str(error))
