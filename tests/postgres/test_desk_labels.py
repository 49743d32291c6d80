"""The desk's own labels, changed on one node and used on the others."""

from contextlib import suppress
from pathlib import Path

import pytest
import trio
from postgres.test_nodes import opened
from support.ledgers import OPERATOR, accept, message
from support.place import POSTGRES

from daemon.domain.messages import ChatKey
from daemon.errors import NotOwned
from daemon.ledger.ledger import Store

KEY = ChatKey("eins", "573001234567@s.whatsapp.net")


async def labels(store: Store) -> list[str]:
    chat = await store.views.chat(KEY, {}, now=200)
    assert chat is not None
    return list(chat["labels"])


async def put(name: str, *stores: Store) -> None:
    """Put a label on the chat, by the node that owns its number at the moment."""
    while True:
        for store in stores:
            records = store.of(KEY.number).chat_labels
            with suppress(NotOwned):
                assert (await records.change(KEY, add=[name], remove=[], now=2)).fault == ""
                return
            await trio.sleep(0.05)


async def test_a_label_of_one_node_is_put_on_chats_and_renamed_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever owns the chat's number may write at the same time: no label is lost."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    url = POSTGRES.url(tmp_path)
    with trio.fail_after(90):
        async with opened(tmp_path, url, "a") as a:
            await accept(a, message("m-1", key=KEY))
            async with opened(tmp_path, url, "b") as b:
                for name in ("VIP", "Factura"):
                    assert await b.desk_labels.add(name, "gold", by=OPERATOR, now=1) == ""
                number = {label.name: int(label.id) for label in await a.desk_labels.all()}
                await put("vip", a, b)

                async def rename() -> None:
                    edit = b.desk_labels.edit
                    own = (KEY.number,)
                    await edit(number["VIP"], "Oro", "gold", channels=own, by=OPERATOR, now=3)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(put, "Factura", a, b)
                    nursery.start_soon(rename)
                assert await labels(a) == await labels(b) == ["Oro", "Factura"]
                await b.desk_labels.drop(number["VIP"], channels=("eins",), by=OPERATOR, now=4)
                assert await labels(a) == ["Factura"]
