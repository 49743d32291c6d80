"""Documents in the ledger: versions, folders, and what is searched."""

import threading
from typing import Any

import pytest

from daemon.domain.knowledge.passages import Passage
from daemon.domain.knowledge.words import asked_terms
from daemon.ledger import knowledge
from daemon.ledger.knowledge import ABANDONED_SECONDS, PASSAGES_A_WRITE, ReadDocument
from daemon.ledger.ledger import Store

NOW = 1_700_000_000.0


def document(path: str, *texts: str, title: str = "Hotel") -> ReadDocument:
    passages = [Passage("", text) for text in texts]
    return ReadDocument(path=path, size=1, modified=1, digest="d", title=title, passages=passages)


async def found(store: Store, question: str, folder: str = "/docs") -> list[str]:
    return [one.text for one in await store.passages.search(folder, question)]


async def test_a_new_version_takes_the_place_of_the_old_one(store: Store) -> None:
    await store.passages.store("/docs", document("a.md", "La piscina abre a las ocho"), now=NOW)
    await store.passages.store("/docs", document("b.md", "El bar abre a las seis"), now=NOW)
    await store.passages.store("/docs", document("a.md", "La piscina abre a las nueve"), now=NOW)
    assert await found(store, "¿a qué hora abren las piscinas?") == [
        "La piscina abre a las nueve",
        "El bar abre a las seis",
    ]
    while await store.passages.sweep(now=NOW):
        pass
    assert [one.path for one in await store.passages.documents("/docs")] == ["a.md", "b.md"]
    assert len(await found(store, "abre")) == 2
    await store.passages.drop("/docs", "b.md")
    assert await found(store, "bar") == []


async def test_folders_do_not_see_each_other(store: Store) -> None:
    await store.passages.store("/docs", document("a.md", "La piscina es grande"), now=NOW)
    await store.passages.store("/shop", document("a.md", "Vendemos una piscina"), now=NOW)
    assert await found(store, "piscina", "/shop") == ["Vendemos una piscina"]
    await store.passages.drop("/shop", "a.md")
    assert await found(store, "piscina") == ["La piscina es grande"]
    assert await found(store, "piscina", "/shop") == []


async def test_what_is_not_complete_is_not_searched_and_goes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between two writes leaves the old version in force."""
    await store.passages.store("/docs", document("a.md", "La piscina abre a las ocho"), now=NOW)

    class Died(Exception):
        pass

    async def die(*_: object) -> None:
        raise Died

    texts = [f"La piscina {number}" for number in range(3 * PASSAGES_A_WRITE)]
    monkeypatch.setattr(store.passages, "_make_current", die)
    with pytest.raises(Died):
        await store.passages.store("/docs", document("a.md", *texts), now=NOW)
    assert await found(store, "piscina") == ["La piscina abre a las ocho"]
    assert not await store.passages.sweep(now=NOW)
    writes = 0
    while await store.passages.sweep(now=NOW + ABANDONED_SECONDS + 1):
        writes += 1
    assert writes == 4
    assert await found(store, "piscina") == ["La piscina abre a las ocho"]


async def test_headings_count_and_marks_of_the_index_mean_nothing(store: Store) -> None:
    passages = [Passage("Mascotas", "Hasta diez kilos"), Passage("Niños", "Hasta cinco años")]
    one = ReadDocument(
        path="a.md", size=1, modified=1, digest="d", title="Reglas", passages=passages
    )
    await store.passages.store("/docs", one, now=NOW)
    assert await found(store, "mascota") == ["Hasta diez kilos"]
    for hostile in ('"', "mascota OR 1=1", "terms: *", "NEAR(a b)", "^mascota -", "", "¿?", "'"):
        await found(store, hostile)
    assert await found(store, '"mascota* AND (') == ["Hasta diez kilos"]


async def test_a_search_leaves_the_event_loop_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stemming, looking up and ranking are the reader threads' work."""
    await store.passages.store("/docs", document("a.md", "La piscina abre a las ocho"), now=NOW)
    threads: list[threading.Thread] = []

    def watched(*arguments: Any, **named: Any) -> Any:
        threads.append(threading.current_thread())
        return asked_terms(*arguments, **named)

    monkeypatch.setattr(knowledge, "asked_terms", watched)
    assert await found(store, "piscina") == ["La piscina abre a las ocho"]
    assert threads != []
    assert threading.current_thread() not in threads
