"""Views: what people are shown of the ledger, as plain JSON objects with times as Unix seconds.

Nothing is masked here; who shows it decides.
"""

from collections.abc import Iterable, Mapping

from daemon.domain.messages import ChatKey, JsonObject
from daemon.ledger.drivers.port import Connection, Role, query, reading
from daemon.ledger.nodes import running_nodes
from daemon.ledger.recordings import recordings_until
from daemon.ledger.reminders import waiting_reminders
from daemon.ledger.views import chat_list, message_search, traces, work
from daemon.ledger.views.bubbles import bubbles_before
from daemon.ledger.webhook_deliveries import dead_deliveries

DOUBTFUL_SECONDS = 7 * 86400.0
"""How long a doubted answer is listed."""


class Views(Role):
    """Queries for the dashboard. Any task may ask; all raise StoreUnavailable."""

    chats = reading(chat_list.list_chats)
    chat = reading(chat_list.one_chat)
    key_of = reading(chat_list.key_of)
    found = reading(message_search.find_messages)
    place_of = reading(message_search.place_of)
    bubbles = reading(bubbles_before)
    costs = reading(work.costs_of)
    turns = reading(traces.turns_of)
    chat_of_turn = reading(traces.chat_of_turn)
    trace = reading(traces.trace_by_name)
    recorded = reading(recordings_until)
    nodes = reading(running_nodes)

    @query
    def work(
        self,
        connection: Connection,
        live: Iterable[ChatKey],
        *,
        days: Mapping[str, str],
        since: float,
        now: float,
    ) -> JsonObject:
        """Work under way, waiting and failed, and the day's cost.

        ``people`` has the names of the chats in it, and of those in ``live``. ``days``: the day of
        each number. ``since``: when this process began, Unix seconds.
        """
        shown: JsonObject = {
            "runs": work.running(connection),
            "outbox": work.outbox_counts(connection),
            "sends": work.open_sends(connection),
            "dead_turns": work.dead_turns(connection),
            "doubtful": work.doubtful_turns(connection, now - DOUBTFUL_SECONDS),
            "failed_sends": work.failed_sends(connection),
            "dead_webhooks": dead_deliveries(connection),
            "reminders": waiting_reminders(connection, limit=work.SHOWN),
            "unreadable": work.unreadable_events(connection),
            "expired": work.expired_since(connection, since),
            "spending": work.spending(connection, days),
            "questions": work.questions(connection),
        }
        names = (
            "sends",
            "dead_turns",
            "doubtful",
            "failed_sends",
            "dead_webhooks",
            "reminders",
        )
        lists = [shown[name] for name in names]
        keys = set(live) | {entry["key"] for entries in lists for entry in entries}
        keys |= {entry["key"] for entry in shown["spending"]["chats"]} | set(shown["runs"])
        return {**shown, "people": work.people(connection, keys)}
