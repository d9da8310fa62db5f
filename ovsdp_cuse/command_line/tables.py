"""Tables for people: colours and the width of the window on a terminal, neither elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ovsdp_cuse.families.describe import printable

UNLIMITED_WIDTH = 10_000
"""Columns where there is no terminal, so that nothing is cut or folded."""


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()
) -> None:
    """Print a table; the columns named in `right` are aligned there. Cells are taken literally."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNLIMITED_WIDTH)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        cells = ("\n".join(map(printable, str(cell).split("\n"))) for cell in row)
        table.add_row(*map(Text, cells))
    console.print(table)
