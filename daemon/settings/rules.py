"""The types of the configuration's values, and the base of its tables.

Each type holds the check (for pydantic) and a ``Rule``: its description and how to read the value
from an environment variable. Each table is a class in the modules beside this one;
`daemon.settings` puts them together. Every field has its default, in its type what a value must be,
and below it what it means, as the pages say it: ``config/recado.toml`` and ``docs/settings.md``.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast, get_args
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
)
from pydantic.fields import FieldInfo

from daemon.domain.ids import WRITTEN_CHAT


class Rule(NamedTuple):
    """A condition on a value, for people (``must be <text>``), and its reader from a string.

    ``read`` turns the text of an environment variable or credential into the value that a TOML file
    would hold; it raises ValueError if it cannot. The values of a ``secret`` are never shown.
    """

    text: str
    read: Callable[[str], Any] = str
    secret: bool = False


class Range:
    """The bounds of a number, named as in pydantic."""

    def __init__(
        self,
        unit: str = "",
        *,
        gt: float | None = None,
        ge: float | None = None,
        le: float | None = None,
    ) -> None:
        """``unit``: what is counted, in the plural; empty: nothing that has a name."""
        self._unit = f" of {unit}" if unit else ""
        self._bounds = {"gt": gt, "ge": ge, "le": le}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> dict[str, Any]:
        """See pydantic, "Customizing validation with __get_pydantic_core_schema__"."""
        given = {name: bound for name, bound in self._bounds.items() if bound is not None}
        return {**handler(source), **given}

    def rule(self, kind: type[int] | type[float]) -> Rule:
        """The rule of a number of this kind."""
        noun = f"{'a whole number' if kind is int else 'a number'}{self._unit}"
        above, least, most = self._bounds.values()
        if above is not None:
            ends = f" above {above}" if most is None else f" above {above}, at most {most}"
        else:
            ends = f", {least} or more" if most is None else f" from {least} to {most}"
        return Rule(noun + ends, kind)


def rule_of(field: FieldInfo) -> Rule:
    """Return the rule of a setting: that of its type, of its number's bounds, or of its choices."""
    for part in field.metadata:
        if isinstance(part, Rule):
            return part
        if isinstance(part, Range):
            return part.rule(cast("type[float]", field.annotation))
    *others, last = get_args(field.annotation)
    return Rule(f"{', '.join(others)} or {last}")


