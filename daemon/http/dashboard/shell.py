"""Rendering of pages: their frame, language and theme, and how they write numbers and times."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Response, request
from quart.wrappers import Request, Websocket
from werkzeug.exceptions import NotFound

from daemon.domain.accounts import LANGUAGES
from daemon.domain.audit_chain import Actor
from daemon.domain.messages import ChatKey
from daemon.domain.roles import allows
from daemon.http.dashboard.assets import read_words
from daemon.http.dashboard.guard import Guard
from daemon.http.dashboard.routes import may_visit
from daemon.http.request_context import EdgeSettings, request_actor, visitor
from daemon.ops.operations import Operations

MINUTE, HOUR, DAY = 60, 3600, 86400


REASON_SHAPES = (
    (re.compile(r"the model server answered (?P<answer>.+)"), "the model server answered {answer}"),
    (
        re.compile(
            r"\A[A-Z]\w*(?: API)? \w+: (?:status|code) (?P<status>\d+)(?: \((?P<meaning>.+)\))?"
            r"(?: code \d+)?"
        ),
        "WhatsApp did not take it: {status}, {meaning}",
    ),
)
"""Errors of other systems, in words for people."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Words, numbers and times of one page, in one language and time zone."""

    language: str
    zone: ZoneInfo
    now: float
    words: Mapping[str, str]
    """Translations of the English texts; missing entries stay English."""

    def t(self, english: str, **names: object) -> str:
        """Translate a text; ``{name}`` is replaced from `names`."""
        text = self.words.get(english, english)
        return text.format_map(names) if names else text

    def reason(self, text: str) -> str:
        """Translate a reason: of one kind of error, or the part before its first colon if known."""
        for shape, english in REASON_SHAPES:
            if found := shape.fullmatch(text):
                named = found.groupdict(default="")
                return self.t(
                    english, **{name: self.t(part) for name, part in named.items()}
                ).rstrip(", ")
        head, colon, detail = text.partition(": ")
        return f"{self.t(head)}{colon}{detail}"

    def figure(self, value: float, digits: int = 0) -> str:
        """Write a number with the separators of the language."""
        text = f"{value:,.{digits}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "es" else text

    def money(self, value: float) -> str:
        """Write an amount of the configured currency; small ones with more digits."""
        return self.figure(value, 2 if value >= 1 or not value else 4)

    def span(self, seconds: float) -> str:
        """Write a duration in its largest units."""
        if seconds < 1:
            return f"{self.figure(seconds * 1000)} ms"
        if seconds < MINUTE:
            return f"{self.figure(seconds, 1 if seconds < 10 else 0)} s"
        if seconds < HOUR:
            return f"{int(seconds // MINUTE)} min"
        if seconds < DAY:
            return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE)} min"
        return f"{int(seconds // DAY)} d {int(seconds % DAY // HOUR)} h"

    def ago(self, at: float) -> str:
        """Write how long ago a moment was: ``5 min ago``, ``hace 5 min``."""
        passed = self.now - at
        if passed < MINUTE:
            return self.t("now")
        units = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"))
        size, unit = next(pair for pair in units if passed >= pair[0])
        return self.t("{span} ago", span=f"{int(passed // size)} {unit}")

    def exact(self, at: float) -> str:
        """Write a moment in full, in the configured time zone."""
        return f"{datetime.fromtimestamp(at, self.zone):%Y-%m-%d %H:%M:%S}"

    def moment(self, at: float) -> str:
        """Write a moment to the minute; of today only the time."""
        whole = self.exact(at)[:16]
        day, _, time = whole.partition(" ")
        return time if day == self.exact(self.now)[:10] else whole

    def clock(self, at: float) -> str:
        """Write the time of day."""
        return f"{datetime.fromtimestamp(at, self.zone):%H:%M:%S}"

    def iso(self, at: float) -> str:
        """Write a moment in ISO 8601."""
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def size(self, count: float) -> str:
        """Write a number of bytes."""
        return f"{self.figure(count / 1024**2)} MB"


REASONS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "This page does not exist.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page does not exist.",
    HTTPStatus.FORBIDDEN: "Your account has no access to this page.",
}
"""The text of an error page, by its status."""
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE = "recado-language", "recado-theme"


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """One entry of the navigation."""

    name: str
    path: str
    label: str
    """In English; see `Wording.t`."""
    icon: str
    """The id of a symbol in ``static/icons.svg``."""


SECTIONS = (
    NavigationEntry("overview", "/dashboard", "Overview", "gauge"),
    NavigationEntry("chats", "/dashboard/chats", "Chats", "chats"),
    NavigationEntry("work", "/dashboard/work", "Work", "work"),
    NavigationEntry("figures", "/dashboard/figures", "Figures", "check"),
    NavigationEntry("log", "/dashboard/log", "Log", "log"),
    NavigationEntry("texts", "/dashboard/texts", "Texts", "pen"),
)
PHONE = NavigationEntry("phone", "/dashboard/phone", "Phone", "phone")


class Shell:
    """Renders pages. Made once for the dashboard; called by its handlers."""

    def __init__(
        self, operations: Operations, settings: EdgeSettings, guard: Guard, *, version: str
    ) -> None:
        """`version` is that of the assets."""
        self.operations = operations
        self.settings = settings
        self.guard = guard
        self._static = f"/dashboard/static/{version}"
        self._words = read_words()
        self._zone = ZoneInfo(settings.timezone)
        self._sections = (*SECTIONS, PHONE) if settings.phone_url else SECTIONS
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def actor(self) -> Actor:
        """The actor of the current request, for the audit."""
        return request_actor(self.settings)

    async def chat(self, ref: str) -> ChatKey:
        """The chat with this public name. Raises NotFound."""
        key = await self.operations.views.key_of(ref)
        if key is None:
            raise NotFound
        return key

    def wording(self, asked: Request | Websocket = request) -> Wording:
        """The wording of the current request, or of a WebSocket.

        Its language is the account's, else it was chosen on a page, else it is one of the
        browser's, else the settings'.
        """
        account = visitor().account
        chosen = account.language if account else ""
        chosen = chosen or asked.cookies.get(LANGUAGE_COOKIE, "")
        if chosen not in LANGUAGES:
            chosen = asked.accept_languages.best_match(LANGUAGES) or ""
        language = chosen or self.settings.language
        zone = ZoneInfo(account.zone) if account and account.zone else self._zone
        return Wording(language, zone, self.operations.now(), self._words[language])

    def page(
        self, template: str, *, section: str = "", status: int = 200, **values: object
    ) -> Response:
        """Render a whole page; `section` is the entry of the navigation that it belongs to.

        Templates extend ``base.html`` and get `values`, ``w`` (the `Wording`) and ``t``.
        """
        w, known = self.wording(), visitor()
        theme = request.cookies.get(THEME_COOKIE, "")
        html = self._templates.get_template(template).render(
            **values,
            w=w,
            static=self._static,
            t=w.t,
            theme=theme if theme in THEMES else "auto",
            themes=THEMES,
            sections=[entry for entry in self._sections if may_visit(known.role, entry.path)],
            account=known.account,
            may=partial(allows, known.role),
            section=section,
            environment=self.settings.environment,
            is_open=self.guard.open,
            here=request.full_path.rstrip("?"),
        )
        return Response(html, status=status, content_type="text/html; charset=utf-8")

    def error(self, status: int) -> Response:
        """Render the page of an error."""
        why = REASONS.get(status, "Try again in a moment.")
        return self.page("error.html", status=status, reason=HTTPStatus(status).phrase, why=why)
