"""The shell of every page: what is round its content, in which language and theme it is."""

from dataclasses import dataclass
from http import HTTPStatus
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Response, request

from daemon.domain.audit_chain import Actor
from daemon.http.actor import request_actor
from daemon.http.dashboard.assets import read_words
from daemon.http.dashboard.guard import Guard
from daemon.http.dashboard.wording import Wording
from daemon.http.facade import Daemon, EdgeSettings

LANGUAGES = ("es", "en")
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE = "recado-language", "recado-theme"


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation."""

    name: str
    path: str
    label: str
    """In English; see `Wording.t`."""
    icon: str
    """The id of a symbol in ``static/icons.svg``."""


SECTIONS = (
    Section("overview", "/dashboard", "Overview", "gauge"),
    Section("chats", "/dashboard/chats", "Chats", "chats"),
    Section("work", "/dashboard/work", "Work", "work"),
    Section("log", "/dashboard/log", "Log", "log"),
)
PHONE = Section("phone", "/dashboard/phone", "Phone", "phone")


class Shell:
    """Renders pages. Made once for the dashboard; called by its handlers."""

    def __init__(
        self, daemon: Daemon, settings: EdgeSettings, guard: Guard, *, version: str
    ) -> None:
        """`version` is that of the assets."""
        self.daemon = daemon
        self.settings = settings
        self.guard = guard
        self._static = f"/dashboard/static/{version}"
        self._words = read_words()
        self._zone = ZoneInfo(settings.timezone)
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def actor(self) -> Actor:
        """Who the present request is by, for the audit."""
        return request_actor(self.settings)

    def wording(self) -> Wording:
        """The words of the present request: what its browser chose, else the settings' language."""
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        language = chosen if chosen in LANGUAGES else self.settings.language
        return Wording(language, self._zone, self.daemon.now(), self._words[language])

    def page(
        self, template: str, *, section: str = "", status: int = 200, **values: object
    ) -> Response:
        """Render a whole page; `section` is the entry of the navigation that it belongs to.

        Templates extend ``base.html`` and get `values`, ``w`` (the `Wording`) and ``t``.
        """
        w = self.wording()
        theme = request.cookies.get(THEME_COOKIE, "")
        html = self._templates.get_template(template).render(
            **values,
            w=w,
            static=self._static,
            t=w.t,
            theme=theme if theme in THEMES else "auto",
            themes=THEMES,
            sections=(*SECTIONS, PHONE) if self.settings.phone_url else SECTIONS,
            section=section,
            environment=self.daemon.environment,
            is_open=self.guard.open,
            here=request.full_path.rstrip("?"),
        )
        return Response(html, status=status, content_type="text/html; charset=utf-8")

    def error(self, status: int) -> Response:
        """Render the page that says why there is no other."""
        known = status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
        why = "There is nothing here, or not any more." if known else "Try again in a moment."
        return self.page("error.html", status=status, reason=HTTPStatus(status).phrase, why=why)
