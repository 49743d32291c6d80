"""Turns Markdown, as models write it, into WhatsApp's formatting. Pure.

WhatsApp knows ``*bold*``, ``_italics_``, ``~strike~``, `` `code` ``, fences of three backticks,
``> `` quotes and lists (WhatsApp help: how to format your messages). One star is bold there and
italics in Markdown: it is read as Markdown only in a text that shows Markdown elsewhere, since a
model instructed to write for WhatsApp uses it for bold. Formatting a formatted text changes
nothing.
"""

import html
import re
from functools import partial
from itertools import chain, repeat

MAX_PASSES = 50
"""A pass may uncover more, such as an escaped entity; a text that needs many passes is abuse."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_FENCE = re.compile(r"\s{0,3}(?:```+[^`]*|~~~+[^~]*)")
_RULE = re.compile(r"\s{0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})")
_UNDERLINE = re.compile(r"\s{0,3}={3,}\s*")
_HEADING = re.compile(r"\s{0,3}#{1,6}(?:[ \t]+(.*))?")
_QUOTE = re.compile(r"(?<![>\s])\s{0,3}>++[ \t]?+(?:>[ \t]?+)*+(?=\S|$)(.*)")
_BULLET = re.compile(r"(?<![ \t])([ \t]*+)(?:[-*](?=[ \t])|\+(?=[ \t]+[^\s\d]))[ \t]++(?=\S)(.*)")
_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
_DIVIDER = re.compile(r"(?<!\s)\s*+(?:\|\s*+)?:?-++:?\s*+(?:\|\s*+:?-++:?\s*+)*+(?:\|\s*+)?")
_CELL_END = re.compile(r"(?<!\\)\|")

_SIGN = re.compile(r"[`&<\[\\*_~]")
"""A line without any of these needs no change inside it."""

_CODE = re.compile(r"(?<!`)(`{1,10})(?!`)(.+?)(?<!`)\1(?!`)")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:|tel:)[^\s<>]+|[\w.+-]+@[\w-]+\.[\w.-]+)>")
_LINK = re.compile(
    r"!?\[([^\[\]\n]*)\]\(\s*+<?([^\s()<>]*+(?:\([^\s()]*+\)[^\s()<>]*+)*+)>?"
    r"(?:\s++(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*+\)"
)
_URL = re.compile(r"(?:https?://|www\.)[^\s<>|\x00-\x03]+")
_URL_END = "*_~.,;:!?\"'`\u00bb\u201d\u2019]"
"""Signs after an address that belong to the sentence."""

_ESCAPE = re.compile(r"\\([!-/:-@\[\]^_`{|}~])")
_ESCAPED = {"*": "\u2217", "`": "'"}
"""Signs that WhatsApp reads as formatting and cannot escape, and their replacements."""

_BREAK = re.compile(r"(?:(?<![ \t])[ \t]++)?<br\s*+/?>[ \t]*+", re.IGNORECASE)
_TAGS = (
    (re.compile(r"</?(?:b|strong)>", re.IGNORECASE), "**"),
    (re.compile(r"</?(?:i|em)>", re.IGNORECASE), "_"),
    (re.compile(r"</?(?:s|del|strike)>", re.IGNORECASE), "~~"),
    (
        re.compile(
            r"</?(?:u|p|span|div|small|sup|sub|ul|ol|li|font|center)(?: [^<>]*)?>", re.IGNORECASE
        ),
        "",
    ),
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

_BOTH = re.compile(r"(?<!\*)\*\*\*(?=[^\s*])(.{1,500}?)(?<=[^\s*])\*\*\*(?!\*)")
_BOLD = re.compile(r"(?<!\*)\*\*(?=[^\s*])(.{1,500}?)(?<=[^\s*])\*\*(?!\*)")
_BOLD_UNDERSCORES = re.compile(r"(?<![\w])__(?=[^\s_])(.{1,500}?)(?<=[^\s_])__(?!\w)")
_STRIKE = re.compile(r"(?<!~)~~(?=[^\s~])(.{1,500}?)(?<=[^\s~])~~(?!~)")
_ITALICS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![\w*])")

_KEPT = re.compile(r"\x00(\d+)\x01")
_KEPT_LAST = re.compile(r"\x00\d+\x01$")
_STAR, _SCORE = "\x02", "\x03"
"""Stand-ins for stars and underscores that are WhatsApp's already, until the pass is over."""


