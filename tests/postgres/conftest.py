from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from support.place import POSTGRES
from support.postgres_proxy import Proxy, proxy_before


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own for the stage's data directory; what reads rows reads them there."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    return POSTGRES.url(tmp_path / "data")


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    """A proxy before the server of this test's database."""
    with proxy_before(Path(str(conninfo_to_dict(url)["host"]))) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, url: str) -> str:
    """The address of the database behind the proxy."""
    return url.replace(str(conninfo_to_dict(url)["host"]), str(proxy.folder))
