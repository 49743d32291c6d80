"""The overview: its figures, and the charts that are drawn from them."""

from zoneinfo import ZoneInfo

import httpx
import pytest
import trio
from support.edge import MemoryDaemon, Start
from support.plain import NO_TLS

from daemon.domain.dashboard_values import SECONDS_SHOWN, ComponentState, Sample
from daemon.http.dashboard.overview import HEIGHT, POINTS, draw, parts_of_day, percentile
from daemon.http.dashboard.shell import Wording

NOW = 1_769_860_800.25


async def get(url: str) -> httpx.Response:
    with trio.fail_after(30):
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
            return await client.get(url)


def sample(age: float, messages: int = 1) -> Sample:
    return Sample(
        at=int(NOW - age),
        messages=messages,
        acknowledgement=(messages, 0, 0),
        turn=(0, messages, 0),
    )


async def test_figures_are_json(start_edge: Start, daemon: MemoryDaemon) -> None:
    daemon.watch.samples = (sample(7200, 5), sample(60, 2))
    served = await start_edge()
    figures = (await get(f"{served.url}/dashboard/stats")).json()
    assert [part["name"] for part in figures["parts"]] == ["daemon", "channel", "model", "store"]
    assert (figures["lastHour"]["messages"], figures["lastDay"]["messages"]) == (2, 7)
    assert figures["lastHour"]["acknowledgementP50"] == 0.005
    assert figures["lastHour"]["turnP95"] == pytest.approx(9.55)
    assert figures["now"]["deadLetters"] == 1
    assert figures["today"]["tokens"] == 12_345


async def test_the_page_shows_figures_and_reasons_as_text(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    daemon.watch.samples = (sample(60, 2),)
    daemon.watch.parts = (
        ComponentState(name="channel", state="bad", reason="<script>no</script>"),
    )
    served = await start_edge(language="en")
    page = (await get(f"{served.url}/dashboard")).text
    assert "&lt;script&gt;no&lt;/script&gt;" in page
    assert "<script>no" not in page
    assert 'class="part bad" data-testid="part-channel"' in page
    assert "12,345" in page


@pytest.mark.parametrize("is_priced", [True, False])
async def test_costs_are_shown_only_where_prices_are_configured(
    start_edge: Start, daemon: MemoryDaemon, *, is_priced: bool
) -> None:
    daemon.watch.is_priced = is_priced
    served = await start_edge()
    page = (await get(f"{served.url}/dashboard")).text
    assert ('data-testid="chart-cost"' in page) == is_priced


async def test_a_page_without_figures_is_whole(start_edge: Start) -> None:
    served = await start_edge()
    answer = await get(f"{served.url}/dashboard")
    assert answer.status_code == 200
    assert 'data-testid="chart-messages"' in answer.text


def test_samples_fall_into_the_part_of_the_day_in_which_they_were_taken() -> None:
    parts = parts_of_day([sample(SECONDS_SHOWN + 5), sample(SECONDS_SHOWN - 5), sample(1)], NOW)
    assert [len(part) for part in parts] == [1, *[0] * (POINTS - 2), 1]


def test_a_percentile_is_interpolated_in_its_bucket() -> None:
    ends = (1.0, 2.0, 4.0)
    assert percentile([], ends, 0.5) is None
    assert percentile([(0, 0, 0, 0)], ends, 0.5) is None
    assert percentile([(0, 5, 0, 0), (0, 5, 0, 0)], ends, 0.5) == 1.5
    assert percentile([(1, 0, 0, 9)], ends, 0.99) == 4.0


def test_a_chart_leaves_gaps_open_and_stays_in_its_frame() -> None:
    chart = draw([None, 1.0, 2.0, None, 4.0, 0.0], NOW)
    assert chart.line.count("M") == 2
    assert len(chart.bars) == 3
    assert all(0 <= top <= HEIGHT and top + height == HEIGHT for _, top, height in chart.bars)
    assert draw([None], NOW).line == ""
    assert draw([None, 3.0, None], NOW).line == "M116.4 4.0 h7.2"


def test_numbers_and_times_are_written_as_the_language_does() -> None:
    spanish = {"{span} ago": "hace {span}", "now": "ahora"}
    es = Wording("es", ZoneInfo("America/Bogota"), NOW, spanish)
    en = Wording("en", ZoneInfo("UTC"), NOW, {})
    assert (es.figure(1234567.5, 1), en.figure(1234567.5, 1)) == ("1.234.567,5", "1,234,567.5")
    assert (es.ago(NOW - 7200), en.ago(NOW - 90_000)) == ("hace 2 h", "1 d ago")
    assert (es.ago(NOW - 5), en.ago(NOW + 5)) == ("ahora", "now")
    assert [en.span(s) for s in (0.25, 2.5, 75, 7260, 90_000)] == [
        *("250 ms", "2.5 s", "1 min", "2 h 1 min", "1 d 1 h")
    ]
    assert es.exact(0) == "1969-12-31 19:00:00"
    assert en.iso(NOW) == "2026-01-31T12:00:00Z"
    assert (en.money(0), en.money(0.0012), en.money(12.3)) == ("0.00", "0.0012", "12.30")
