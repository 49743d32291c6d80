"""Routes of the daemon itself: numbers, nodes, figures, usage, documents, files, and the log."""

from collections.abc import Sequence

import msgspec
from quart import Response, send_file

from daemon.domain.dashboard_values import LogQuery, Sample
from daemon.http.api.problems import ApiProblem
from daemon.http.api.routes import ApiRoutes
from daemon.http.api.types import made_of
from daemon.http.api.work_types import (
    DaemonFigures,
    KnowledgePassage,
    KnowledgePassages,
    KnowledgeSearch,
    LogFilter,
    LoggedLine,
    LoggedLines,
    NodeRow,
    NodeRows,
    NumberRow,
    NumberRows,
    NumberUsage,
    OutcomeCounts,
    OutcomeFilter,
    OutcomeRow,
    OutcomesOfDays,
    PartState,
    PeriodFigures,
    UsageOfDay,
    UsageRow,
    UsageToday,
    row_of,
)
from daemon.ops.operations import Operations
from daemon.ops.outcomes import figures_query


def add_daemon(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of numbers, nodes and figures."""

    @api.add("GET", "/numbers", action="read", tag="daemon")
    async def list_numbers() -> NumberRows:
        """List our numbers, with the state that each has at its gateway."""
        return NumberRows(
            numbers=[
                made_of(
                    NumberRow,
                    one.services.number.state.view,
                    name=one.name,
                    gateway=one.kind.name,
                )
                for one in operations.numbers
            ]
        )

    @api.add("GET", "/nodes", action="read", tag="daemon")
    async def list_nodes() -> NodeRows:
        """List the nodes of a cluster, and the numbers that each owns."""
        return NodeRows(nodes=[made_of(NodeRow, node) for node in await operations.views.nodes()])

    @api.add("GET", "/figures", action="read", tag="daemon")
    async def show_figures() -> DaemonFigures:
        """Show the state of each part of the daemon, and the figures of the last hour and day."""
        now = await operations.state.overview()
        return made_of(
            DaemonFigures,
            now,
            parts=[made_of(PartState, part) for part in now.parts],
            oldest_unanswered_at=now.oldest_unanswered,
            waiting_for_person=now.waiting,
            today=UsageOfDay(
                tokens=now.tokens_today,
                cost=now.cost_today,
                tokens_limit=now.tokens_limit,
                cost_limit=now.cost_limit,
                currency=now.currency,
            ),
            last_hour=_period([one for one in now.samples if one.at > now.at - 3600]),
            last_day=_period(now.samples),
        )

    @api.add("GET", "/outcomes", action="read", tag="daemon")
    async def show_outcomes(query: OutcomeFilter) -> OutcomesOfDays:
        """Show what came of customers' enquiries, by day, number and topic."""
        fields = {"from": query.first_day, "to": query.last_day, "number": query.number}
        fields["by"] = query.by
        zone = operations.numbers.first.services.config.rules.zone
        try:
            wanted = figures_query(fields.__getitem__, zone=zone, now=operations.now())
        except ValueError as error:
            raise ApiProblem(422, str(error)) from None
        found = await operations.outcomes(wanted)
        return OutcomesOfDays(
            first_day=found["from"],
            last_day=found["to"],
            rows=[OutcomeRow(**row) for row in found["rows"]],
            total=OutcomeCounts(**found["total"]),
        )

    @api.add("GET", "/usage", action="read", tag="daemon")
    async def show_usage() -> UsageToday:
        """Show what today has cost: of each number, and of the contacts that used most."""
        budget = (await operations.views.work())["budget"]
        first = operations.numbers.first.name
        return UsageToday(
            numbers=[
                made_of(NumberUsage, row, number=row["ours"] or first) for row in budget["numbers"]
            ],
            contacts=[row_of(UsageRow, row, first) for row in budget["chats"]],
        )


def add_reading(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of documents, files and the log."""

    @api.add("GET", "/knowledge", action="read", tag="knowledge", faults=(404,))
    async def search_knowledge(query: KnowledgeSearch) -> KnowledgePassages:
        """Search the business's documents as the model does."""
        name = query.number or operations.numbers.first.name
        found = await operations.views.search_knowledge(query.question, number=name)
        if found is None:
            raise ApiProblem(404, "there is no such number, or it has no documents")
        return KnowledgePassages(
            passages=[
                made_of(KnowledgePassage, one, file=one.path, score=round(one.score, 3))
                for one in found
            ]
        )

    @api.add("GET", "/files/{name}", action="read", tag="chats")
    async def read_file(name: str) -> Response:
        """Read the file of a message."""
        file = await operations.views.file(name)
        if file is None:
            raise ApiProblem(404, "there is no such file")
        path, mime = file
        try:
            answer = await send_file(
                path, mimetype=mime, as_attachment=True, attachment_filename=name
            )
        except FileNotFoundError:
            raise ApiProblem(404, "there is no such file") from None
        answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return answer

    @api.add("GET", "/log", action="read", tag="daemon")
    async def read_log(query: LogFilter) -> LoggedLines:
        """Read lines of the live log, as the dashboard shows them."""
        fields = msgspec.structs.asdict(query)
        found = await operations.live_log.lines(LogQuery(ref=fields.pop("chat"), **fields))
        lines = [made_of(LoggedLine, one, chat=one.ref) for one in found]
        return LoggedLines(lines=lines, after=lines[-1].id if lines else query.after)


def _period(samples: Sequence[Sample]) -> PeriodFigures:
    return PeriodFigures(
        **{
            name: sum(getattr(one, name) for one in samples)
            for name in PeriodFigures.__struct_fields__
        }
    )
