"""What the machine is, and how busy."""

import os
import platform
import sqlite3
import subprocess
import sys
import sysconfig
from pathlib import Path


def busy_seconds() -> float:
    """CPU time that all processors have spent on anything so far (proc_stat(5), first line).

    Stolen time counts: it was not there for us. Guest time is part of user time already.
    """
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(field) for field in Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def describe() -> str:
    """Processor, cores, kernel and the versions that matter, in one line."""
    versions = [
        f"Python {platform.python_version()} ({_build()})",
        f"SQLite {sqlite3.sqlite_version}",
        f"Node {_output('node', '--version')}",
    ]
    return (
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB,"
        f" {platform.system()} {platform.release()}; {', '.join(versions)}"
    )


def _build() -> str:
    """How the interpreter was built: that makes a fifth of the CPU time."""
    if sys.base_prefix == "/usr" and Path("/etc/debian_version").exists():
        # Its rules call ``make profile-opt``, which leaves no trace in the flags.
        return f"{platform.python_compiler()}, Debian's, which is built with PGO"
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
    flags = [name for name in ("--enable-optimizations", "--with-lto") if name in arguments]
    return f"{platform.python_compiler()}, {' '.join(flags) or 'without PGO and LTO'}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not there"
    return done.stdout.strip()
