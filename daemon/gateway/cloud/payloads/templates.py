"""Templates of the Cloud API: the list of an account's, and how one is sent. Pure.

Fields as in Meta's pages "Templates" and "Template components" (2026).
"""

from collections.abc import Iterator
from typing import NamedTuple

from daemon.domain.messages import JsonObject
from daemon.domain.rendering.templates import ButtonKind, HeaderKind, Template, TemplateButton
from daemon.gateway.cloud.payloads.contents import as_object, objects
from daemon.gateway.payloads.fields import ApiCall, text, words

_FIELDS = "name,language,status,category,components"
_PER_PAGE = 100

_HEADERS: dict[str, HeaderKind] = {
    "TEXT": "text",
    "IMAGE": "image",
    "VIDEO": "video",
    "DOCUMENT": "document",
    "LOCATION": "location",
}
_BUTTONS: dict[str, ButtonKind] = {
    "QUICK_REPLY": "quick_reply",
    "URL": "url",
    "PHONE_NUMBER": "phone_number",
    "COPY_CODE": "copy_code",
}


class TemplatePage(NamedTuple):
    """A part of the list."""

    templates: tuple[Template, ...]
    after: str
    """What the next part is asked for with; empty at the end."""


def list_call(account_id: str, after: str) -> ApiCall:
    """Ask for a part of an account's templates."""
    query = {"fields": _FIELDS, "limit": str(_PER_PAGE), **({"after": after} if after else {})}
    return ApiCall("templates", "GET", f"/{account_id}/message_templates", query=query)


def read_page(answer: JsonObject) -> TemplatePage:
    """Read a part of the list; an element without name or language is left out."""
    found = (_template(element) for element in objects(answer.get("data")))
    paging = as_object(answer.get("paging"))
    after = text(as_object(paging.get("cursors")).get("after")) if paging.get("next") else ""
    return TemplatePage(tuple(one for one in found if one.name and one.language), after)


def _template(element: JsonObject) -> Template:
    components = {
        text(component.get("type")).upper(): component
        for component in objects(element.get("components"))
    }
    header = components.get("HEADER", {})
    header_kind = _HEADERS.get(text(header.get("format")).upper(), "")
    return Template(
        name=text(element.get("name")).strip(),
        language=text(element.get("language")).strip(),
        category=text(element.get("category")).lower(),
        status=text(element.get("status")).lower(),
        header_kind=header_kind,
        header=words(header.get("text")) if header_kind == "text" else "",
        body=words(components.get("BODY", {}).get("text")),
        footer=words(components.get("FOOTER", {}).get("text")),
        buttons=tuple(
            TemplateButton(
                kind=_BUTTONS.get(text(button.get("type")).upper(), "other"),
                title=words(button.get("text")),
                url=text(button.get("url")),
            )
            for button in objects(components.get("BUTTONS", {}).get("buttons"))
        ),
    )


def template_fields(template: JsonObject) -> JsonObject:
    """Write a template as the fields of a message.

    ``template``: as `daemon.domain.rendering.templates.template_part` has it.
    """
    fields: JsonObject = {
        "name": template["name"],
        "language": {"policy": "deterministic", "code": template["language"]},
    }
    if components := list(_components(template)):
        fields["components"] = components
    return fields


def _components(template: JsonObject) -> Iterator[JsonObject]:
    if header := template.get("header"):
        kind, value = header["kind"], header["value"]
        parameter = {"text": value} if kind == "text" else {kind: {"link": value}}
        yield {"type": "header", "parameters": [{"type": kind, **parameter}]}
    if body := template.get("body"):
        yield {"type": "body", "parameters": [_in_body(**parameter) for parameter in body]}
    for button in template.get("buttons", ()):
        is_code = button["kind"] == "copy_code"
        parameter = (
            {"type": "coupon_code", "coupon_code": button["value"]}
            if is_code
            else {"type": "text", "text": button["value"]}
        )
        yield {
            "type": "button",
            "sub_type": button["kind"],
            "index": str(button["index"]),
            "parameters": [parameter],
        }


def _in_body(name: str, value: str) -> JsonObject:
    named = {} if name.isdecimal() else {"parameter_name": name}
    return {"type": "text", **named, "text": value}