def to_whatsapp(text: str) -> str:
    """Write a text in Markdown, or already in WhatsApp's formatting, for WhatsApp.

    Never raises; every word of the text stays, apart from a fence's language and the addresses of
    links to nowhere. ``to_whatsapp(to_whatsapp(x)) == to_whatsapp(x)``.
    """
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    for _ in range(MAX_PASSES):
        formatted = _pass(text)
        if formatted == text:
            break
        text = formatted
    return text


def _pass(text: str) -> str:
    plain = _Pass(single_stars=False)
    formatted = plain.document(text)
    return _Pass(single_stars=True).document(text) if plain.is_markdown else formatted


class _Pass:
    """One reading of a text."""

    def __init__(self, *, single_stars: bool) -> None:
        """``single_stars``: one star is italics, as in Markdown."""
        self.is_markdown = False
        """True once something was found that only Markdown has."""
        self._single_stars = single_stars
        self._kept: list[str] = []

    def document(self, text: str) -> str:
        lines = text.split("\n")
        written: list[str] = []
        at = 0
        while at < len(lines):
            if _FENCE.fullmatch(lines[at]):
                at = self._fence(lines, at, written)
            elif self._is_table(lines, at):
                at = self._table(lines, at, written)
            elif _is_title(lines, at):
                written.append(self._heading(lines[at]))
                at += 2
            else:
                written += self._line(lines[at])
                at += 1
        return self._put_back("\n".join(_single_gaps(written))).strip()

    # -- blocks --------------------------------------------------------------------------------

    def _fence(self, lines: list[str], at: int, written: list[str]) -> int:
        """Keep a fence as it is, in one piece; gives the line after it."""
        mark = lines[at].lstrip()[0]
        end = at + 1
        while end < len(lines) and not _ends_fence(lines[end], mark):
            end += 1
        body = lines[at + 1 : end]
        if any(line.strip() for line in body):
            # Code is pasted: a space that does not break is an error there.
            kept = [line.replace("\u00a0", " ").rstrip() for line in body]
            written.append(self._keep("\n".join(["```", *kept, "```"])))
        return end + 1

    def _is_table(self, lines: list[str], at: int) -> bool:
        head, rest = lines[at], lines[at + 1 : at + 2]
        return "|" in head and bool(rest) and "|" in rest[0] and bool(_DIVIDER.fullmatch(rest[0]))

    def _table(self, lines: list[str], at: int, written: list[str]) -> int:
        """Write each row of a table as one line of a list; gives the line after the table."""
        self.is_markdown = True
        heads = self._cells(lines[at])
        end = at + 2
        while end < len(lines) and _CELL_END.search(lines[end]):
            names = chain(heads, repeat(""))
            cells = [
                f"{name.rstrip(':')}: {cell}" if name else cell
                for cell, name in zip(self._cells(lines[end]), names, strict=False)
                if cell
            ]
            written += [f"• {'; '.join(cells)}"] if cells else []
            end += 1
        if end == at + 2:
            written.append("; ".join(head for head in heads if head))
        return end

    def _cells(self, line: str) -> list[str]:
        bare = line.strip().removeprefix("|")
        cells = _CELL_END.split(bare)
        if cells and not cells[-1].strip():
            cells.pop()
        return [self._inline(_BREAK.sub(" ", cell.strip())) for cell in cells]

    def _heading(self, title: str) -> str:
        self.is_markdown = True
        inside = self._inline(title.strip()).replace(_STAR, "").strip("* ")
        return _wrapped(_STAR, inside)

    def _line(self, line: str) -> list[str]:
        """One line; more than one if it has line breaks of HTML in it."""
        if _RULE.fullmatch(line):
            return [""]
        parts = _BREAK.split(line)
        if len(parts) > 1 and "`" not in line:
            return [written for part in parts for written in self._line(part)]
        if heading := _HEADING.fullmatch(line):
            return [self._heading(_title(heading[1] or ""))]
        if quote := _QUOTE.fullmatch(line):
            return [f"> {self._inline(quote[1])}".rstrip()]
        if bullet := _BULLET.fullmatch(line):
            inside = _TASK.sub(lambda m: "☐ " if m[1] == " " else "☑ ", bullet[2], count=1)
            return [f"{bullet[1].expandtabs(2)}• {self._inline(inside)}"]
        return [self._inline(line.rstrip())]

    # -- inside a line -------------------------------------------------------------------------

    def _inline(self, line: str) -> str:
        if not _SIGN.search(line):
            return line
        line = _CODE.sub(self._code, line)
        line = _ENTITY.sub(_entity, line)
        line = _AUTOLINK.sub(lambda m: self._keep(_bare(m[1])), line)
        line = _LINK.sub(self._link, line)
        line = _URL.sub(self._url, line)
        for tag, mark in _TAGS:
            line = tag.sub(mark, line)
        line = _ESCAPE.sub(lambda m: self._keep(_ESCAPED.get(m[1], m[1])), line)
        for pattern, marks in (
            (_BOTH, _STAR + _SCORE),
            (_BOLD, _STAR),
            (_BOLD_UNDERSCORES, _STAR),
            (_STRIKE, "~"),
        ):
            line = pattern.sub(partial(self._emphasis, marks), line)
        if self._single_stars:
            line = _ITALICS.sub(lambda m: _wrapped(_SCORE, m[1]), line)
        return line

    def _emphasis(self, marks: str, match: re.Match[str]) -> str:
        """Mark words as WhatsApp does, which has no marks inside a word."""
        before = match.string[match.start() - 1 : match.start()]
        after = match.string[match.end() : match.end() + 1]
        if before.isdigit() and after.isdigit():
            return match[0]  # a power: 2**3**2
        self.is_markdown = True
        if before.isalnum() or after.isalnum():
            return match[1]
        inside = match[1].replace(_STAR, "") if marks.startswith(_STAR) else match[1]
        return _wrapped(marks, inside)

    def _code(self, match: re.Match[str]) -> str:
        if len(match[1]) == 2 and "`" not in match[2]:
            return self._keep(f"`{match[2].strip()}`" if match[2].strip() else "")
        return self._keep(match[0])

    def _link(self, match: re.Match[str]) -> str:
        label, target = match[1].strip(), _bare(match[2])
        self.is_markdown = True
        if not target or target.startswith(("#", "sandbox:")):
            return label
        if not label or _same_address(label, target):
            return self._keep(target)
        return f"{label.rstrip(':')}: {self._keep(target)}"

    def _url(self, match: re.Match[str]) -> str:
        url = match[0]
        spare = url.count(")") - url.count("(")
        end = len(url)
        while end > 1 and (url[end - 1] in _URL_END or (url[end - 1] == ")" and spare > 0)):
            end -= 1
            spare -= url[end] == ")"
        return self._keep(url[:end]) + url[end:]

    # -- what is left alone --------------------------------------------------------------------

    def _keep(self, text: str) -> str:
        """A stand-in for a part that the rest of the pass must not touch."""
        self._kept.append(text)
        return f"\x00{len(self._kept) - 1}\x01"

    def _put_back(self, text: str) -> str:
        while _KEPT.search(text):
            text = _KEPT.sub(lambda m: self._kept[int(m[1])], text)
        return text.replace(_STAR, "*").replace(_SCORE, "_")


