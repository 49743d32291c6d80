"""Routes of the desk's own list of labels; `chat_routes` has those of each chat."""

from daemon.domain.labels import label_fault
from daemon.http.api.callers import Caller
from daemon.http.api.problems import ApiProblem
from daemon.http.api.routes import ApiRoutes
from daemon.http.api.types import DeskLabel, RowId
from daemon.ops.operations import Operations
from daemon.ops.operator_views import OperatorViews


def add_label_list(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of the desk's own list of labels."""
    views = operations.views

    @api.add("POST", "/labels", action="label list", tag="contacts", status=204, faults=(409,))
    async def add_label(body: DeskLabel, caller: Caller) -> None:
        """Add a label to the desk's own list, for numbers whose gateway has no labels."""
        name = _given(body, views)
        if fault := await operations.desk_labels.add(
            name, body.color, by=caller.actor, now=operations.now()
        ):
            raise ApiProblem(409, fault)

    @api.add(
        "PUT", "/labels/{id}", action="label list", tag="contacts", status=204, faults=(404, 409)
    )
    async def change_label(id: RowId, body: DeskLabel, caller: Caller) -> None:  # noqa: A002
        """Rename a label of the desk's own list, also on chats, or give it another color."""
        name = _given(body, views)
        await _require(id, operations)
        by, channels, now = caller.actor, views.labelled_here, operations.now()
        fault = await operations.desk_labels.edit(
            id, name, body.color, channels=channels, by=by, now=now
        )
        if fault:
            raise ApiProblem(409, fault)

    @api.add(
        "DELETE", "/labels/{id}", action="label list", tag="contacts", status=204, faults=(404,)
    )
    async def delete_label(id: RowId, caller: Caller) -> None:  # noqa: A002
        """Delete a label of the desk's own list, also from chats."""
        await _require(id, operations)
        by, now = caller.actor, operations.now()
        await operations.desk_labels.drop(id, channels=views.labelled_here, by=by, now=now)


def _given(body: DeskLabel, views: OperatorViews) -> str:
    """The name of a label in its stored form. Raises ApiProblem."""
    name = " ".join(body.name.split())
    if not views.labelled_here:
        raise ApiProblem(409, "the labels of our numbers are made in WhatsApp Business")
    if fault := label_fault(name, body.color):
        raise ApiProblem(422, fault)
    return name


async def _require(number: int, operations: Operations) -> None:
    if str(number) not in {label.id for label in await operations.desk_labels.all()}:
        raise ApiProblem(404, "there is no such label")