def _read_yes_no(text: str) -> bool:
    answers = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return answers[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _read_background(text: str) -> bool | str:
    return "auto" if text.lower() == "auto" else _read_yes_no(text)


def read_table(text: str) -> Any:
    """Read a table from an environment variable: JSON."""
    return json.loads(text)


def read_list(text: str) -> list[str]:
    """Read a list from an environment variable: parts between commas or line breaks."""
    return [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]


def _read_addresses(text: str) -> list[str]:
    """Split at commas and spaces before a new address, since an address may hold commas."""
    return [
        part.strip(", \n")
        for part in re.split(r"(?<![,\s])[,\s]++(?=[A-Za-z0-9]+://)", text)
        if part
    ]


def _require_address(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"(?<![A-Za-z0-9])[A-Za-z0-9]+://\S*", secret.get_secret_value()):
        raise ValueError("not an address")
    return secret


def _require_database(secret: SecretStr | None) -> SecretStr | None:
    if secret and not re.fullmatch(r"postgres(ql)?://\S+", secret.get_secret_value()):
        raise ValueError("not an address of PostgreSQL")
    return secret


def _require_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError(url)
    _ = parts.port  # raises ValueError if it is no port
    if re.search(r"\s", url):
        raise ValueError(url)
    return url.rstrip("/")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place in an S3-compatible store; an empty endpoint is Amazon's."""

    name: str
    prefix: str
    endpoint: str
    region: str


def parse_bucket(url: str) -> Bucket:
    """Take apart ``s3://bucket/prefix?endpoint=…&region=…``. Raises ValueError."""
    parts = urlsplit(url)
    options = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    if parts.scheme != "s3" or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
        raise ValueError(url)
    if set(options) - {"endpoint", "region"} or parts.fragment:
        raise ValueError(url)
    endpoint, region = (options.get(name, [""])[0] for name in ("endpoint", "region"))
    return Bucket(parts.netloc, parts.path.strip("/"), _require_url_or_nothing(endpoint), region)


def _require_url_or_nothing(url: str) -> str:
    return _require_url(url) if url else ""


def refused_by(read: Callable[[Any], object]) -> AfterValidator:
    """Refuse a value of which ``read`` raises ValueError."""

    def checked(value: Any) -> Any:
        read(value)
        return value

    return AfterValidator(checked)


def _require_plain_path(path: object) -> object:
    # A folder literally called "~" is never meant, and there is no shell here to expand it.
    if path == "" or str(path).startswith("~"):
        raise ValueError(path)
    return path


def _require_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(name) from error
    return name


def _require_header_value(secret: SecretStr) -> SecretStr:
    # A secret travels in an HTTP header; a pasted quote, space or line break would break it there.
    if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise ValueError("not fit for a header")
    return secret


def _require_types(tables: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    if not all(isinstance(table.get("type"), str) for table in tables):
        raise ValueError("a table without a type")
    return tables


def _empty_is_unset(value: object) -> object:
    return None if value == "" else value


def as_list(value: object) -> object:
    """Take one text for a list of one, and an empty one for an empty list."""
    if isinstance(value, str):
        return [value] if value else []
    return value


Seconds = Annotated[float, Range("seconds", gt=0, le=86400)]
Port = Annotated[int, Range(ge=0, le=65535)]
Url = Annotated[
    str,
    AfterValidator(_require_url),
    Rule("an http:// or https:// address without a user name or password in it"),
]
OptionalUrl = Annotated[
    str, AfterValidator(_require_url_or_nothing), Rule("an http:// or https:// address, or empty")
]
BucketUrl = Annotated[
    str,
    refused_by(lambda url: url and parse_bucket(url)),
    Rule("an address s3://bucket/prefix?endpoint=https://…&region=…, or empty"),
]
Name = Annotated[str, Field(min_length=1), Rule("a text that is not empty")]
Switch = Annotated[bool, Rule("true or false", _read_yes_no)]
FilePath = Annotated[
    Path, Field(strict=False), BeforeValidator(_require_plain_path), Rule("a path without ~")
]
OptionalPath = Annotated[
    Path | None,
    Field(strict=False),
    BeforeValidator(_empty_is_unset),
    Rule("a path, or empty"),
]
Names = Annotated[
    tuple[str, ...],
    Field(strict=False),
    BeforeValidator(as_list),
    Rule("a list of names", read_list),
]
Networks = Annotated[
    tuple[Annotated[str, refused_by(ip_network)], ...],  # also where bits are set behind the mask
    Field(strict=False),
    BeforeValidator(as_list),
    Rule("a list of addresses or networks, such as 10.0.0.7 or 10.0.0.0/8", read_list),
]
Secret = Annotated[SecretStr, AfterValidator(_require_header_value)]
OptionalSecret = Annotated[
    Secret | None,
    BeforeValidator(_empty_is_unset),
    Rule("a secret of printable ASCII characters without spaces", secret=True),
]
DatabaseUrl = Annotated[
    SecretStr | None,
    AfterValidator(_require_database),
    BeforeValidator(_empty_is_unset),
    Rule("an address postgresql://… without spaces", secret=True),  # it may hold a password
]
Secrets = Annotated[
    tuple[Secret, ...],
    Field(strict=False, max_length=2),
    BeforeValidator(as_list),
    Rule(
        "one secret or a list of two, of printable ASCII characters without spaces",
        read_list,
        secret=True,
    ),
]
NamedSecrets = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")], SecretStr],
    Rule(
        "a table of texts, whose names have small letters, digits and underscores (in the"
        " environment: a JSON object)",
        read_table,
        secret=True,
    ),
]
Addresses = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_require_address)], ...],
    Field(strict=False, max_length=20),
    BeforeValidator(as_list),
    Rule(
        "an address such as ntfy://topic, or a list of at most 20, without spaces in them",
        _read_addresses,
        secret=True,
    ),
]
OptionalChat = Annotated[
    str,
    Field(pattern=f"^({WRITTEN_CHAT})?$"),
    Rule("a phone number with its country code, a chat id such as …@g.us, or empty"),
]
Chats = Annotated[
    tuple[Annotated[str, Field(pattern=f"^({WRITTEN_CHAT})$")], ...],
    Field(strict=False),
    BeforeValidator(as_list),
    Rule("a list of phone numbers with their country code, or of chat ids", read_list),
]
Words = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=64)], ...],
    Field(strict=False),
    BeforeValidator(as_list),
    Rule("a list of words or short sentences, of at most 64 characters each", read_list),
]
Topics = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,40}$")], ...],
    Field(strict=False, max_length=20),
    BeforeValidator(as_list),
    Rule("a list of at most 20 topics, of at most 40 characters each", read_list),
]
OwnName = Annotated[str, Rule("a name, or empty")]
OwnText = Annotated[str, Rule("a text; empty takes the built-in one")]
OwnId = Annotated[str, Rule("an id, or empty")]
Background = Annotated[bool | Literal["auto"], Rule('true, false or "auto"', _read_background)]
Table = Annotated[dict[str, Any], Rule("a table (in the environment: a JSON object)", read_table)]
Tables = Annotated[
    tuple[dict[str, Any], ...],
    Field(strict=False),
    AfterValidator(_require_types),
    Rule("a list of tables, each with a type (in the environment: a JSON list)", read_table),
]
Count = Annotated[int, Range(ge=0)]
Amount = Annotated[float, Field(ge=0), Rule("an amount of money, 0 or more", float)]
Prices = Annotated[
    dict[
        str,
        dict[
            Literal["input", "cached", "output", "minute", "characters"],
            Annotated[float, Field(ge=0)],
        ],
    ],
    Rule(
        "a table of models, each with amounts for input, cached, output, minute and characters (in"
        " the environment: a JSON object)",
        read_table,
    ),
]
Parameters = Annotated[
    dict[str, Annotated[str, Field(min_length=1, max_length=1024)]],
    Rule("a table of texts (in the environment: a JSON object)", read_table),
]
MessagePrices = Annotated[
    dict[
        Annotated[str, Field(pattern=r"^([A-Z]{2}|other)$")],
        dict[
            Literal[
                "calling_code",
                "service",
                "utility",
                "marketing",
                "authentication",
                "referral_conversion",
                "other",
            ],
            Annotated[float, Field(ge=0)] | Annotated[str, Field(pattern=r"^[0-9]{1,7}$")],
        ],
    ],
    Rule(
        "a table of countries (two capital letters, or other), each with amounts by category and a"
        " calling_code in quotes (in the environment: a JSON object)",
        read_table,
    ),
]
TimeZone = Annotated[
    str, AfterValidator(_require_time_zone), Rule("a known time zone such as America/Bogota")
]


# -- tables ----------------------------------------------------------------------------------------


class SettingsTable(BaseModel):
    """The base of the tables: immutable, strict about types, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )
