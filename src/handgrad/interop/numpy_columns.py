# mypy: disable-error-code="no-untyped-def, no-untyped-call"
"""What an exported NumPy file does with the columns of a table, as it is written into it.

The functions stand alone, as those of `numpy_layers`; see `handgrad.interop.columns` for what they compute.
"""

import numpy as np


def encoded(table, fields):
    """A dictionary of columns -> numbers (N, K): texts become places, gaps ("", "NA") NaN, dates days"""
    numbers, gaps = [], ("", "na", "n/a", "nan", "null", "?", "#n/a", "<na>")
    of_numbers = (*gaps, "-", ".", "none", "nil", "missing")  # which are texts in a category
    for name, kind, more in fields:
        words = gaps if kind == "category" else of_numbers
        known = [str(v).strip().lower() not in words and v == v for v in table[name]]
        values = [
            v if k and v is not None else None for v, k in zip(table[name], known, strict=True)
        ]
        if kind == "category":
            places = {text: k for k, text in enumerate(more[:-1])}
            values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
            numbers.append([np.nan if v is None else places.get(str(v), more[-1]) for v in values])
        elif kind == "date":
            numbers += date_numbers(values, more)
        else:
            truths = {"true": 1, "yes": 1, "t": 1, "false": 0, "no": 0, "f": 0}
            values = [truths.get(v.lower(), v) if isinstance(v, str) else v for v in values]
            numbers.append([np.nan if v is None else float(v) for v in values])
    return np.array(numbers, np.float64).T


def date_numbers(values, parts):
    """Days since 1970, then sine and cosine of where a date is in its year, its week or its day"""
    when = np.array(["NaT" if v is None else str(v) for v in values], "datetime64[s]")
    day, year = when.astype("datetime64[D]"), when.astype("datetime64[Y]")
    length = (year + np.timedelta64(1, "Y")).astype("datetime64[s]") - year.astype("datetime64[s]")
    turns = {
        "month": (when - year.astype("datetime64[s]")) / length,
        "weekday": (day - np.datetime64("1969-12-29")) / np.timedelta64(1, "D") % 7 / 7,
        "hour": (when - day.astype("datetime64[s]")) / np.timedelta64(1, "D"),
    }
    numbers = [(when - np.datetime64("1970-01-01T00:00:00")) / np.timedelta64(1, "D")]
    for part in parts:
        numbers += [np.sin(2 * np.pi * turns[part]), np.cos(2 * np.pi * turns[part])]
    return numbers


def of_columns(x, source, level, gap, fill):
    """Numbers (N, K) -> (N, D): those of the columns, 0 or 1 for each text, 0 or 1 for gaps"""
    v = x[:, source]
    missing = np.isnan(v)
    numbers = np.where(missing, fill, v)
    return np.where(gap, missing, np.where(np.isnan(level), numbers, v == level))
