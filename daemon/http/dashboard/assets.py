"""The assets of pages: style sheets, scripts, icons and the words of both languages.

They are read once and served from memory, also without a sign-in: the login page needs them, and
they hold no secret.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
}
"""Files of other kinds are not served."""

YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    content_type: str
    tag: str


def read_assets() -> dict[str, Asset]:
    """Read every file under ``static/``, by its path there; and the words, as scripts.

    Raises OSError if the installation is broken.
    """
    folder = resources.files(__package__)
    found = dict(_walk(folder / "static", ""))
    for language, words in read_words().items():
        # No module: one that imports by the language would begin after the page was complete.
        script = f"window.words = {json.dumps(words, ensure_ascii=False)};\n"
        found[f"words-{language}.js"] = _asset(script.encode(), TYPES["js"])
    return found


def read_words() -> dict[str, dict[str, str]]:
    """Read ``words/*.json``: for each language, what is shown in place of the English.

    ``en.json`` has the ledger's states that are no plain English, such as ``handed_off``.
    """
    folder = resources.files(__package__) / "words"
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("en", "es")}


def version_of(assets: dict[str, Asset]) -> str:
    """A version of all assets; below its path they never change, so browsers cache them."""
    tags = "".join(f"{name} {assets[name].tag}\n" for name in sorted(assets))
    return hashlib.sha256(tags.encode()).hexdigest()[:12]


def create_assets(assets: dict[str, Asset]) -> Blueprint:
    """Return the routes of the assets: cached below their version, revalidated without it."""
    version = version_of(assets)
    blueprint = Blueprint("dashboard_assets", __name__)

    @blueprint.get("/dashboard/static/<path:name>")
    async def show(name: str) -> ResponseReturnValue:
        lasting = name.startswith(f"{version}/")
        asset = assets.get(name.removeprefix(f"{version}/"))
        if asset is None:
            raise NotFound
        keep = f"public, max-age={YEAR_SECONDS}, immutable" if lasting else "no-cache"
        headers = {"ETag": asset.tag, "Cache-Control": keep}
        if request.headers.get("If-None-Match") == asset.tag:
            # Without bytes as the body Quart uses asyncio.
            return Response(b"", status=304, headers=headers)
        return Response(asset.body, headers=headers, content_type=asset.content_type)

    return blueprint


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _walk(entry, f"{name}/")
        elif content_type := TYPES.get(name.rpartition(".")[2]):
            found.append((name, _asset(entry.read_bytes(), content_type)))
    return found


def _asset(body: bytes, content_type: str) -> Asset:
    return Asset(body, content_type, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