def _wrapped(marks: str, inside: str) -> str:
    """Put marks around words, but not around a URL at their end, which the mark would break."""
    words, address = inside.strip(), ""
    if last := _KEPT_LAST.search(words):
        words, address = words[: last.start()], last[0]
    bare = words.rstrip()
    if not bare:
        return address
    written = f"{marks}{bare}{marks[::-1]}"
    return f"{written} {address}" if address else written


def _title(words: str) -> str:
    """The words of a heading, without the signs that may close it."""
    words = words.rstrip(" \t")
    bare = words.rstrip("#")
    return bare.rstrip(" \t") if bare[-1:] in {"", " ", "\t"} else words


def _ends_fence(line: str, mark: str) -> bool:
    bare = line.strip()
    return len(bare) >= 3 and not bare.strip(mark)


def _is_title(lines: list[str], at: int) -> bool:
    """True for a line that the next one underlines with equal signs."""
    if not lines[at].strip() or _UNDERLINE.fullmatch(lines[at]):
        return False
    return at + 1 < len(lines) and bool(_UNDERLINE.fullmatch(lines[at + 1]))


def _single_gaps(lines: list[str]) -> list[str]:
    """Leave one blank line where there were several."""
    return [
        line
        for number, line in enumerate(lines)
        if line.strip(" \t") or number == 0 or lines[number - 1].strip(" \t")
    ]


def _entity(match: re.Match[str]) -> str:
    sign = html.unescape(match[0])
    return " " if sign == "\u00a0" else _CONTROL.sub("", sign.replace("\n", " "))


def _bare(address: str) -> str:
    return re.sub(r"^(?:mailto:|tel:)", "", address)


def _same_address(label: str, target: str) -> bool:
    def bare(text: str) -> str:
        return re.sub(r"^(?:https?://)?(?:www\.)?", "", text).rstrip("/").casefold()

    return bare(label) == bare(target)
