"""The daemon as a separate process, between simulators in the test's process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import trio

from daemon.sandbox.start import TOKEN
from support.gateway import ScriptedGateway
from support.model import ScriptedModel
from support.place import variables_of_daemon
from support.plain import NO_TLS
from support.simulators import Simulators, simulators
from support.stage import outside_world

ROOT = Path(__file__).parents[2]

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {ours}
}}
"""
"""A whole configuration of nginx around one of ours, with its files in a folder."""
RUN = ("-m", "daemon", "run")

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""The part of systemd that a socket-activated service sees."""

PATIENT = (
    "-c",
    """
import sys
from daemon.__main__ import main
from daemon.http.front import Front

Front.__init__.__kwdefaults__["patience_seconds"] = 120.0
sys.argv = ["recado", "run"]
main()
""",
)
"""The daemon, whose calls wait for the end of its start also on a machine that is busy."""


class DaemonProcess:
    """One process of the daemon, and everything it has written to stderr."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.text = ""
        self._changed = trio.Event()
        self._read = trio.Event()

    async def read(self) -> None:
        """Collect stderr. Ends when all processes with its stderr have ended."""
        assert self.process.stderr is not None
        rest = b""
        async with self.process.stderr:
            async for part in self.process.stderr:
                *lines, rest = (rest + part).split(b"\n")
                self.text += "".join(f"{line.decode(errors='replace')}\n" for line in lines)
                self._tell()
        self.text += rest.decode(errors="replace")
        self._tell()
        self._read.set()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_event(self, words: str) -> dict[str, Any]:
        """Wait for the log line with these words as its event."""
        while True:
            for line in self.text.splitlines():
                if line.startswith("{") and json.loads(line)["event"] == words:
                    found: dict[str, Any] = json.loads(line)
                    return found
            # Its output may end just before its status is known.
            assert not self._read.is_set(), self.text
            assert self.process.returncode is None, self.text
            await self._changed.wait()

    def terminate(self) -> None:
        """Send SIGTERM to this process."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for the end, and for its last words; gives the exit status, negative for a signal.

        A child of it that lives on keeps stderr open.
        """
        status = await self.process.wait()
        with trio.move_on_after(10):
            await self._read.wait()
        return status

    async def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal and wait for the end; gives the exit status and the seconds it took."""
        started = trio.current_time()
        self.process.send_signal(number)
        return await self.ended(), trio.current_time() - started


class Site:
    """One store and two simulators that outlive any process of the daemon."""

    def __init__(self, folder: Path, outside: Simulators, nursery: trio.Nursery) -> None:
        self.data_dir = folder / "data"
        self.gateway: ScriptedGateway = outside.gateway
        self.gateway.postbox.backoff_seconds = 0.05
        self.model: ScriptedModel = outside.model
        self.processes: list[DaemonProcess] = []
        self.environ = _environ(folder, outside)
        self._folder = folder
        self.nursery = nursery

    async def launch(
        self,
        *arguments: str,
        pass_fds: Sequence[int] = (),
        program: str = sys.executable,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> DaemonProcess:
        """Start a process, by default ``python -m daemon run``, with further variables."""
        process = DaemonProcess(
            await trio.lowlevel.open_process(
                [program, *(arguments or RUN)],
                cwd=self._folder,
                env={**self.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=pass_fds,
            )
        )
        self.processes.append(process)
        self.nursery.start_soon(process.read, name="stderr of the daemon")
        return process

    async def start(self, **variables: str) -> DaemonProcess:
        """Start the daemon and wait until it is ready; webhooks go to it from now on."""
        process = await self.launch(variables=variables)
        await self.opened(process)
        return process

    async def opened(self, process: DaemonProcess) -> str:
        """Wait until a daemon is ready and send webhooks there; gives its URL."""
        url = str((await process.wait_event("ready"))["address"])
        self.gateway.set_webhook(f"{url}/hook")
        return url

    async def say(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Run a command of the daemon to its end; gives exit status, stdout and stderr."""
        done = await trio.run_process(
            [sys.executable, "-m", "daemon", *arguments],
            cwd=self._folder,
            env={**self.environ, **variables},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def received(self, chat: str) -> list[str]:
        """The texts that a customer received, in order."""
        return [message.text for message in self.gateway.sent(chat)]


def _environ(folder: Path, outside: Simulators) -> dict[str, str]:
    instructions = folder / "instructions.md"
    instructions.write_text("You answer for a small hotel.")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "RECADO_DATA_DIR": str(folder / "data"),
        **variables_of_daemon(folder / "data"),
        "WHAPI_TOKEN": TOKEN,
        "WHAPI_API_URL": outside.gateway_url,
        "OPENAI_API_KEY": TOKEN,
        "OPENAI_BASE_URL": f"{outside.model_url}/v1",
        "RECADO_ASSISTANT__BACKGROUND": "true",
        "RECADO_ASSISTANT__INSTRUCTIONS_FILE": str(instructions),
        "RECADO_BUFFER__WINDOW_SECONDS": "0.1",
        "RECADO_BUFFER__IDLE_SECONDS": "0.1",
        "RECADO_BRAKES__TURNS_PER_MINUTE": "0",
        "RECADO_BRAKES__LOOP_ANSWERS": "0",
        "RECADO_BRAKES__REPEATS": "0",
        "RECADO_DELIVERY__TYPING": "false",
        "RECADO_RECOVERY__DELAY_SECONDS": "0.05",
        "RECADO_WEB__PORT": "0",
    }


@asynccontextmanager
async def open_site(folder: Path, *, seconds: float = 300) -> AsyncIterator[Site]:
    """Both simulators; processes that still run at the end are killed, one by one."""
    processes: list[DaemonProcess] = []
    try:
        with trio.fail_after(seconds):
            async with simulators(outside_world()) as outside, trio.open_nursery() as nursery:
                site = Site(folder, outside, nursery)
                processes = site.processes
                try:
                    yield site
                finally:
                    with trio.move_on_after(5, shield=True):
                        for process in site.processes:
                            process.process.kill()
                            await process.ended()
                    nursery.cancel_scope.cancel()
    except trio.TooSlowError as error:
        for process in processes:
            error.add_note(f"the end of what a process has said:\n{process.text[-4000:]}")
        raise


async def until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    """Poll a condition in another process, of which no event informs us."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await trio.sleep(0.02)


async def get_when_open(url: str, *, seconds: float = 90) -> httpx.Response:
    """Get a page as soon as its server listens."""
    with trio.fail_after(seconds):
        async with httpx.AsyncClient(verify=NO_TLS, timeout=60, trust_env=False) as client:
            while True:
                try:
                    return await client.get(url)
                except httpx.ConnectError:
                    await trio.sleep(0.02)


async def health_when_known(url: str) -> Mapping[str, Any]:
    """Return ``/health`` once the start has ended.

    A start that fails closes its port before the minimal server opens it again; a connection made
    just then is reset.
    """
    while True:
        try:
            answer = await get_when_open(f"{url}/health")
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            continue
        assert answer.status_code == 200
        if body_of(answer)["status"] != "starting":
            return body_of(answer)
        await trio.sleep(0.02)  # no event informs of it


def body_of(response: httpx.Response) -> Mapping[str, Any]:
    """The JSON object of an answer."""
    found: Mapping[str, Any] = response.json()
    return found
