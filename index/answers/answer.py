"""What every answer can do: become flat rows, JSON, CSV, a DataFrame, a page, a table in a notebook."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from index.answers.control import COLUMN, Control
from index.answers.page import Block, Sentence, Words
from index.tokens.display import display

if TYPE_CHECKING:
    import pandas as pd

HTML_ROWS = 60
"""How many rows a notebook shows; a DataFrame holds them all."""

_IDS = ("id", "a_id", "b_id")
"""The keys of rows that hold the ids of the tokens they are of."""

Row = dict[str, Any]
"""One line of CSV: exact texts, numbers, which may be infinite, None for what there is not."""


class Answer:
    """What a question is answered with: a frozen dataclass that says how it is shown.

    A new kind of answer defines `rows` and `page`, and `columns` where it may have no rows.
    """

    columns: ClassVar[Mapping[str, type]] = {}
    """The keys of `rows` with the types of their values; empty: as the rows have them."""

    no: ClassVar[str] = ""
    """What a refusal comes to in a few words, where one need not look at the answer to say it."""

    null_model: ClassVar[Control | None] = None
    """What it is about, where that is no model: then every form says so. An instance has its own (`about`)."""

    @property
    def more_columns(self) -> Mapping[str, type]:
        """Columns that this answer has besides `columns`; none, unless it says otherwise."""
        return {}

    def rows(self) -> list[Row]:
        """Return the answer as flat records, all with the same keys."""
        raise NotImplementedError

    def page(self) -> list[Block]:
        """Return what a person is shown, in the order of reading."""
        raise NotImplementedError

    def json(self) -> Any:
        """Return the answer as what JSON can hold: its fields, unless it says otherwise."""
        return jsonable(self)

    @property
    def title(self) -> Words:
        """What a picture of the answer is called, before `in` and the name of the bundle; empty: as the question."""
        return ""

    @property
    def refusal(self) -> str | None:
        """Why the answer is no, in a line; None where it is not."""
        return None

    @property
    def note(self) -> str | None:
        """What to know of an answer besides, in a line; None where there is nothing."""
        return None

    @property
    def ok(self) -> bool:
        """Whether the answer is not no."""
        return self.refusal is None

    def complete(self) -> Self:
        """Work out now what `json` and `page` say beyond the rows, where that is left until it is asked for."""
        return self

    def about(self, control: Control | None) -> None:
        """Note that the answer is about a control; of None, that it is about a model."""
        if control is not None:
            object.__setattr__(self, "null_model", control)  # answers are frozen, and this is no field of any

    def token_ids(self) -> list[int]:
        """Return the ids of the tokens that its rows list, in their order."""
        return [row[name] for row in self.rows() if row.get("row", 0) is not None for name in _IDS if name in row]

    @classmethod
    def names_tokens(cls) -> bool:
        """Whether answers of this kind can list tokens."""
        return cls.token_ids is not Answer.token_ids or not cls.columns or not set(_IDS).isdisjoint(cls.columns)

    def to_pandas(self) -> pd.DataFrame:
        """Return the answer as a DataFrame, one line for each of `rows`, with exact texts."""
        import pandas as pd

        return pd.DataFrame(rows_of(self), columns=list(columns_of(self)))

    def _repr_html_(self) -> str:
        found = rows_of(self)
        if not found:
            return "<p>nothing found</p>"
        names = list(columns_of(self))
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(_cell(row[name]))}</td>' for name in names)}</tr>" for row in found[:HTML_ROWS]
        )
        more = f"<p>{len(found) - HTML_ROWS:,} more; to_pandas() has all</p>" if len(found) > HTML_ROWS else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


class Answers(Answer):
    """Answers to several things asked at once, each made when it is looked at: JSON has a line for each."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Answer]:
        raise NotImplementedError

    def rows(self) -> list[Row]:
        """Return the rows of all, one behind the other."""
        return [row for each in self for row in each.rows()]

    def json(self) -> Any:
        """Return all as a list."""
        return [each.json() for each in self]

    def page(self) -> list[Block]:
        """Return all pages, one behind the other."""
        return [block for each in self for block in each.page()]


def rows_of(answer: Answer) -> list[Row]:
    """Return an answer's rows; those about a control say so."""
    return labeled(answer.rows(), answer.null_model)


def labeled(rows: list[Row], control: Control | None) -> list[Row]:
    """Return rows with the column that names the control they are about, if they are."""
    return rows if control is None else [{**row, COLUMN: control.short} for row in rows]


def json_of(answer: Answer) -> Any:
    """Return an answer as JSON; of one about a control, each object at the top says so first."""
    found = answer.json()
    if answer.null_model is None:
        return found
    said = {COLUMN: answer.null_model.json()}
    return {**said, **found} if isinstance(found, dict) else [{**said, **each} for each in found]


def page_of(answer: Answer) -> list[Block]:
    """Return an answer's page; one about a control says so first."""
    return answer.page() if answer.null_model is None else [Sentence(answer.null_model.sentence), *answer.page()]


def json_number(value: float) -> float | str | None:
    """Return a number as strict JSON has it: "Infinity" and "-Infinity" are texts, and what is undefined is None."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return None if math.isnan(value) else value


def jsonable(value: Any) -> Any:
    """Return what JSON can hold of a value: a record's fields, an enum's value, numbers by `json_number`."""
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(jsonable(key)): jsonable(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [jsonable(each) for each in value]
    if not isinstance(value, Answer) and hasattr(value, "json"):
        return value.json()
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """Return strict JSON; characters beyond ASCII are escaped, so a terminal obeys none of them."""
    return json.dumps(value, indent=indent, allow_nan=False)


def to_csv(columns: Sequence[str], rows: Sequence[Row], *, head: bool = True) -> str:
    """Return rows as lines of CSV, under a head where that is wanted."""
    out = StringIO()
    writer = csv.DictWriter(out, fieldnames=columns, lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def columns_of(answer: Answer) -> Mapping[str, type]:
    """Return the columns of an answer's rows, with types; where it names none, of the first value that each holds."""
    columns: Mapping[str, type] = {**answer.columns, **answer.more_columns}
    if not answer.columns:
        rows = answer.rows()
        names = rows[0] if rows else {}
        columns = {name: next((type(row[name]) for row in rows if row[name] is not None), str) for name in names}
    return with_label(columns, answer.null_model)


def with_label(columns: Mapping[str, type], control: Control | None) -> Mapping[str, type]:
    """Return columns, and behind them the one that names a control."""
    return columns if control is None else {**columns, COLUMN: str}


def nested_rows(value: Any) -> list[Row]:
    """Return a JSON object as one row for each figure in it, named by its path: `M.percentiles.50`."""

    def walk(name: str, value: Any) -> list[Row]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
        if inner is None:
            return [{"name": name, "value": value}]
        return [row for key, each in inner for row in walk(f"{name}.{key}" if name else str(key), each)]

    return walk("", value)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return display(value)
    if isinstance(value, float):
        return f"{value:.7g}"
    return "" if value is None else str(value)
