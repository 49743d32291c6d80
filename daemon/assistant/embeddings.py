"""Vectors of texts: ``POST {base_url}/embeddings`` as OpenAI defines it and many servers do too."""

from collections.abc import Sequence

import trio

from daemon.assistant.port import LazyConnection
from daemon.errors import ModelTemporary

TEXTS_A_CALL = 32
"""In one call; OpenAI takes 2,048, small servers far fewer."""


class Embedder:
    """One embedding model. Any task may use it; nothing is retried here."""

    def __init__(self, connection: LazyConnection, *, model: str) -> None:
        self.model = model
        self._connection = connection

    async def embed(self, texts: Sequence[str], *, timeout_seconds: float) -> list[list[float]]:
        """The vector of each text, at most `TEXTS_A_CALL`. Raises AssistantError."""
        with trio.move_on_after(timeout_seconds):
            connection = await self._connection.get()
            body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
            return _vectors(await connection.call("POST", "/embeddings", body), len(texts))
        raise ModelTemporary("the embedding server did not answer in time")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()


def _vectors(answer: dict[str, object], wanted: int) -> list[list[float]]:
    rows = answer.get("data")
    found: dict[int, list[float]] = {}
    for row in rows if isinstance(rows, list) else ():
        vector = row.get("embedding") if isinstance(row, dict) else None
        if isinstance(vector, list) and vector:
            found[int(row.get("index", len(found)))] = vector
    lengths = {len(vector) for vector in found.values()}
    if sorted(found) != list(range(wanted)) or len(lengths) != 1:
        raise ModelTemporary("the embedding server did not send a vector for each text")
    return [found[place] for place in range(wanted)]
