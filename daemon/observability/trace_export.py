"""Whether traces go to a collector; `daemon.observability.otlp` sends them."""

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from daemon import __version__
from daemon.errors import SettingsError
from daemon.observability.tracing import Trace
from daemon.settings import Settings


@asynccontextmanager
async def open_trace_export(
    settings: Settings,
) -> AsyncIterator[Callable[[Trace], None] | None]:
    """Open the export of traces to a collector; None if there is none.

    Raises SettingsError if one is configured and the packages for it are not installed.
    """
    tracing = settings.tracing
    if not tracing.otlp_endpoint:
        yield None
        return
    try:
        # Loaded only when wanted: it costs memory, a thread and a good part of a second.
        module = importlib.import_module("daemon.observability.otlp")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("daemon"):
            raise
        raise SettingsError(
            [f"tracing.otlp_endpoint: needs the extra recado[otlp] ({error.name} is missing)"]
        ) from error
    token = tracing.otlp_token.get_secret_value() if tracing.otlp_token else ""
    async with module.open_trace_exporter(
        endpoint=tracing.otlp_endpoint, token=token, version=__version__
    ) as export:
        yield export
