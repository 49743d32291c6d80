"""Network namespaces for nodes: a bridge, and a cable to each that can be pulled.

As root only; what is sent over a pulled cable is lost, and nobody is told.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

IP = "/usr/sbin/ip"


def _ip(*arguments: str) -> None:
    subprocess.run([IP, *arguments], check=True, capture_output=True)


def why_no_network() -> str:
    """Why namespaces cannot be made here; empty if they can."""
    if not Path(IP).exists():
        return "iproute2 is not installed"
    tried = subprocess.run([IP, "netns", "add", "recado-try"], check=False, capture_output=True)
    if tried.returncode:
        return "network namespaces are not permitted here"
    _ip("netns", "delete", "recado-try")
    return ""


class Network:
    """The namespaces of some nodes, and this machine at `host`."""

    def __init__(self, names: Sequence[str]) -> None:
        own = os.getpid() % 250
        self._own = f"r{os.getpid()}"
        self._cables = {name: f"{self._own}-{place}" for place, name in enumerate(names)}
        self.host = f"10.77.{own}.1"
        self.addresses = f"10.77.{own}.0/24"

    def inside(self, name: str) -> tuple[str, ...]:
        """What a command begins with to run inside of a namespace."""
        return (IP, "netns", "exec", f"{self._own}{name}")

    def pull(self, name: str) -> None:
        """Cut a node off."""
        _ip("link", "set", self._cables[name], "down")

    def plug_in(self, name: str) -> None:
        """Let it speak with the others again."""
        _ip("link", "set", self._cables[name], "up")

    def open(self, stack: ExitStack) -> None:
        """Make all; ``stack`` removes it."""
        bridge = f"{self._own}-b"
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "delete", bridge)
        _ip("address", "add", f"{self.host}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for place, (name, cable) in enumerate(self._cables.items(), start=10):
            space = f"{self._own}{name}"
            _ip("netns", "add", space)
            stack.callback(_ip, "netns", "delete", space)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "out", "netns", space)
            _ip("link", "set", cable, "master", bridge, "up")
            address = f"{self.host.rpartition('.')[0]}.{place}/24"
            _ip("-n", space, "address", "add", address, "dev", "out")
            _ip("-n", space, "link", "set", "out", "up")
            _ip("-n", space, "link", "set", "lo", "up")


@contextmanager
def open_network(names: Sequence[str]) -> Iterator[Network]:
    """Namespaces for these nodes, for the length of the block."""
    with ExitStack() as stack:
        network = Network(names)
        network.open(stack)
        yield network
