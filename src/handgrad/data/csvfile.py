"""Tables of text (CSV, TSV): encoding, delimiter, decimal sign and header are guessed and said.

==============  ==================================================================================
guess           how
==============  ==================================================================================
encoding        a byte-order mark; else UTF-16 where every second byte is zero; else UTF-8; else, if some
                bytes are none, Windows-1252
delimiter       what a first line such as ``sep=;`` says, which Excel writes; else of comma,
                semicolon, tab, bar and blanks: which gives the most lines one count of
                cells above one
decimal sign    a comma, if more cells are numbers with a comma than with a point
header          the first line, unless it holds numbers, or the same texts, as the lines below it do;
                years or numbers from 0 or 1 on, one more in each cell, are names
lines above     a title and the like, above the first line that has the cells of nearly all lines, are
                left out; so are lines of blank cells, but for less than half
quoted lines    lines that are one quoted cell each, which holds as many cells as the header, are
                taken out of their quotation marks
==============  ==================================================================================

Lines that begin with # before the header are comments.  Cells are read by Python's ``csv``, block by block.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

from handgrad.data.table import GAPS, check_names
from handgrad.data.typing import bare
from handgrad.errors import DataError, OptionError, one_line, shown

DELIMITERS: Final = (",", ";", "\t", "|", " ")
NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blanks"}
MAX_COLUMNS: Final = 10_000
MAX_LINE: Final = 64 << 20  # characters
BLOCK: Final = 20_000  # rows at a time
_SAMPLE: Final = 200  # lines that are looked at
_ABOVE: Final = 20  # lines that may stand above a table
_SAMPLE_BYTES: Final = 1 << 20
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_BREAKS = re.compile(r"\s*[\r\n\v\f\x85\u2028\u2029]\s*")
_STATED = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
_COMMA = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+(e[-+]?\d+)?", re.IGNORECASE)
_POINT = re.compile(r"[-+]?\d*\.\d+(e[-+]?\d+)?", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)(e[-+]?\d+)?%?", re.IGNORECASE)


@dataclass
class CsvFile:
    """How a table of text is written.

    Attributes:
        decimal: "." or ",".
        names: of the columns.
        skip: whether lines of another length are left out.
        skipped: their numbers, known when all blocks were read.
        notes: on guesses.
        is_quoted: whether each line as a whole is in quotation marks.
        above: the number of the last line above the table.
    """

    path: Path
    encoding: str
    delimiter: str
    decimal: str
    has_header: bool
    names: list[str]
    skip: bool
    skipped: list[int]
    notes: list[str]
    is_quoted: bool = False
    above: int = 0

    def blocks(self, size: int = BLOCK) -> Iterator[dict[str, list[str | None]]]:
        """Yield up to `size` rows at a time: name -> texts, None for gaps."""
        for block, _ in self.marked_blocks(size):
            yield block

    def marked_blocks(
        self, size: int = BLOCK, keep: bool = False
    ) -> Iterator[tuple[dict[str, list[str | None]], dict[int, str]]]:
        """Yield what `blocks` yields, and what is wrong with rows that were kept as gaps, by their place."""
        self.skipped = []
        rows = _numbered_rows(self.path, self.encoding, self.delimiter, self.is_quoted)
        rows = (row for row in rows if row[0] > self.above)
        if self.has_header:
            next(rows, None)
        while block := list(islice(self._checked(rows, keep), size)):
            columns = {n: [_cell(row[k]) for row, _ in block] for k, n in enumerate(self.names)}
            yield columns, {k: wrong for k, (_, wrong) in enumerate(block) if wrong}

    def _checked(
        self, rows: Iterator[tuple[int, list[str]]], keep: bool
    ) -> Iterator[tuple[list[str], str]]:
        count = len(self.names)
        for number, row in rows:
            if len(row) == count + 1 and not row[-1].strip():  # a delimiter behind the last cell
                row = row[:-1]
            wrong = f"line {number}: {len(row)} cells, but there are {count} columns"
            if len(row) == count:
                yield row, ""
            elif keep:
                yield [""] * count, wrong
            elif self.skip:
                self.skipped.append(number)
            else:
                raise DataError(
                    f"{self.path}, {wrong}; correct the line, or leave such lines out with "
                    "skip_unreadable=True, or --set data.skip_unreadable=true"
                )


def open_csv(
    path: Path,
    *,
    delimiter: str = "",
    encoding: str = "",
    decimal: str = "",
    header: bool | None = None,
    skip: bool = False,
) -> CsvFile:
    """Look at a table of text and say how it is written; what is given is not guessed.

    Raises:
        DataError: it is empty, no text, or has too many columns.  OptionError: an option is unknown.
    """
    notes = []
    if delimiter not in ("", *DELIMITERS):
        raise OptionError(
            f"data: delimiter must be one of {', '.join(map(repr, DELIMITERS))}, got {delimiter!r}"
        )
    if decimal not in ("", ".", ","):
        raise OptionError(f"data: decimal must be '.' or ',', got {decimal!r}")
    if not encoding:
        encoding = _guess_encoding(path)
        if encoding == "cp1252":
            notes.append("the encoding is not UTF-8, it is taken for Windows-1252 (data.encoding)")
    lines = list(islice(_lines(path, encoding), _SAMPLE))
    if not any(line.strip() for line in lines):
        raise DataError(f"{path}: the file is empty")
    lines, is_quoted = _out_of_quotes(lines)
    if is_quoted:
        notes.append("each line is in quotation marks as a whole, which are taken off")
    if not delimiter:
        delimiter = _stated_delimiter(path, encoding) or _guess_delimiter(lines)
    rows = _numbered_rows(path, encoding, delimiter, is_quoted)
    numbered = list(islice(rows, _SAMPLE))
    if not numbered:
        raise DataError(f"{path}: the file holds no rows")
    sample = [row for _, row in numbered]
    over = _lines_above(sample)
    above = numbered[over - 1][0] if over else 0
    if over:
        notes.append(
            f"{over} lines above the table are left out, of which the first is {shown(sample[0])}"
        )
    first, *rest = sample = sample[over:]
    if len(first) > MAX_COLUMNS:
        raise DataError(
            f"{path}: {len(first):,} columns, at most {MAX_COLUMNS:,} are read; is every line a "
            "column? Or is "
            f"{NAMES[delimiter]} not what stands between the cells?"
        )
    if not decimal:
        decimal = _guess_decimal(sample, delimiter)
    if delimiter != "," or decimal != ".":
        notes.append(
            f"cells are separated by {NAMES[delimiter]}, the decimal sign is a "
            f"{'comma' if decimal == ',' else 'point'}"
        )
    has_header = _is_header(first, rest) if header is None else header
    if not has_header:
        notes.append("the first line is taken for data, columns are called column1, column2, ...")
    names = _column_names(first, has_header)
    if has_header and rest and all(len(row) == len(first) + 1 for row in rest):
        names = ["column1", *names]  # the header lacks the column of row names, as R writes it
    check_names(names)
    return CsvFile(
        path, encoding, delimiter, decimal, has_header, names, skip, [], notes, is_quoted, above
    )


def _cell(text: str) -> str | None:
    text = text.strip()
    return None if text.lower() in GAPS else text


def _guess_encoding(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(4)
            for mark, name in _MARKS:
                if head.startswith(mark):
                    return name
            head += file.read(_SAMPLE_BYTES)
            if b"\0" in head:
                for place, name in ((1, "utf-16-le"), (0, "utf-16-be")):
                    if head[place::2].count(0) > 0.9 * (len(head) // 2) and any(
                        head[1 - place :: 2]
                    ):
                        return name
                raise DataError(f"{path}: no text: it holds zero bytes; is it of another kind?")
        with path.open(encoding="utf-8") as text:
            while text.read(_SAMPLE_BYTES):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    return "utf-8"


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file, without the comments in front of the first one."""
    try:
        # newline="": csv wants to see those inside of quotes
        with path.open(encoding=encoding, newline="", errors="replace") as file:
            begun, is_first = False, True
            while line := file.readline(MAX_LINE):
                if len(line) >= MAX_LINE:
                    raise DataError(f"{path}: a line is longer than {MAX_LINE:,} characters")
                if is_first and _STATED.fullmatch(line):
                    continue
                is_first = False
                begun = begun or not line.startswith("#")
                if begun:
                    yield line
    except LookupError:
        raise OptionError(f"data: encoding {encoding!r} is not known") from None
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read as {encoding}: {one_line(error)}") from None


