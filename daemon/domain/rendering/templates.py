"""Templates: messages that Meta has approved, the only ones it takes a day after a customer's last.

A template has parameters. In the body they have numbers (``1``, ``2``) or names; ``header`` is the
one of the heading (its text, or the address of its picture, video or document), and ``button.1``
that of the first button. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from daemon.domain.messages import JsonObject, Value
from daemon.domain.records import NewPart

HEADER = "header"
_BUTTON = "button"
_PLACE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")

APPROVED = "approved"

HeaderKind = Literal["", "text", "image", "video", "document", "location"]
ButtonKind = Literal["quick_reply", "url", "phone_number", "copy_code", "other"]

MAX_PARAMETER = 1024
"""Characters of one value, as of a whole body."""


class TemplateButton(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A button of a template."""

    kind: ButtonKind
    title: str = ""
    url: str = ""
    """Where it leads; its end may be a parameter."""

    @property
    def takes_value(self) -> bool:
        """Whether something has to be given for it."""
        return self.kind == "copy_code" or bool(_PLACE.search(self.url))


class Template(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One template in one language."""

    name: str
    language: str
    category: str = ""
    """``utility``, ``marketing`` or ``authentication``; it decides the price."""
    status: str = ""
    """``approved``, or why it cannot be sent: ``pending``, ``rejected``, ``paused`` …"""
    header_kind: HeaderKind = ""
    header: str = ""
    """Its words, if it is a text."""
    body: str = ""
    footer: str = ""
    buttons: tuple[TemplateButton, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all that has to be given, in the order in which it is read."""
        above = self.header_kind not in {"", "text"} or _PLACE.search(self.header)
        below = [
            f"{_BUTTON}.{number}"
            for number, button in enumerate(self.buttons, 1)
            if button.takes_value
        ]
        return (*([HEADER] if above else []), *self.in_body, *below)

    @property
    def in_body(self) -> tuple[str, ...]:
        """The names of the parameters of the body, each once."""
        return tuple(dict.fromkeys(_PLACE.findall(self.body)))

    def words(self, values: Mapping[str, str]) -> str:
        """What the customer reads, with its parameters filled in; the rest stays as it is."""

        def filled(text: str, of: Mapping[str, str]) -> str:
            return _PLACE.sub(lambda found: of.get(found[1], found[0]), text)

        heading = values.get(HEADER, "")
        above = _PLACE.sub(lambda found: heading or found[0], self.header)
        titles = "\n".join(f"[{button.title}]" for button in self.buttons if button.title)
        blocks = (above, filled(self.body, values), self.footer, titles)
        return "\n\n".join(block for block in blocks if block) or f"[template {self.name}]"


def template_part(template: Template, values: Mapping[str, str]) -> NewPart:
    """Make the message of a template with its parameters filled in.

    Raises ValueError if it is not approved, or if a parameter is missing, unknown, empty or too
    long.
    """
    if template.status != APPROVED:
        raise ValueError(
            f"template {template.name} is not approved: {template.status or 'unknown'}"
        )
    if template.header_kind == "location":
        raise ValueError(f"template {template.name} has a place as its heading, which is not sent")
    wanted = template.parameters
    if set(values) != set(wanted):
        raise ValueError(
            f"template {template.name} takes {_listed(wanted)}, not {_listed(sorted(values))}"
        )
    given = {name: " ".join(value.split()) for name, value in values.items()}
    for name, value in given.items():
        if not 0 < len(value) <= MAX_PARAMETER:
            raise ValueError(f"parameter {name} has 1 to {MAX_PARAMETER} characters")
    payload: JsonObject = {
        "name": template.name,
        "language": template.language,
        "category": template.category,
    }
    if HEADER in given:
        payload["header"] = {"kind": template.header_kind, "value": given[HEADER]}
    if template.in_body:
        payload["body"] = [{"name": name, "value": given[name]} for name in template.in_body]
    if buttons := _buttons(template, given):
        payload["buttons"] = buttons
    return NewPart(template.words(given), payload={"template": payload})


def named_part(name: str, language: str, values: Mapping[str, str]) -> NewPart:
    """Make the message of a template of which only the name, and what is in its body, is known."""
    payload: JsonObject = {"name": name, "language": language}
    if values:
        payload["body"] = [{"name": key, "value": values[key]} for key in sorted(values)]
    return NewPart(f"[template {name}]", payload={"template": payload})


def chosen(templates: Iterable[Template], name: str, *, language: str, ours: str) -> Template:
    """Find a template by its name, in a language (empty: best ``ours``, else any).

    An approved one is preferred. Raises ValueError if there is none.
    """
    known = [template for template in templates if template.name == name]
    if language:
        known = [template for template in known if template.language == language]

    def unlikeliness(template: Template) -> tuple[bool, bool, str]:
        is_ours = template.language.partition("_")[0] == ours
        return template.status != APPROVED, not is_ours, template.language

    if not known:
        where = f" in {language}" if language else ""
        raise ValueError(f"there is no template {name}{where}: see recado templates list")
    return min(known, key=unlikeliness)


def _buttons(template: Template, given: Mapping[str, str]) -> list[JsonObject]:
    found = []
    for index, button in enumerate(template.buttons):
        value = given.get(f"{_BUTTON}.{index + 1}")
        if value is not None:
            found.append({"index": index, "kind": button.kind, "value": value})
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "no parameters"
