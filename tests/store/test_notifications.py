"""Notifications in the ledger: each occasion once, until it is told."""

from pathlib import Path

from support.ledgers import CHANNEL, LAURA, accept, message, open_turn
from support.place import store_in
from support.rows import select

from daemon.domain.announcements import EndpointCounts
from daemon.domain.notification_texts import Occasion
from daemon.ledger.ledger import Store
from daemon.ledger.webhook_deliveries import Subscription

BUDGET = Occasion(reason="budget", subject="2026-11-29", line="2026-11-29")
TROUBLE = Occasion(reason="channel", line="needs_qr")
QUIET = 600.0
DAY_SECONDS = 24 * 3600.0


async def note(store: Store, *occasions: Occasion, now: float) -> None:
    await store.notifications.note(occasions, quiet_seconds=QUIET, now=now)


async def lines(store: Store, now: float) -> list[str]:
    return [pending.line for pending in await store.notifications.due(now=now, limit=10)]


async def test_an_occasion_is_noted_once_and_outlives_a_restart(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await note(store, BUDGET, now=100)
        await note(store, BUDGET, now=5000)
    async with store_in(tmp_path) as store:
        assert await lines(store, 5000) == ["2026-11-29"]


async def test_nothing_waits_for_a_clock_that_was_ahead(tmp_path: Path) -> None:
    """What is due at once is due whatever the time is afterwards."""
    async with store_in(tmp_path) as store:
        wanted = Subscription(endpoint="crm", events=("message.received",))
        await store.webhooks.subscribe([wanted], numbers=[CHANNEL], now=100)
        await accept(store, message("m-1"), now=100 + DAY_SECONDS)
        await note(store, BUDGET, now=100 + DAY_SECONDS)
        assert await lines(store, 100) == ["2026-11-29"]
        assert len(await store.webhooks.due("crm", [CHANNEL], now=100, limit=9)) == 1


async def test_what_is_about_a_number_that_is_gone_is_given_up(tmp_path: Path) -> None:
    """No node serves such a number, so nothing would ever deliver it."""
    async with store_in(tmp_path) as store:
        wanted = Subscription(endpoint="crm", events=("message.received",))
        await store.webhooks.subscribe([wanted], numbers=[CHANNEL], now=100)
        await accept(store, message("m-1"), now=100)
        assert await store.webhooks.subscribe([wanted], numbers=[CHANNEL], now=100) == 0
        assert await store.webhooks.subscribe([wanted], numbers=["another"], now=100) == 1
        assert (await store.webhooks.counts())["crm"] == EndpointCounts(dead=1)


async def test_no_next_try_waits_for_a_clock_that_was_ahead(tmp_path: Path) -> None:
    """A time that is further away than any wait was planned by a wrong clock."""
    async with store_in(tmp_path) as store:
        wanted = Subscription(endpoint="crm", events=("message.received",))
        await store.webhooks.subscribe([wanted], numbers=[CHANNEL], now=100)
        await accept(store, message("m-1"), now=100)
        await note(store, BUDGET, now=100)

        async def due() -> tuple[int, int]:
            deliveries = await store.webhooks.due(
                "crm", [CHANNEL], now=100, limit=9, longest_wait=60
            )
            pending = await store.notifications.due(now=100, limit=9, longest_wait=60)
            return len(deliveries), len(pending)

        (delivery,) = await store.webhooks.due("crm", [CHANNEL], now=100, limit=9)
        (pending,) = await store.notifications.due(now=100, limit=9)
        for again_at, expected in ((130, (0, 0)), (100 + DAY_SECONDS, (1, 1))):
            await store.webhooks.failed(delivery, "no answer", again_at=again_at, now=again_at)
            await store.notifications.settle(pending, set(), again_at=again_at)
            assert await due() == expected


async def test_a_sent_notification_leaves_no_words_and_is_not_repeated(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await note(store, BUDGET, now=100)
        (pending,) = await store.notifications.due(now=100, limit=10)
        await store.notifications.settle(pending, {"a"}, again_at=0)
        await note(store, BUDGET, now=5000)
        assert await lines(store, 5000) == []
        rows = select(store, "notifications", "state, line")
        assert rows == [("sent", "")]


async def test_a_failed_try_is_due_again_for_the_targets_that_are_left(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await note(store, BUDGET, now=100)
        (pending,) = await store.notifications.due(now=100, limit=10)
        await store.notifications.settle(pending, {"b", "a"}, again_at=130)
        assert await lines(store, 129) == []
        (again,) = await store.notifications.due(now=130, limit=10)
        assert (sorted(again.reached), again.tries) == (["a", "b"], 1)
        await store.notifications.settle(again, again.reached, again_at=-1)
        assert await lines(store, 9000) == []
        rows = select(store, "notifications", "state, tries")
        assert rows == [("failed", 2)]


async def test_trouble_is_notified_again_only_after_it_ended(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await note(store, TROUBLE, now=100)
        (pending,) = await store.notifications.due(now=100, limit=10)
        await store.notifications.settle(pending, {"a"}, again_at=0)
        for now in (200.0, 700.0, 1250.0, 1850.0):  # never away for ten minutes
            await note(store, TROUBLE, now=now)
            assert await lines(store, now) == []
        await note(store, TROUBLE, now=1850 + QUIET + 1)
        assert await lines(store, 3000) == ["needs_qr"]


async def test_seeing_trouble_again_at_once_writes_nothing(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await note(store, TROUBLE, now=100)
        await note(store, TROUBLE, now=105)
        assert select(store, "notifications", "seen_at") == [(100.0,)]


async def test_old_ones_are_forgotten(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await note(store, BUDGET, now=100)
        await note(store, TROUBLE, now=200)
        await store.notifications.forget(noted_before=200)
        assert await lines(store, 300) == ["needs_qr"]


async def test_escalations_are_found_since_a_time(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await accept(store, message("m-1", "My key is 1234, help", author_name="Laura"))
        turn = await open_turn(store)
        await store.escalations.open(
            turn,
            reason="complaint",
            summary="Cold water",
            urgency="high",
            pause_seconds=60,
            notice=None,
            now=150,
        )
        (found,) = await store.notifications.escalations(since=150, language="en")
        assert (found.subject, found.key) == (str(turn.id), LAURA)
        assert found.line.endswith("(5730…4567): complaint; Cold water; urgent")
        assert "1234" not in found.line
        assert await store.notifications.escalations(since=151, language="en") == ()


async def test_the_end_of_the_days_budget_is_known_once_it_was_alerted(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        assert not await store.usage.was_alerted(CHANNEL, "2026-11-29")
        await store.usage.alert(CHANNEL, "2026-11-29", now=1)
        assert await store.usage.was_alerted(CHANNEL, "2026-11-29")
        assert not await store.usage.was_alerted(CHANNEL, "2026-11-30")
