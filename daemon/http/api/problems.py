"""Errors of the API as problem documents (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from quart import Response

PROBLEM_TYPE = "application/problem+json"

LATER = {"Retry-After": "5"}


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""


class ApiProblem(Exception):
    """A request that is not answered as it wants; ``detail`` says why, and is shown."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        return problem(self.status, self.detail, self.headers)


def problem_document(status: int, detail: str = "") -> ProblemDocument:
    """Return the document of an error."""
    return ProblemDocument(title=HTTPStatus(status).phrase, status=status, detail=detail)


def problem(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with a problem document."""
    body = msgspec.json.encode(problem_document(status, detail))
    return Response(body, status=status, content_type=PROBLEM_TYPE, headers=dict(headers or {}))
