"""The metrics of a node in a cluster; they are 0 where one process has everything."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

HAND_OVERS = ("gained", "handed_over", "lost")
"""A number came to this node; was handed over to another; was taken by another."""


class NodeMetrics:
    """Metrics of this node; attributes are named like the series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        self.numbers = gauge("recado_node_numbers", "Numbers that this node owns")
        self.leads = gauge("recado_node_leads", "1 while this node does what belongs to no number")
        self.lease = gauge("recado_node_lease_seconds", "What is left of this node's lease")
        self.waiting_calls = gauge(
            "recado_node_waiting_calls",
            "Webhook calls that other nodes have taken for this node's numbers",
        )
        self.hand_overs = Counter(
            *("recado_node_hand_overs", "Numbers that changed hands"), ("how",), registry=registry
        )
        for how in HAND_OVERS:
            self.hand_overs.labels(how)

    def read(
        self,
        *,
        numbers: Callable[[], float],
        leads: Callable[[], bool],
        lease: Callable[[], float],
    ) -> None:
        """Read these gauges from callbacks at each scrape."""
        self.numbers.set_function(numbers)
        self.leads.set_function(leads)
        self.lease.set_function(lambda: max(0.0, lease()))
