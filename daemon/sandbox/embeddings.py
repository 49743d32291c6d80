"""Vectors without a model: texts are near each other if they share beginnings of words."""

import math
from zlib import crc32

from daemon.domain.knowledge.words import STOP_WORDS, words_of
from daemon.domain.messages import JsonObject
from daemon.sandbox.asgi import Answer, json_answer
from daemon.sandbox.model_wire import ApiRefusal

MODEL = "sandbox-embedding"
DIMENSIONS = 256
MOST_TEXTS = 2048
"""OpenAI's limit of one call."""


def embeddings_answer(body: JsonObject) -> Answer:
    """Answer ``POST /embeddings``, or refuse what the real server refuses."""
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if body.get("model") != MODEL:
        return _refused(404, f"The model `{body.get('model')}` does not exist.")
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        return _refused(400, "'$.input' is invalid.")
    if len(texts) > MOST_TEXTS or not all(texts):
        return _refused(400, "'$.input' is invalid: empty, or too many.")
    rows = [
        {"object": "embedding", "index": place, "embedding": vector_of(text)}
        for place, text in enumerate(texts)
    ]
    return json_answer({"object": "list", "model": MODEL, "data": rows})


def vector_of(text: str) -> list[float]:
    """The vector of a text, of length 1."""
    vector = [0.0] * DIMENSIONS
    for word in words_of(text):
        if word not in STOP_WORDS:
            for end in (3, 4, 5):
                vector[crc32(word[:end].encode()) % DIMENSIONS] += 1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def _refused(status: int, text: str) -> Answer:
    return json_answer(ApiRefusal(status, text).body(), status)
