"""Prints docs/licences.md: what each locked package says of its licence."""

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

LOCK = Path(__file__).with_name("run.lock")

HEAD = """# Licences

Recado itself is under the [MIT licence](../LICENSE). It runs with the packages of
`requirements/run.lock`; the table shows the licences that they declare. Written by `make licences`.

| package | version | licence |
|---|---|---|"""

CLASSIFIER = "License :: "


def locked() -> list[tuple[str, str]]:
    """Name and version of every package of the lock file."""
    return re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)


def licence_of(package: Distribution) -> str:
    """The licence, from the most exact field that a package has."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [
        entry.rpartition(" :: ")[2]
        for entry in metadata.get_all("Classifier") or ()
        if entry.startswith(CLASSIFIER)
    ]
    words = (metadata.get("License") or "").strip()
    if classifiers:
        return ", ".join(classifiers)
    return words.splitlines()[0] if words else "not said"


def page() -> str:
    """The whole page."""
    rows = [
        f"| {name} | {version} | {licence_of(distribution(name))} |" for name, version in locked()
    ]
    return "\n".join([HEAD, *rows])


if __name__ == "__main__":
    print(page())  # noqa: T201 - its output is the page
