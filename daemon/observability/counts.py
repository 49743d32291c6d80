"""The metrics that the dashboard keeps, as one value; and the counter of unexpected errors."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from prometheus_client.samples import Sample

from daemon.errors import SettingsError, StoreDamaged
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.lines import LogRecord
from daemon.observability.logs import Log
from daemon.observability.metrics import FAULT_PLACES, Metrics

_SERIES = (
    "recado_messages_total",
    "recado_turns_total",
    "recado_takeovers_total",
    "recado_tokens_total",
    "recado_cost_total",
    "recado_acknowledgement_seconds_bucket",
    "recado_turn_seconds_bucket",
    "process_resident_memory_bytes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts since the process started."""

    messages: int
    answers: int
    takeovers: int
    dead: int
    tokens: int
    cost: float
    memory_bytes: int
    acknowledgement: tuple[int, ...]
    """The count of each bucket alone; the last has no upper end."""
    turn: tuple[int, ...]


def read_counts(metrics: Metrics) -> Counts:
    """Read the figures as they are now; takes about a millisecond."""
    found = _samples(metrics)
    return Counts(
        messages=int(_sum(found, "recado_messages_total")),
        answers=int(_sum(found, "recado_turns_total", outcome=("answered",))),
        takeovers=int(_sum(found, "recado_takeovers_total")),
        dead=int(_sum(found, "recado_turns_total", outcome=("dead",))),
        tokens=int(_sum(found, "recado_tokens_total", kind=("input", "output"))),
        cost=_sum(found, "recado_cost_total"),
        memory_bytes=int(_sum(found, "process_resident_memory_bytes")),
        acknowledgement=_alone(found, "recado_acknowledgement_seconds"),
        turn=_alone(found, "recado_turn_seconds"),
    )


def bucket_ends(metrics: Metrics) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The upper ends of the buckets of acknowledgements and of turns, in seconds."""
    found = _samples(metrics)
    return _ends(found, "recado_acknowledgement_seconds"), _ends(found, "recado_turn_seconds")


def _samples(metrics: Metrics) -> list[Sample]:
    chosen = metrics.registry.restricted_registry(_SERIES)
    return [sample for metric in chosen.collect() for sample in metric.samples]


def _ends(found: list[Sample], name: str) -> tuple[float, ...]:
    return tuple(end for end, _ in _buckets(found, name))[:-1]


def _sum(found: list[Sample], name: str, **labels: tuple[str, ...]) -> float:
    return sum(
        sample.value
        for sample in found
        if sample.name == name
        and all(sample.labels[label] in values for label, values in labels.items())
    )


def _buckets(found: list[Sample], name: str) -> Iterator[tuple[float, float]]:
    for sample in found:
        if sample.name == f"{name}_bucket":
            yield float(sample.labels["le"]), sample.value


def _alone(found: list[Sample], name: str) -> tuple[int, ...]:
    """The count of each bucket alone; Prometheus includes the smaller ones."""
    values = [int(value) for _, value in _buckets(found, name)]
    return tuple(value - below for value, below in zip(values, [0, *values[:-1]], strict=True))


def counted_faults(log: Log, metrics: Metrics) -> AbstractContextManager[None]:
    """Count each `UNEXPECTED_ERROR` by its ``where``, also those left out as noise."""

    def count(record: LogRecord) -> None:
        where = str(record.fields.get("where", ""))
        metrics.unexpected_errors.labels(where if where in FAULT_PLACES else "core").inc()

    return log.tapped(count, {UNEXPECTED_ERROR}, repeated=True)


@contextmanager
def core_task(log: Log) -> Iterator[None]:
    """Name the core task whose fault ends the daemon; its traceback follows at the very end."""
    try:
        yield
    except (SettingsError, StoreDamaged):
        raise  # a person has to act; the daemon does not even begin
    except Exception as error:
        log.event(
            UNEXPECTED_ERROR, where="core", what="a core task failed", error=type(error).__name__
        )
        raise