def _out_of_quotes(lines: list[str]) -> tuple[list[str], bool]:
    """Return the lines, and whether all but perhaps the first are one quoted cell that holds several.

    Such lines are returned without their quotation marks.
    """
    try:
        rows = [row for row in csv.reader(lines, skipinitialspace=True) if row]
        begun = sum(line.lstrip().startswith('"') for line in lines)
        if len(rows) < 2 or begun < len(rows) - 1 or any(len(row) > 1 for row in rows[1:]):
            return lines, False
        first = rows[0][0] if len(rows[0]) == 1 else lines[0]
        inner = [first, *(row[0] for row in rows[1:])]
        delimiter = _guess_delimiter(inner)
        counts = {len(row) for row in csv.reader(inner, delimiter=delimiter, skipinitialspace=True)}
    except csv.Error:
        return lines, False
    is_quoted = delimiter != " " and len(counts) == 1 and counts != {1}
    return (inner, True) if is_quoted else (lines, False)


def _lines_above(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows stand above the table: shorter by two cells at least, or blank by half of them."""
    counts = Counter(len(row) for row in rows[1:])
    cells, often = counts.most_common(1)[0] if counts else (1, 0)
    if cells < 3 or often < 0.8 * len(rows[1:]):
        return 0
    for k, row in enumerate(rows[:_ABOVE]):
        blank = sum(not cell.strip() for cell in row) + max(0, cells - len(row))
        if blank < 2 or 2 * blank < cells:
            is_whole = any(len(above) == cells for above in rows[:k])  # perhaps a row with gaps
            return (
                k if rows[k + 1 :] and not (is_whole and not _is_header(row, rows[k + 1 :])) else 0
            )
    return 0


def _numbered_rows(
    path: Path, encoding: str, delimiter: str, is_quoted: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the line, cells) of every line that is not blank."""
    lines = _lines(path, encoding)
    if delimiter == " ":
        lines = (" ".join(line.split()) for line in lines)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if is_quoted and len(row) == 1:
                row = next(csv.reader(row, delimiter=delimiter, skipinitialspace=True), [])
            if row and (len(row) > 1 or row[0].strip()):
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {one_line(error)}; is a quotation mark open, or is it no "
            "table of text?"
        ) from None


