"""The times that answers of HTTP hold."""

import pytest

from daemon.http.server import DatedConfig
from daemon.observability.lines import iso_utc


def test_the_date_of_answers_goes_on_with_the_clock() -> None:
    clock = [784111777.0]
    config = DatedConfig(lambda: clock[0])
    assert config.response_headers("h11") == [(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")]
    clock[0] += 0.9
    assert config.response_headers("h11") == [(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")]
    clock[0] += 0.1
    assert config.response_headers("h11") == [(b"date", b"Sun, 06 Nov 1994 08:49:38 GMT")]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1785085424.123, "2026-07-26T17:03:44.123Z"),
        (1785085424.9999999, "2026-07-26T17:03:45.000Z"),
        (1785085424.0009, "2026-07-26T17:03:44.000Z"),
        (-0.5, "1969-12-31T23:59:59.500Z"),
    ],
)
def test_times_are_written_as_javascript_does(seconds: float, written: str) -> None:
    assert iso_utc(seconds) == written
