"""The models that a server offers, and what is to be said of those in the configuration."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from daemon.assistant.engine import Engine
from daemon.errors import AssistantError
from daemon.observe.logs import Log

WARN_DAYS = 90
"""A model that is shut down within so many days is worth an error of the check."""


def read_models(body: Mapping[str, Any]) -> dict[str, str]:
    """Read ``GET /models``: the shutdown date (YYYY-MM-DD or empty) by the model's name."""
    return {
        str(model["id"]): str(model.get("shutdown_date") or "")
        for model in body.get("data") or ()
        if isinstance(model, Mapping) and model.get("id")
    }


def model_findings(
    names: Sequence[str], listed: Mapping[str, str], *, today: date
) -> list[tuple[str, bool]]:
    """Say what is wrong with configured names: a sentence each, and whether it is urgent."""
    findings: list[tuple[str, bool]] = []
    for name in dict.fromkeys(names):
        if name not in listed:
            findings.append((f"the model server does not list {name}", True))
            continue
        try:
            end = date.fromisoformat(listed[name])
        except ValueError:
            continue
        if end <= today:
            findings.append((f"{name} was shut down on {end}", True))
        else:
            urgent = end - today <= timedelta(days=WARN_DAYS)
            findings.append((f"{name} will be shut down on {end}", urgent))
    return findings


async def report_models(
    engine: Engine, names: Sequence[str], log: Log, now: Callable[[], float]
) -> None:
    """Look the configured models up and log one line. Ends by itself; a side task of the start."""
    try:
        listed = await engine.list_models()
    except AssistantError as error:
        log.warning("models could not be checked", reason=str(error))
        return
    today = datetime.fromtimestamp(now(), UTC).date()
    findings = [sentence for sentence, _ in model_findings(names, listed, today=today)]
    if findings:
        log.warning("models want attention", symbol="⏳", models="; ".join(findings))
    else:
        log.info("models are listed", models=", ".join(names))
