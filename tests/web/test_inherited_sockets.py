"""Sockets that the service manager hands over."""

import os
import socket
from collections.abc import Iterator

import pytest

from daemon.errors import SettingsError
from daemon.system import systemd
from daemon.system.systemd import inherited_descriptors, inherited_listeners

PID = 4242
OURS = {"LISTEN_PID": "4242"}


@pytest.mark.parametrize(
    ("environ", "descriptors"),
    [
        ({}, []),
        ({"LISTEN_FDS": "1"}, []),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, []),
        (OURS, []),
        (OURS | {"LISTEN_FDS": "0"}, []),
        (OURS | {"LISTEN_FDS": "1"}, [3]),
        (OURS | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:admin"}, [3, 4]),
    ],
)
def test_descriptors_are_counted_from_three(
    environ: dict[str, str], descriptors: list[int]
) -> None:
    assert inherited_descriptors(environ, PID) == descriptors


@pytest.mark.parametrize(
    "environ",
    [
        {"LISTEN_PID": "me", "LISTEN_FDS": "1"},
        OURS | {"LISTEN_FDS": "-1"},
        OURS | {"LISTEN_FDS": "²"},
        OURS | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "http"},
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^LISTEN_"):
        inherited_descriptors(environ, PID)


@pytest.fixture
def descriptor(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An inheritable listening socket, where the first handed-over one is expected."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", listening.fileno())
        yield listening.fileno()


def test_no_child_process_gets_the_sockets(descriptor: int) -> None:
    assert inherited_listeners(OURS | {"LISTEN_FDS": "1"}, PID) == [f"fd://{descriptor}"]
    assert os.get_inheritable(descriptor) is False


def test_a_socket_that_is_not_open_is_refused() -> None:
    with pytest.raises(SettingsError, match="Bad file descriptor"):
        inherited_listeners(OURS | {"LISTEN_FDS": "100000"}, PID)
