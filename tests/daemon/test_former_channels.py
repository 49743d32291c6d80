"""A store from before numbers had names, when the daemon starts on it."""

from pathlib import Path

from support.rows import change, select
from support.stage import CHANNEL, LAURA, NUMBER, open_stage

TABLES = ("chats", "messages", "turns", "outbox", "thread_items", "events")


async def test_a_conversation_goes_on_under_the_name_of_its_number(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with open_stage(data_dir) as stage:
        await stage.gateway.customer_says(LAURA, "Me llamo Zoraida")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        await stage.stop()
        for table in TABLES:
            assert change(data_dir, table, {"channel": CHANNEL}, where={"channel": NUMBER})
        await stage.start()
        await stage.gateway.customer_says(LAURA, "¿Cómo me llamo?")
        await stage.gateway.wait_sent(LAURA, 2)
        assert "Zoraida" in str(stage.model.calls[-1].body)
        for table in TABLES:
            assert {number for (number,) in select(data_dir, table, "channel")} == {NUMBER}, table
        (line,) = stage.events("chats of a gateway's id have a number now")
        assert (line["id"], line["number"]) == (CHANNEL, NUMBER)
