"""The metrics of the daemon, for Prometheus.

One object with a registry of its own is made at the start and passed to all that count. Labels have
few values, known in advance and present from the start at 0; none names a person, a chat or a
message. Times are in seconds. Counting is fast and may happen in any task or thread.
"""

from collections.abc import Callable, Iterable
from copy import copy
from functools import partial
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

from daemon.domain.announcements import EndpointCounts
from daemon.domain.gateway_prices import CATEGORIES, FREE
from daemon.domain.messages import Usage
from daemon.domain.outcomes import SETTLED
from daemon.domain.topics import OTHER
from daemon.domain.validation.builtin_validators import BUILT_IN
from daemon.observability.node_metrics import NodeMetrics
from daemon.observability.plain_metrics import PlainCounter, PlainHistogram
from daemon.observability.vitals import QUEUE_STATES, Vitals

WEBHOOK_RESULTS = ("stored", "unauthorized", "invalid", "too_large", "unavailable")
"""The results of calls of /hook: 200, 401, 400, 413, 503."""

SECRETS = ("webhook", "token", "login")
"""Where a wrong secret was sent: to /hook, as the admin's bearer token, in the login."""

MESSAGE_KINDS = (
    *("text", "link_preview", "image", "video", "gif", "short", "audio", "voice", "document"),
    *("sticker", "location", "live_location", "contact", "contact_list", "reply", "interactive"),
    *("poll", "action", "system", "call", "story", "order", "group_invite", "event", "unknown"),
    "other",
)
"""The message types that are counted apart; others are "other"."""

_COUNTED_KINDS = frozenset(MESSAGE_KINDS)

OWED_BY = ("bot", "person")
"""The party that owes customers an answer."""

TURN_OUTCOMES = ("answered", "ignored", "handed_off", "expired", "dead")
RECOVERIES = ("harvested", "asked_again", "continued")
"""A response fetched from the server, one that had to be requested again, any other work."""

BRAKES = ("budget", "loop", "flood")
"""A turn over the day's budget, a loop between machines, a chat that writes too fast."""

OUTBOX_STATES = ("pending", "sending", "unknown", "failed")
"""States of rows that still wait for something; sent rows are history."""

VOICE_REPLIES = ("sent", "unfit", "not_made", "refused", "unpaid")
"""Answers to voice notes: sent as one, or written instead because the words are not fit to be
spoken, the speech could not be made, WhatsApp refused it, or the day's budget did not allow it."""

FAULT_PLACES = ("chat", "side_task", "core", "request")
"""The work that an unexpected exception ended."""

RELOADS = ("applied", "refused")
"""The new configuration is in use; it has a fault and nothing was changed."""

WEBHOOK_DELIVERY_RESULTS = ("delivered", "failed", "dead")
"""The endpoint has it; it will be tried again; it was given up."""

NOTIFICATION_RESULTS = ("sent", "failed", "given_up")
"""All targets accepted it; some will be tried again; they were tried for a day."""

MEDIA_RESULTS = ("stored", "delayed", "refused")
STATUSES = ("pending", "sent", "delivered", "read", "played", "failed")
CHANNEL_STATES = (
    *("ok", "connecting", "unauthorised", "needs_qr", "stopped", "error"),
    "unknown",
)
"""As `daemon.conversation.number_state` names them."""

VALIDATION_VERDICTS = ("keep", "fix", "retry", "doubt", "flag", "block", "error")
"""``flag``: a doubtful answer was sent and marked for review by a person."""

UPSTREAM_OUTCOMES = ("ok", "temporary", "rejected", "unknown", "channel_trouble", "cancelled")
UPSTREAM_OPERATIONS = {
    "whapi": (
        *("text", "voice", "image", "document", "location", "contact", "interactive"),
        *("poll", "reaction", "presence", "subscribe", "message", "messages", "read", "chat"),
        *("lid", "labels", "media", "health", "settings", "other"),
    ),
    "cloud": (
        *("text", "voice", "image", "document", "location", "contact", "interactive"),
        *("reaction", "upload", "read", "health", "other"),
    ),
    "model": ("response", "retrieve", "cancel", "transcription", "speech", "models", "other"),
}

