"""The metrics of process, machine and store; `daemon.observability.metrics` has the others."""

from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from daemon.domain.states import WITH_AGENT

QUEUE_STATES = ("received", "in_turn", WITH_AGENT)
"""States of customers' messages without an outcome."""

BREAKERS = ("model", "channel")
"""The services with a circuit breaker: the model server, and our number, whose sends then wait."""

PROCESS_ENDS = ("clean", "forced", "crashed")
"""As in `daemon.ledger.process_records`."""

_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Vitals:
    """Metrics that are set or read periodically; attributes are named like the series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        self.breaker_open = gauge(
            *("recado_breaker_open", "1 while this other side is left alone", ("server",))
        )
        self.store_bytes = gauge("recado_store_bytes", "Size of the store's file")
        self.store_wal_bytes = gauge(
            "recado_store_wal_bytes", "Size of the store's write-ahead log"
        )
        self.free_disk_bytes = gauge("recado_free_disk_bytes", "Room on the store's disk")
        self.gateway_clock = gauge(
            "recado_gateway_clock_seconds", "By how much the gateway's clock is ahead; 0: in step"
        )
        self.memory_limit_ratio = gauge(
            "recado_memory_limit_ratio",
            "Memory of the service as a share of its limit (systemd, container); 0: no limit",
        )
        self.event_loop_lag = Histogram(
            *("recado_event_loop_lag_seconds", "How late the event loop is, measured each second"),
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.event_loop_lag_max = gauge(
            "recado_event_loop_lag_max_seconds", "The largest lag of the last minute"
        )
        self.ready = gauge("recado_ready", "1 while webhooks are taken, as /ready says")
        self.websocket_clients = gauge(
            "recado_websocket_clients", "Browsers that follow the live log"
        )
        self.last_stop = gauge(
            "recado_last_stop_seconds",
            "How long the last process took to stop; 0 if it did not do so cleanly",
        )
        self.process_ends = Counter(
            *("recado_process_ends", "Ends of earlier processes, since the store was made"),
            ("how",),
            registry=registry,
        )
        for server in BREAKERS:
            self.breaker_open.labels(server)
        for how in PROCESS_ENDS:
            self.process_ends.labels(how)

    def read_state(
        self,
        *,
        ready: Callable[[], bool],
        breakers: Mapping[str, Callable[[], bool]],
        clients: Callable[[], float],
    ) -> None:
        """Read these gauges from callbacks at each scrape; ``breakers`` by `BREAKERS`."""
        self.ready.set_function(ready)
        for server, is_open in breakers.items():
            self.breaker_open.labels(server).set_function(is_open)
        self.websocket_clients.set_function(clients)

    def count_earlier_ends(self, ends: Mapping[str, int], last_stop_seconds: float) -> None:
        """Add the ends of earlier processes from the store. Called once, at the start."""
        for how, count in ends.items():
            self.process_ends.labels(how).inc(count)
        self.last_stop.set(last_stop_seconds)
