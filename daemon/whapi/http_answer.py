"""Read one HTTP/1.1 answer as its bytes come: the status, the headers that matter, the body.

Pure: whoever has the connection feeds it. The grammar is llhttp's, in its strict mode.
"""

import zlib

import httptools

MOST_HEAD_BYTES = 100 * 1024
"""Of status line and headers, interim answers included (h11's limit, as httpx uses it)."""

_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
_WANTED = frozenset({b"retry-after", b"content-encoding"}) | _LENGTHS


class UnusableAnswer(Exception):
    """What came is no HTTP answer, or not one to be read; the text quotes nothing of it."""


class HttpAnswer:
    """One answer being read. Feed it until `complete`, then `release` it."""

    def __init__(self, *, most_body_bytes: int) -> None:
        self.status = 0
        """0 until the head of the answer itself, not of an interim one, has been read."""
        self.complete = False
        self.reusable = False
        """True if the connection may be used again after this answer."""
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._most_body_bytes = most_body_bytes
        self._head_bytes = 0
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: bytes | bytearray) -> None:
        """Take what has come; nothing at all means that the other side has ended.

        Raises UnusableAnswer.
        """
        if not data:
            self._ended()
            return
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parsing.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.reusable = False
            if not self.complete:  # else it is what follows that cannot be read
                raise UnusableAnswer("not an HTTP answer") from None
        if not self.status and self._head_bytes > MOST_HEAD_BYTES:
            raise UnusableAnswer("the answer's head is too large")
        if len(self._body) > self._most_body_bytes:
            raise UnusableAnswer("the answer is too large")

    def header(self, name: bytes) -> str | None:
        """Give one of the few headers that are kept, by its name in small letters."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def body(self) -> bytes:
        """Give the whole body, unpacked: we ask for it as it is, not all listen.

        Raises UnusableAnswer.
        """
        coding = (self.header(b"content-encoding") or "identity").strip().lower()
        if coding == "identity":
            return bytes(self._body)
        if coding not in {"gzip", "deflate"}:
            raise UnusableAnswer("the answer is packed in an unknown way")
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip's header or zlib's
        try:
            body = unpacking.decompress(self._body, self._most_body_bytes + 1)
        except zlib.error:
            raise UnusableAnswer("the answer cannot be unpacked") from None
        if len(body) > self._most_body_bytes:
            raise UnusableAnswer("the answer is too large")
        if not unpacking.eof:
            raise UnusableAnswer("the answer cannot be unpacked")
        return body

    def release(self) -> None:
        """Let go of the parser: each holds the other, which only the collector would find."""
        self._parser = None

    @property
    def _parsing(self) -> httptools.HttpResponseParser:
        if self._parser is None:
            raise RuntimeError("an answer was fed after its release")
        return self._parser

    def _ended(self) -> None:
        """A body without a length lasts until the end of the connection."""
        if not self.status or not _LENGTHS.isdisjoint(self._headers):
            raise UnusableAnswer("the connection ended before the answer")
        self.complete = True

    # -- called by the parser, by these names --------------------------------------------------

    def on_message_begin(self) -> None:
        """A head follows; after the answer, none may."""
        self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what is wanted, but nothing that comes after the body."""
        if not self.status and (known := name.lower()) in _WANTED:
            self._headers[known] = value

    def on_headers_complete(self) -> None:
        """The head is whole: of the answer, or of an interim one (1xx)."""
        status = self._parsing.get_status_code()
        if not self.complete and status >= 200:
            self.status = status

    def on_body(self, part: bytes) -> None:
        """Keep it, if it is the answer's."""
        if not self.complete:
            self._body += part

    def on_message_complete(self) -> None:
        """Whole, if it was not an interim answer."""
        if self.complete:
            return
        if not self.status:
            self._headers.clear()
            return
        self.complete = True
        self.reusable = self._parsing.should_keep_alive()