_INTAKE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_WINDOW_BUCKETS = (1, 2.5, 5, 6, 8, 10, 15, 20, 30, 45, 60, 90)
_RUN_BUCKETS = (0.25, 0.5, 1, 2, 4, 6, 10, 15, 20, 30, 45, 60, 90, 120, 300)
_CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
_DELIVERY_BUCKETS = (1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400)
_FIRST_ANSWER_BUCKETS = (5, 10, 20, 30, 60, 120, 300, 900, 3600, 21600, 86400)
_ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


OF_NUMBERS = (
    *("_messages", "turns", "takeovers", "fallbacks", "tokens", "cost", "brakes", "chat_crashes"),
    *("gateway_messages", "gateway_cost"),
    *("send_failures", "channel_state_changes", "budget_used_ratio", "oldest_unanswered"),
    *("oldest_waiting", "chats_waiting_for_person", "outbox_rows", "_channel_state"),
    *("queue_messages", "dead_letters", "enquiries"),
    "enquiry_topics",
)
"""The attributes that count for each number apart, where there are several."""

WITHOUT_LABELS = (
    *("takeovers", "fallbacks", "cost", "gateway_cost", "chat_crashes", "oldest_unanswered"),
    *("channel_state_changes", "chats_waiting_for_person", "dead_letters"),
)
"""Those of them that have no other label."""


class OfNumber:
    """A counter or gauge as one of several numbers uses it."""

    def __init__(self, metric: Counter | PlainCounter | Gauge, number: str) -> None:
        self._metric = metric
        self._number = number

    def labels(self, *values: str) -> Any:
        """The series of the number with these values of the other labels."""
        return self._metric.labels(*values, self._number)

    def inc(self, amount: float = 1) -> None:
        """Count for the number."""
        self.labels().inc(amount)

    def set_function(self, read: Callable[[], float]) -> None:
        """Read the gauge of the number from a callback at each scrape."""
        self.labels().set_function(read)


Counted = Counter | OfNumber
Read = Gauge | OfNumber


