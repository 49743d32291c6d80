"""`recado figures`: what came of customers' enquiries."""

import time

import click

from daemon.ledger.enquiries import enquiries_between
from daemon.ops.commands.place import AS_JSON, CommandFailure, Place, print_json, takes_place
from daemon.ops.outcomes import BY, as_csv, figures_query, shown_figures

EXAMPLE = """\b
Example:
  recado figures
  recado figures --from 2026-11-01 --to 2026-11-30 --by day,number --csv > november.csv
"""


@click.command(name="figures", epilog=EXAMPLE)
@click.option("--from", "first", default="", help="The first day, YYYY-MM-DD; 30 days back.")
@click.option("--to", "last", default="", help="The last day; today.")
@click.option("--by", default="day", help=f"One or more of {', '.join(BY)}, with commas between.")
@click.option("--number", default="", help="Of this number alone.")
@click.option("--csv", "with_csv", is_flag=True, help="CSV with a heading.")
@AS_JSON
@takes_place
def figures_command(place: Place, *, with_csv: bool, as_json: bool, **fields: str) -> None:
    """Show how many enquiries were resolved automatically, handed over, wait, were reopened.

    An enquiry is what a customer wants at one time; docs/figures.md defines each figure.
    """
    texts = {"from": fields["first"], "to": fields["last"], **fields}
    try:
        query = figures_query(texts.__getitem__, zone=place.zone, now=time.time())
    except ValueError as error:
        raise CommandFailure(str(error)) from error
    with place.reading() as connection:
        rows = enquiries_between(connection, query.first_day, query.last_day, number=query.number)
    figures = shown_figures(rows, query)
    if as_json:
        print_json(figures)
        return
    if with_csv:
        click.echo(as_csv(figures, query.by), nl=False)
        return
    for row in (*figures["rows"], {**figures["total"], query.by[0]: "total"}):
        named = " ".join(str(row.get(name, "")) or "-" for name in query.by).strip()
        share = row["automatic_share"]
        seconds = row["first_answer_median"]
        click.echo(
            f"{named}  enquiries {row['enquiries']}, automatic {row['automatic']}"
            + ("" if share is None else f" ({share:.0%})")
            + f", handed over {row['handed_over']}, waiting {row['waiting']}"
            f", unanswered {row['unanswered']}, reopened {row['reopened']}"
            + ("" if seconds is None else f", first answer {seconds:.0f} s")
        )