def _stated_delimiter(path: Path, encoding: str) -> str:
    """The delimiter that the first line states, as Excel's ``sep=;``; "" where it states none."""
    try:
        with path.open(encoding=encoding, newline="", errors="replace") as file:
            stated = _STATED.fullmatch(file.readline(20))
    except (LookupError, OSError, UnicodeError):
        return ""
    return stated[1] if stated and stated[1] in DELIMITERS else ""


def _guess_delimiter(lines: Sequence[str]) -> str:
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        chosen = [" ".join(line.split()) if delimiter == " " else line for line in lines]
        try:
            rows = [r for r in csv.reader(chosen, delimiter=delimiter, skipinitialspace=True) if r]
        except csv.Error:
            continue
        counts = Counter(len(row) for row in rows[:-1] or rows)  # the last may be cut off
        cells, often = counts.most_common(1)[0] if counts else (1, 0)
        if cells < 2:
            continue
        score = often / sum(counts.values()) - (0.3 if delimiter == " " else 0.0)
        if delimiter == "," and _mostly_decimal(rows):
            score -= 0.5
        if score > best_score + 1e-9:
            best, best_score = delimiter, score
    return best


def _mostly_decimal(rows: Sequence[Sequence[str]]) -> bool:
    """Whether commas seem to stand in numbers: a semicolon, tab or bar is in nearly every line, too."""
    other = [any(mark in cell for cell in row for mark in ";\t|") for row in rows]
    return sum(other) > 0.8 * len(rows)


def _guess_decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    if delimiter == ",":
        cells = [cell.strip() for row in rows for cell in row if "," in cell]
        if not cells:
            return "."
    commas = points = 0
    for row in rows:
        for cell in row:
            cell = bare(cell)
            commas += bool(_COMMA.fullmatch(cell))
            points += bool(_POINT.fullmatch(cell))
    return "," if commas > points else "."


def _is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    numbers = sum(bool(_NUMBER.fullmatch(cell.strip())) for cell in first)
    if _counts_on(first) and not any(map(_counts_on, rest)):
        return True
    if not numbers or not rest:
        return not numbers and not _is_repeated(first, rest)
    filled = [k for k, cell in enumerate(first) if cell.strip()]
    cells = [row[k].strip() for row in rest for k in filled if k < len(row)]
    return numbers < 0.5 * sum(bool(_NUMBER.fullmatch(cell)) for cell in cells) / len(rest)


def _counts_on(row: Sequence[str]) -> bool:
    """Whether all numbers of a row are whole and count on: 0, 1, ..., or years, of which some may lack."""
    cells = [cell.strip() for cell in row if _NUMBER.fullmatch(cell.strip())]
    if len(cells) < 2 or not all(cell.isdecimal() and len(cell) < 6 for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    steps = {after - before for before, after in pairwise(numbers)}
    if numbers[0] >= 1800 and numbers[-1] <= 2100:
        return steps == {1} or (len(numbers) > 2 and min(steps) > 0)
    return numbers[0] in (0, 1) and len(cells) > 2 and steps == {1}


def _is_repeated(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether half of the first line's cells appear again in their column, as data do."""
    again = [
        any(len(row) > k and row[k] == cell for row in rest) for k, cell in enumerate(first) if cell
    ]
    return bool(again) and sum(again) >= 0.5 * len(again)


def _column_names(first: Sequence[Any], has_header: bool) -> list[str]:
    if not has_header:
        return [f"column{k + 1}" for k in range(len(first))]
    names = [
        _BREAKS.sub(" ", str(cell).strip()) or f"column{k + 1}" for k, cell in enumerate(first)
    ]
    too_long = next((name for name in names if len(name) > 1000), None)
    if too_long is not None:
        raise DataError(
            f"data: the header holds a name of {len(too_long):,} characters: {shown(too_long)}"
        )
    return names