class Metrics:
    """All metrics; attributes are named like the series, without prefix and unit."""

    def __init__(self, *, version: str, by_number: bool = False) -> None:
        """``by_number``: what is about a number's chats has the label ``number``."""
        self._labels = ("number",) if by_number else ()
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._make_counters()
        self._make_channel_counters()
        self._make_histograms()
        self._make_gauges(version)
        self.vitals = Vitals(self.registry)
        self.node = NodeMetrics(self.registry)
        self.queue_messages: Read = self._numbered_gauge(
            "queue_messages", "Customers' messages without an outcome, by state", "state"
        )
        self.dead_letters: Read = self._numbered_gauge(
            "dead_letters", "Messages given up, and not put back in"
        )
        if not by_number:
            self.show_all()

    def of_number(self, name: str) -> "Metrics":
        """The same metrics as a number uses them: what counts by number has its label."""
        if not self._labels:
            return self
        mine = copy(self)
        for attribute in OF_NUMBERS:
            setattr(mine, attribute, OfNumber(getattr(self, attribute), name))
        mine.show_all()
        for attribute in WITHOUT_LABELS:
            getattr(mine, attribute).labels()
        return mine

    def show_all(self) -> None:
        """Show the series of known labels from the start, at 0."""
        for metric, values in (
            (self._messages, MESSAGE_KINDS if not self._labels else ()),
            (self.turns, TURN_OUTCOMES),
            (self.enquiries, SETTLED),
            (self.enquiry_topics, (OTHER,)),
            (self.tokens, ("input", "cached", "output", "reasoning")),
            (self.brakes, BRAKES),
            (self.send_failures, ("sent_again", "given_up")),
            (self.gateway_messages, (FREE, *CATEGORIES)),
        ):
            for value in values:
                metric.labels(value)
        for gauge, values in (
            (self.budget_used_ratio, ("tokens", "cost")),
            (self.oldest_waiting, OWED_BY),
            (self.outbox_rows, OUTBOX_STATES),
            (self.queue_messages, QUEUE_STATES),
        ):
            for value in values:
                gauge.labels(value)
        self.set_channel_state("unknown")

    def _make_counters(self) -> None:
        self.webhooks = self._plain_counter("webhooks", "Webhook calls by result", "result")
        self.secrets_refused = self._counter(
            "secrets_refused", "Requests with a wrong secret or token, by where", "where"
        )
        self._messages: PlainCounter | OfNumber = self._plain_counter(
            "messages", "Inbound messages stored, by kind", "kind", *self._labels
        )
        self.duplicates = self._counter("duplicates", "Messages that had been stored before")
        self.enquiries: Counted = self._numbered_counter(
            "enquiries", "Enquiries of customers that are over, by outcome", "outcome"
        )
        self.enquiry_topics: Counted = self._numbered_counter(
            "enquiry_topics", "Enquiries whose topic is known, by topic", "topic"
        )
        self.turns: Counted = self._numbered_counter("turns", "Turns ended, by outcome", "outcome")
        self.fallbacks: Counted = self._numbered_counter(
            "fallbacks", "Built-in texts sent in place of an answer"
        )
        self.tokens: Counted = self._numbered_counter(
            "tokens", "Tokens the model reported, by kind", "kind"
        )
        self.cost: Counted = self._numbered_counter(
            "cost", "What the model cost, in the configured currency"
        )
        self.voice_replies = self._counter(
            "voice_replies", "Answers to voice notes, by what they came to", "result"
        )
        self.brakes: Counted = self._numbered_counter(
            "brakes", "Turns and chats held back, by reason", "reason"
        )
        self.recoveries = self._counter(
            "recoveries", "Work of an earlier process taken up again, by how", "how"
        )
        self.takeovers: Counted = self._numbered_counter(
            "takeovers", "Messages of agents that paused a chat, and takeovers by hand"
        )
        self.reloads = self._counter("reloads", "Reloads of the configuration", "result")
        self.chat_crashes: Counted = self._numbered_counter(
            "chat_crashes", "Chat tasks that ended by a fault"
        )
        self.unexpected_errors = self._counter(
            "unexpected_errors", "Unexpected exceptions, by where they ended", "where"
        )
        self._upstream = self._plain_counter(
            *("upstream_requests", "Requests to other services, by outcome"),
            *("service", "operation", "outcome"),
        )
        self._validations = self._counter(
            "validations", "Verdicts of validators on answers", "validator", "verdict"
        )
        self._validation_series: dict[tuple[str, str], Counter] = {}
        self.expect_validators(BUILT_IN)
        self.notifications = self._counter(
            "notifications",
            "Attempts to notify people outside of WhatsApp, by result",
            "result",
        )
        self.webhook_deliveries = self._counter(
            *("webhook_deliveries", "Tries at delivering outgoing webhooks, by result"),
            *("endpoint", "result"),
        )
        for result in WEBHOOK_RESULTS:
            self.webhooks.labels(result)
        for counter, values in (
            (self.secrets_refused, SECRETS),
            (self.recoveries, RECOVERIES),
            (self.voice_replies, VOICE_REPLIES),
            (self.reloads, RELOADS),
            (self.notifications, NOTIFICATION_RESULTS),
            (self.unexpected_errors, FAULT_PLACES),
        ):
            for value in values:
                counter.labels(value)
        self._upstream_series = {
            series: self._upstream.labels(*series)
            for service, operations in UPSTREAM_OPERATIONS.items()
            for operation in operations
            for series in ((service, operation, outcome) for outcome in UPSTREAM_OUTCOMES)
        }

    def _make_channel_counters(self) -> None:
        self.media = self._counter("media", "Tries to fetch a file that was sent", "result")
        for result in MEDIA_RESULTS:
            self.media.labels(result)
        self.statuses = self._counter("statuses", "Delivery updates of our messages", "status")
        for status in STATUSES:
            self.statuses.labels(status)
        self.send_failures: Counted = self._numbered_counter(
            "send_failures", "Messages that WhatsApp could not deliver, by what follows", "then"
        )
        self.gateway_messages: Counted = self._numbered_counter(
            "gateway_messages",
            "Messages that the gateway bills, by what they are charged as",
            "kind",
        )
        self.gateway_cost: Counted = self._numbered_counter(
            "gateway_cost", "What the gateway's messages cost, in the configured currency"
        )
        self.channel_state_changes: Counted = self._numbered_counter(
            "channel_state_changes", "Changes of the channel's state"
        )

    def _make_histograms(self) -> None:
        self.acknowledgement = self._plain_histogram(
            "acknowledgement_seconds", "From a webhook call's last byte to its 200", _INTAKE_BUCKETS
        )
        self.window = self._histogram(
            "window_seconds", "From a window's first message to its end", _WINDOW_BUCKETS
        )
        self.run = self._histogram("run_seconds", "Runs of the model, tools included", _RUN_BUCKETS)
        self.tool = self._histogram("tool_seconds", "Calls of tools", _CALL_BUCKETS)
        self.send = self._histogram("send_seconds", "Sends, without pacing", _CALL_BUCKETS)
        self.turn = self._histogram(
            "turn_seconds", "From a window's end to the turn's outcome", _RUN_BUCKETS
        )
        self.first_answer = self._histogram(
            "first_answer_seconds",
            "From an enquiry's first message to its first answer",
            _FIRST_ANSWER_BUCKETS,
        )
        self.delivery = self._histogram(
            "delivery_seconds", "From a send to its delivery at the customer", _DELIVERY_BUCKETS
        )
        self.store_commit = self._plain_histogram(
            "store_commit_seconds", "Commits of the store's writer", _INTAKE_BUCKETS
        )
        self.store_batch_rows = self._plain_histogram(
            "store_batch_rows", "Writes that shared one commit", _ROW_BUCKETS
        )

    def _make_gauges(self, version: str) -> None:
        self.active_chats = self._gauge("active_chats", "Chats with a task")
        self.active_windows = self._gauge("active_windows", "Windows open now")
        self.active_runs = self._gauge("active_runs", "Runs of the model under way")
        self.last_run_tokens = self._gauge(
            "last_run_tokens", "Tokens of the last run of the model that gave an answer"
        )
        self.last_run_latency = self._gauge(
            "last_run_latency_seconds", "How long that run took, its tools included"
        )
        self.budget_used_ratio: Read = self._numbered_gauge(
            "budget_used_ratio", "Part of the day's total budget that is used, by limit", "limit"
        )
        self.oldest_unanswered: Read = self._numbered_gauge(
            "oldest_unanswered_timestamp_seconds",
            "When the oldest message without an outcome was stored, Unix time; 0 if there is none",
        )
        self.oldest_waiting: Read = self._numbered_gauge(
            "oldest_waiting_timestamp_seconds",
            "Since when the longest-waiting customer waits for whom, Unix time; 0 if nobody does",
            "owed_by",
        )
        self.chats_waiting_for_person: Read = self._numbered_gauge(
            "waiting_for_person_chats", "Chats in which a customer waits for a person"
        )
        self.outbox_rows: Read = self._numbered_gauge(
            "outbox_rows", "Outbox rows that are not settled, by state", "state"
        )
        self._channel_state: Read = self._numbered_gauge(
            "channel_state", "1 for the state that the channel is in", "state"
        )
        self._webhooks_pending = self._gauge(
            "webhooks_pending", "Outgoing webhooks that wait", "endpoint"
        )
        self._webhooks_oldest = self._gauge(
            "webhooks_oldest_timestamp_seconds",
            "When the oldest outgoing webhook that waits was stored, Unix time; 0 if none does",
            "endpoint",
        )
        self._webhooks_dead = self._gauge(
            "webhooks_dead", "Outgoing webhooks that were given up", "endpoint"
        )
        build = Gauge(
            *("recado_build_info", "The version that runs", ("version",)), registry=self.registry
        )
        build.labels(version).set(1)

    def count_message(self, kind: str) -> None:
        """Count a stored message by its type; a type that is not listed counts as "other"."""
        self._messages.labels(kind if kind in _COUNTED_KINDS else "other").inc()

    def set_channel_state(self, state: str) -> None:
        """Set the channel's state, one of `CHANNEL_STATES`."""
        for each in CHANNEL_STATES:
            self._channel_state.labels(each).set(each == state)

    def expect_validators(self, names: Iterable[str]) -> None:
        """Show the series of these validators from the start."""
        for name in names:
            for verdict in VALIDATION_VERDICTS:
                series = self._validations.labels(name, verdict)
                self._validation_series[name, verdict] = series

    def expect_endpoints(self, names: Iterable[str]) -> None:
        """Show the series of these endpoints of outgoing webhooks from the start."""
        for name in names:
            for result in WEBHOOK_DELIVERY_RESULTS:
                self.webhook_deliveries.labels(name, result)
            self.webhooks_waiting(name, EndpointCounts())

    def webhooks_waiting(self, name: str, counts: EndpointCounts) -> None:
        """Show what waits for an endpoint, and what was given up."""
        self._webhooks_pending.labels(name).set(counts.pending)
        self._webhooks_oldest.labels(name).set(counts.oldest_at)
        self._webhooks_dead.labels(name).set(counts.dead)

    def count_validation(self, validator: str, verdict: str) -> None:
        """Count the verdict of a configured validator."""
        self._validation_series[validator, verdict].inc()

    def count_tokens(self, usage: Usage) -> None:
        """Add the tokens of one model call."""
        self.tokens.labels("input").inc(usage.input_tokens)
        self.tokens.labels("cached").inc(usage.cached_tokens)
        self.tokens.labels("output").inc(usage.output_tokens)
        self.tokens.labels("reasoning").inc(usage.reasoning_tokens)

    def note_run(self, usage: Usage, seconds: float) -> None:
        """Set the tokens and the time of the last run that gave an answer."""
        self.last_run_tokens.set(usage.input_tokens + usage.output_tokens)
        self.last_run_latency.set(seconds)

    def count_upstream(self, service: str, operation: str, outcome: str) -> None:
        """Count a request to a gateway or the ``model``; an operation not listed counts as "other".

        Raises ValueError for another service or outcome.
        """
        if service not in UPSTREAM_OPERATIONS or outcome not in UPSTREAM_OUTCOMES:
            raise ValueError(f"no such service or outcome: {service}, {outcome}")
        known = operation if operation in UPSTREAM_OPERATIONS[service] else "other"
        self._upstream_series[service, known, outcome].inc()

    def read_active(
        self,
        *,
        chats: Callable[[], float],
        windows: Callable[[], float],
        runs: Callable[[], float],
    ) -> None:
        """Read these gauges from callbacks at each scrape; the callbacks return at once."""
        self.active_chats.set_function(chats)
        self.active_windows.set_function(windows)
        self.active_runs.set_function(runs)

    def read_backlog(
        self,
        *,
        oldest_unanswered: Callable[[], float],
        oldest_waiting: Callable[[str], float],
        chats_waiting_for_person: Callable[[], float],
        outbox_rows: Callable[[str], float],
        queue: Callable[[str], float],
        dead_letters: Callable[[], float],
    ) -> None:
        """Read these gauges from callbacks at each scrape.

        ``oldest_waiting`` is given one of `OWED_BY`, ``outbox_rows`` and ``queue`` the state.
        """
        self.oldest_unanswered.set_function(oldest_unanswered)
        self.chats_waiting_for_person.set_function(chats_waiting_for_person)
        for whom in OWED_BY:
            self.oldest_waiting.labels(whom).set_function(partial(oldest_waiting, whom))
        for state in OUTBOX_STATES:
            self.outbox_rows.labels(state).set_function(partial(outbox_rows, state))
        for state in QUEUE_STATES:
            self.queue_messages.labels(state).set_function(partial(queue, state))
        self.dead_letters.set_function(dead_letters)

    def render(self, accept_header: str) -> tuple[bytes, str]:
        """Write all metrics: the body and its content type.

        Prometheus text, or OpenMetrics if ``accept_header`` asks for it.
        """
        encode, content_type = choose_encoder(accept_header)
        return encode(self.registry), content_type

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"recado_{name}", meaning, labels, registry=self.registry)

    def _numbered_counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return self._counter(name, meaning, *labels, *self._labels)

    def _numbered_gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        labels = (*labels, *self._labels)
        return Gauge(f"recado_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"recado_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"recado_{name}", meaning, buckets=buckets, registry=self.registry)

    def _plain_counter(self, name: str, meaning: str, *labels: str) -> PlainCounter:
        return PlainCounter(f"recado_{name}", meaning, labels, self.registry)

    def _plain_histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...]
    ) -> PlainHistogram:
        return PlainHistogram(f"recado_{name}", meaning, buckets, self.registry)
