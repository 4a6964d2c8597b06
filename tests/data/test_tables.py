"""Tables of one's own: files of text in every form, gaps, categories, dates; what is left out; frames."""

import json
import tracemalloc
from contextlib import suppress
from datetime import datetime

import numpy as np
import pytest
from data.own import table_text

from handgrad.data import Description, Table, TablePreprocessing, from_table, load
from handgrad.data.columns import Column
from handgrad.data.csvfile import MAX_COLUMNS, open_csv
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.data.table import as_numbers, as_table, as_texts
from handgrad.data.tablefile import read_table, table_blocks
from handgrad.data.typing import format_of, numbers_of
from handgrad.errors import DataError, HandgradError, OptionError

TEXT = table_text()


@pytest.fixture
def write(tmp_path):
    def written(content, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return written


def notes_of(dataset):
    return "\n".join(dataset.notes)


def test_a_table_with_everything_in_it(write):
    dataset = load("table", path=str(write(TEXT)), target="label")
    assert dataset.task == "classification"
    assert dataset.class_names == ("no", "yes")
    assert dataset.preprocessing.feature_names[:2] == ["age", "age is missing"]
    names = [column.name for column in dataset.preprocessing.columns]
    assert names == ["age", "town", "member", "since", "leak"]
    kinds = [column.kind for column in dataset.preprocessing.columns]
    assert kinds == ["number", "category", "category", "date", "number"]
    assert "column 'id' is left out: it counts the rows" in notes_of(dataset)
    assert "column 'constant' is left out: all training rows have the same value, " in notes_of(
        dataset
    )
    assert "column 'leak' alone tells 'label'" in notes_of(dataset)
    assert "column 'age' alone" not in notes_of(dataset)
    assert dataset.settings["delimiter"] == ","
    for part, rows in dataset.split.parts.items():
        assert dataset.arrays[f"X_{part}"].shape == (len(rows), dataset.input_shape[0])


def test_numbers_with_units_are_the_same_for_training_and_for_prediction(write):
    """A file that is predicted is read cell by cell; a unit or one odd cell must not make a column gaps."""
    money = "\n".join(["a;p;label", *(f"${k * 7 % 40};{k}.5 %;{'xy'[k % 2]}" for k in range(60))])
    swiss = "\n".join(
        ["a;p;label", *(f"1'{100 + k * 7 % 40}.5;{k};{'xy'[k % 2]}" for k in range(60))]
    )
    euro = "\n".join(
        ["a;p;label", *(f"1.{100 + k * 7 % 40},5 €;{k},25;{'xy'[k % 2]}" for k in range(60))]
    )
    for text in (money, swiss, euro):
        path = write(text)
        dataset = from_table(path, "label")
        assert {"a"} <= set(dataset.preprocessing.feature_names)
        table = read_table(path).table
        assert table["a"].dtype == np.float64
        ((block, _),) = table_blocks(path)
        X = dataset.preprocessing(table)
        np.testing.assert_array_equal(dataset.preprocessing(block), X)
        head, *lines = text.splitlines()
        cells = lines[3].split(";")
        lines[3] = ";".join(["unknown", *cells[1:]])
        ((block, _),) = table_blocks(write("\n".join([head, *lines[:5]]), "new.csv"))
        other = dataset.preprocessing(block)
        np.testing.assert_array_equal(np.delete(other, 3, 0), np.delete(X[:5], 3, 0))


def test_long_whole_numbers_keep_every_digit(write):
    first = 2**53 + 1
    rows = [f"{k % 7},{first + k % 2}" for k in range(60)]
    dataset = from_table(write("\n".join(["a,label", *rows])), "label")
    assert dataset.class_names == (str(first), str(first + 1))
    table = as_table({"a": np.arange(3) + first, "b": np.arange(3) * 2**60})
    assert table["a"].tolist() == [str(first), str(first + 1), str(first + 2)]
    assert table["b"].dtype == np.float64  # no digit is lost


EXCEL = "a;b;label\r\n" + "".join(f"{k},5;{k * 5 % 7};{'xy'[k % 2]}\r\n" for k in range(60))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("sep=;\r\n" + EXCEL, "utf-8"),
        ('"sep=;"\n' + EXCEL, "utf-8-sig"),
        (EXCEL, "utf-16-le"),
        (EXCEL, "utf-16-be"),
        (EXCEL, "utf-16"),
        (EXCEL, "utf-32"),
        (EXCEL.replace("\r\n", "\r"), "cp1252"),
    ],
)
def test_what_spreadsheets_write_is_read(write, text, encoding):
    dataset = from_table(write(text, encoding=encoding), "label")
    assert dataset.preprocessing.feature_names == ["a", "b"]
    assert sum(len(rows) for rows in dataset.split.parts.values()) == 60


def test_none_is_a_gap_among_numbers_and_a_text_among_texts(write):
    rows = [f"{'-' if k % 9 == 0 else k},{['none', 'mild', '-'][k % 3]},{'none' if k % 2 else 'high'}"
            for k in range(60)]  # fmt: skip
    path = write("\n".join(["size,sign,label", *rows]))
    table = read_table(path).table
    assert np.isnan(table["size"]).sum() == 7
    assert set(table["sign"]) == {"none", "mild", "-"}
    dataset = from_table(path, "label")
    assert dataset.class_names == ("high", "none")
    assert sum(len(rows) for rows in dataset.split.parts.values()) == 60
    assert "sign=none" in dataset.preprocessing.feature_names
    # blocks for prediction say the same
    ((block, wrong),) = table_blocks(path)
    assert not wrong
    parts = [dataset.preprocessing(block), dataset.preprocessing(table)]
    np.testing.assert_array_equal(*parts)


def test_numbers_are_centred_and_scaled_and_gaps_filled_by_the_median_of_training_rows():
    age = np.array([1.0, np.nan, 3.0, 8.0, 100.0, 2.0])
    column = Column.fit("age", "number", age[:4])
    assert column.fill == 3.0
    assert column.gaps
    assert column.numbers(age)[:, 0].tolist() == [1, 3, 3, 8, 100, 2]
    assert column.numbers(age)[:, 1].tolist() == [0, 1, 0, 0, 0, 0]
    prepare = TablePreprocessing.fit(Table({"age": age[:4]}), {"age": "number"}, dtype="float64")
    X = prepare({"age": age[:4]})
    np.testing.assert_allclose(X[:, 0].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(X[:, 0].std(), 1)
    assert X[:, 1].tolist() == [-0.25, 0.75, -0.25, -0.25]


def test_categories_rare_ones_and_those_never_seen():
    texts = ["a"] * 5 + ["b"] * 5 + ["c"]
    column = Column.fit("x", "category", as_table({"x": texts})["x"], 2)
    assert column.feature_names == ["x=a", "x=b", "x=(other)"]
    marks = column.numbers(np.array(["a", "c", "never", None], object))
    assert marks.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]]
    plain = Column.fit("x", "category", as_table({"x": texts[:10]})["x"], 1)
    assert plain.numbers(np.array(["never"], object)).tolist() == [[0, 0]]


def test_dates_become_days_and_points_on_circles():
    days = np.array(["2024-01-01", "2024-07-02", "2025-01-06", "NaT"], "datetime64[us]")
    column = Column.fit("d", "date", days)
    assert column.feature_names == [
        "d", "d month sin", "d month cos", "d weekday sin", "d weekday cos", "d is missing",
    ]  # fmt: skip
    numbers = column.numbers(days)
    assert numbers[:3, 0].tolist() == [19723, 19906, 20094]
    np.testing.assert_allclose(numbers[0, 1:5], [0, 1, 0, 1])  # 1 January, a Monday
    np.testing.assert_allclose(numbers[1, 1], np.sin(2 * np.pi * 183 / 366), atol=1e-9)
    assert numbers[2, 3:5].tolist() == numbers[0, 3:5].tolist()


@pytest.mark.parametrize(
    ("text", "name", "encoding", "noted"),
    [
        ("a,b\n1.5,x\n2.5,ö\n", "t.csv", "utf-8", ""),
        ("a,b\n1.5,x\n2.5,ö\n", "t.csv", "utf-8-sig", ""),
        ("a,b\n1.5,x\n2.5,ö\n", "t.csv", "utf-16", ""),
        ("a,b\n1.5,x\n2.5,ö\n", "t.csv", "cp1252", "Windows-1252"),
        ("a;b\n1,5;x\n2,5;ö\n", "t.csv", "utf-8", "semicolon, the decimal sign is a comma"),
        ("a\tb\n1,5\tx\n2,5\tö\n", "t.tsv", "utf-8", "tab, the decimal sign is a comma"),
        ('a,b\n"1,5",x\n"2,5",ö\n', "t.csv", "utf-8", "comma, the decimal sign is a comma"),
        ("a|b\n1.5|x\n2.5|ö\n", "t.txt", "utf-8", "bar"),
        ("a   b\n1.5 x\n 2.5  ö\n", "t.data", "utf-8", "blanks"),
        ('# a comment, here\na,b\r\n1.5,"x"\r\n\r\n2.5,ö', "t.csv", "utf-8", ""),
        ("a,b,\n1.5,x,\n2.5,ö,\n", "t.csv", "utf-8", ""),
    ],
)
def test_files_of_text_in_many_forms_say_the_same(write, text, name, encoding, noted):
    read = read_table(write(text, name, encoding))
    assert read.table["a"].tolist() == [1.5, 2.5]
    assert read.table["b"].tolist() == ["x", "ö"]
    assert noted in "\n".join(read.notes)


def test_a_table_without_a_header(write):
    read = read_table(write("1,a\n2,b\n3,a\n"))
    assert read.table.names == ("column1", "column2")
    assert len(read.table) == 3
    assert read_table(write("x,y\nx,z\nw,y\n")).table.names == ("column1", "column2")
    assert read_table(write("1,2\n3,4\n"), header=True).table.names == ("1", "2")


BELOW = [f"{k % 5}.5,{k % 7}.25,{k % 3},{'xy'[k % 2]}" for k in range(40)]


@pytest.mark.parametrize(
    ("above", "head", "count"),
    [
        (['"Data Source",World Bank', "", "Last Updated,2024-06-28", ""], "a,b,c,kind", 40),
        (["Extract of March,,,", "Account,00012345,,"], "a,b,c,kind", 40),
        (["one cell"], "a,b,c,kind", 40),
        (["# a comment", "a title"], "2018,2019,2020,kind", 40),  # years are names
        ([], "1970,1990,2010,kind", 40),
        ([], "0,1,2,kind", 40),  # as pandas calls columns
        ([], ",b,c,kind", 40),
        ([], ",,,x", 41),
        (["0.5,,,x"], "1.5,,,y", 42),  # rows with gaps, and no header
        (["a,b,c,kind"], ",,,x", 41),  # a row with gaps behind the header
    ],
)
def test_lines_above_a_table_are_left_out_and_its_header_is_found(write, above, head, count):
    file = open_csv(write("\n".join([*above, head, *BELOW])))
    blocks = list(file.blocks())
    assert [len(column) for column in blocks[0].values()] == [count] * 4
    left_out = count == 40 and bool(above)
    assert any("lines above the table" in note for note in file.notes) == left_out
    if count == 40:
        assert file.names == [name or "column1" for name in head.split(",")]
        assert next(iter(blocks[0].values()))[0] == "0.5"
    else:
        assert file.has_header == (above == ["a,b,c,kind"])


def test_whole_numbers_that_count_on_in_many_rows_are_no_header(write):
    file = open_csv(write("\n".join(f"{k},{k + 1},{k + 2}" for k in range(30))))
    assert not file.has_header
    file = open_csv(write("\n".join(f"{1900 + k},{1930 + 2 * k},{1999 + k}" for k in range(30))))
    assert not file.has_header


@pytest.mark.parametrize("head", ["a,name,kind", '"a,name,kind"'])
def test_lines_in_quotation_marks_as_a_whole(write, head):
    rows = [f'{k % 7},"Li, {"AB"[k % 2]}",{"xy"[k % 2]}' for k in range(40)]
    inside = [row.replace('"', '""') for row in rows]
    plain = from_table(write("\n".join([head.strip('"'), *rows])), "kind")
    path = write("\n".join([head, *(f'"{row}"' for row in inside)]), "quoted.csv")
    dataset = from_table(path, "kind")
    assert dataset.fingerprint() == plain.fingerprint()
    assert any("in quotation marks as a whole" in note for note in dataset.notes)
    for text in ("Li, A", "Li, Ann B"):  # one column of texts, and no table within
        path = write("\n".join(["name", *(f'"{text}"' for _ in range(9))]), "names.csv")
        assert list(read_table(path).table.columns) == ["name"]


def test_numbers_in_texts_of_people():
    texts = ["1,234.5", "12 %", "$3", "-1e3", None, "1_0", ".5", "x"]
    expected = [1234.5, 12, 3, -1000, np.nan, np.nan, 0.5, np.nan]
    np.testing.assert_array_equal(numbers_of(texts), expected)
    np.testing.assert_array_equal(numbers_of(["1.234,5", "2,5", "7"], ","), [1234.5, 2.5, 7])


def test_dates_in_texts_of_people():
    for format in ("iso", "%d.%m.%Y", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%b %d, %Y", "%Y-%m"):
        days = [datetime(2020, month, day) for month, day in ((1, 2), (3, 25), (12, 13))]
        texts = [d.isoformat() if format == "iso" else d.strftime(format) for d in days]
        assert format_of(texts) == format, texts
    assert format_of(["2020-01-01", "soon"]) == ""


def test_a_column_of_numbers_with_a_few_texts_stays_one_and_says_so(write):
    rows = "\n".join(f"{k},{k % 3}" for k in range(60))
    read = read_table(write(f"a,b\n{rows}\nabout 7,1\n?,2\n"))
    assert read.table["a"].dtype == np.float64
    assert np.isnan(read.table["a"][-2:]).all()
    assert any("'about 7'" in note for note in read.notes)


def test_a_column_that_turns_into_texts_later_is_read_as_texts_from_the_start(write):
    from handgrad.data import csvfile

    rows = "\n".join(f"0{k},x" for k in range(csvfile.BLOCK + 5))
    more = "\n".join(f"a{k % 5},x" for k in range(5000))
    read = read_table(write(f"code,b\n{rows}\n{more}\n"))
    assert read.table["code"][:2].tolist() == ["00", "01"]
    assert len(read.table) == csvfile.BLOCK + 5005


@pytest.mark.parametrize(
    "library", ["pandas", "polars", "pyarrow", "dictionary", "parquet", "arrow"]
)
def test_frames_and_files_of_columns_give_what_the_csv_gives(write, tmp_path, library):
    path = write(TEXT)
    expected = from_table(path, "label")
    if library == "dictionary":
        frame = dict(read_table(path).table.columns)
    else:
        pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
        pandas_frame = pandas.read_csv(path, parse_dates=["since"])
        pandas_frame["member"] = pandas_frame["member"].map({True: "true", False: "false"})
        pandas_frame["town"] = pandas_frame["town"].astype("category")
        table = pyarrow.Table.from_pandas(pandas_frame)
        frame = {
            "pandas": lambda: pandas_frame,
            "polars": lambda: pytest.importorskip("polars").from_arrow(table),
            "pyarrow": lambda: table,
            "parquet": lambda: _file(table, tmp_path / "t.parquet"),
            "arrow": lambda: _file(table, tmp_path / "t.arrow"),
        }[library]()
    made = from_table(frame, "label")
    assert made.preprocessing.feature_names == expected.preprocessing.feature_names
    assert made.fingerprint() == expected.fingerprint()
    if not isinstance(frame, str):
        assert np.array_equal(expected.preprocessing(frame), made.preprocessing(frame))


def _file(table, path):
    import pyarrow.feather
    import pyarrow.parquet

    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, path)
    return str(path)


def test_blocks_of_a_file_are_prepared_as_the_whole(write):
    path = write(TEXT.replace("yes", "ja"))
    dataset = from_table(path, "label")
    whole = dataset.preprocessing(read_table(path).table)
    parts = [dataset.preprocessing(block) for block, _ in table_blocks(path, 7)]
    assert len(parts) == 18
    assert np.array_equal(np.concatenate(parts), whole)
    comma = write("a;b;y\n" + "\n".join(f"{k % 7},5;{k % 3};{k % 2}" for k in range(60)), "c.csv")
    dataset = from_table(comma, "y")
    blocks = [dataset.preprocessing(block) for block, _ in table_blocks(comma, 20)]
    assert np.array_equal(np.concatenate(blocks), dataset.preprocessing(read_table(comma).table))


def test_the_description_survives_json(write):
    path = write(TEXT)
    dataset = from_table(path, ["leak", "age"])
    assert dataset.task == "regression"
    again = Description.from_json(json.loads(json.dumps(dataset.description.to_json())))
    table = read_table(path).table
    assert np.array_equal(again.preprocessing(table), dataset.preprocessing(table))
    assert again.target_names == ("leak", "age")
    assert np.array_equal(again.target_mean, dataset.arrays["y_train"].mean(axis=0))


def test_labels_keep_their_names():
    rows = {"x": np.arange(90) % 7.5}
    for labels, names in [
        ([True, False, True] * 30, ("False", "True")),
        ([10, 2, 33] * 30, ("2", "10", "33")),
        (["b10", "b9", "a"] * 30, ("a", "b9", "b10")),
        ([0.5, 1.5, 0.5] * 30, ("0.5", "1.5")),
    ]:
        task = {"task": "classification"} if isinstance(labels[0], float) else {}
        dataset = from_table({**rows, "y": labels}, "y", **task)
        assert dataset.class_names == names
        test = dataset.split.parts["test"]
        assert [names[k] for k in dataset.arrays["y_test"]] == [str(labels[row]) for row in test]


def test_columns_that_say_nothing_are_left_out_and_named():
    random = np.random.default_rng(0)
    frame = {
        "good": random.normal(size=100), "same": None, "empty": [None] * 100, "id": np.arange(100),
        "name": [f"person {k}" for k in range(100)], "fixed": ["x"] * 100, "y": np.arange(100) % 2,
    }  # fmt: skip
    frame["same"] = frame["good"]
    dataset = from_table(frame, "y")
    assert [column.name for column in dataset.preprocessing.columns] == ["good"]
    for name, why in [("same", "the same as 'good'"), ("empty", "empty"), ("id", "counts the rows"),
                      ("name", "tell single rows apart"), ("fixed", "the same value")]:  # fmt: skip
        assert any(f"'{name}' is left out" in n and why in n for n in dataset.notes), name


def test_group_and_time_columns_split_and_are_not_predicted_from():
    random = np.random.default_rng(0)
    frame = {"x": random.normal(size=100), "who": np.arange(100) // 5,
             "when": [f"2024-01-{k // 4 + 1:02}" for k in range(100)], "y": np.arange(100) % 2}  # fmt: skip
    dataset = from_table(frame, "y", group="who", drop=["when"])
    assert [column.name for column in dataset.preprocessing.columns] == ["x"]
    owners = {}
    for part, rows in dataset.split.parts.items():
        for row in rows:
            owners.setdefault(row // 5, set()).add(part)
    assert all(len(parts) == 1 for parts in owners.values())
    frame["when"] = np.array(frame["when"], "datetime64[D]")
    dataset = from_table(frame, "y", time="when", drop=["who"])
    assert dataset.split.parts["test"].min() > dataset.split.parts["train"].max()


def test_rows_without_a_target_are_left_out_and_the_split_names_the_rows_of_the_file(write):
    rows = "\n".join(f"{k * 0.5},{'' if k % 4 == 0 else 'ab'[k % 2]}" for k in range(80))
    dataset = from_table(write(f"x,y\n{rows}\n"), "y")
    assert "20 rows have no target 'y'" in notes_of(dataset)
    named = [int(name) for names in dataset.row_names.values() for name in names]
    assert sorted(named) == [k for k in range(80) if k % 4]


def test_a_run_keeps_its_parts_when_rows_come(write):
    first = from_table(write(TEXT), "label")
    more = TEXT + "121,33,Ulm,true,2014-01-10,7,1,no\n"
    again = from_table(write(more, "more.csv"), "label", split=first.split)
    assert again.row_names == first.row_names
    assert again.fingerprint() == first.fingerprint()
    assert "1 rows came after" in notes_of(again)


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        (b"", "y", "the file is empty"),
        (b"x,y\n", "y", "no rows"),
        (b"x,y\n1,2\n1,2,3\n", "y", "line 3: 3 cells, but there are 2 columns"),
        (b"x,x,y\n1,2,3\n4,5,6\n", "y", "2 columns are called 'x'"),
        (b"x,y\n1,2\n3,4\n", "z", "no column 'z'"),
        (b"x,y\n" + b"1,a\n" * 30, "y", "same target 'y', 'a'"),
        (b"x,y\n" + b"1,\n" * 30, "y", "no row has a value"),
        (b"x,y\n1,a\n", "y", "1 row cannot be split|same target"),
        (b"y\n" + b"a\nb\n" * 20, "y", "no column is left to predict from"),
        (b"x,y\n" + b"7,a\n7,b\n" * 20, "y", "no column is left.*'x' is left out"),
        (b"x,y\n1,a\n\0\0\0", "y", "zero bytes"),
        (b'x,y\n1,"a\n' + b"2,b\n" * 40_000, "y", "line"),
        (b"x,y\ninf,a\n1,b\n2,a\n3,b\n4,a\n5,b\n6,a\n", "y", "infinity"),
        (b"x,y\n1e300,a\n1,b\n2,a\n3,b\n4,a\n5,b\n6,a\n", "y", "too large"),
        (b",".join(b"c%d" % k for k in range(20_000)) + b"\n", "c1", "20,000 columns"),
    ],
)
def test_tables_that_cannot_be_trained_on_are_refused(write, content, target, message):
    with pytest.raises(DataError if message != "too large" else HandgradError, match=message):
        from_table(write(content), target)


@pytest.mark.thorough
def test_a_million_columns_are_refused_in_bounded_memory(write):
    path = write(b",".join(b"c%d" % k for k in range(1_000_000)) + b"\n1,2\n")
    tracemalloc.start()
    with pytest.raises(DataError, match=f"1,000,000 columns, at most {MAX_COLUMNS:,}"):
        from_table(path, "c1")
    assert tracemalloc.get_traced_memory()[1] < 300e6
    tracemalloc.stop()


def test_lines_of_another_length_are_left_out_if_told(write):
    rows = "\n".join(f"{k * 0.5},{'ab'[k % 2]}" for k in range(40))
    path = write(f"x,y\n{rows}\n1\n2,3,4,5\n")
    dataset = from_table(path, "y", skip_unreadable=True)
    assert "2 lines have another number of cells, they are left out: 42, 43" in notes_of(dataset)


def test_a_network_is_told_which_column_it_lacks(write):
    prepare = from_table(write(TEXT), "label").preprocessing
    with pytest.raises(
        DataError, match=r"no column 'age', which the network was trained on.*'aged'"
    ):
        prepare({"aged": [1], "town": ["Ulm"]})


def test_options_of_a_wrong_kind_are_refused(write):
    path = write(TEXT)
    for options in ({"delimiter": "x"}, {"decimal": "x"}, {"encoding": "nonsense"}, {"task": "guess"},
                    {"val": 2}, {"skip_unreadable": 3}, {"standardize": "no"}):  # fmt: skip
        with pytest.raises(OptionError):
            from_table(path, "label", **options)
    with pytest.raises(OptionError):
        open_csv(path, delimiter="ab")


def test_columns_of_all_kinds_as_numbers_and_texts():
    table = as_table([{"a": 1, "b": True, "c": "3"}, {"a": None, "b": False, "c": "x"}])
    assert as_texts(table["a"]).tolist() == ["1", None]
    assert as_numbers(table["b"]).tolist() == [1, 0]
    np.testing.assert_array_equal(as_numbers(table["c"]), [3, np.nan])
    assert len(table[np.array([1])]) == 1
    for wrong in (3, "text", None, Table):
        with pytest.raises(HandgradError):
            as_table(wrong)
    with pytest.raises(HandgradError):
        as_table({"a": [[1, 2], [3]]})
    with pytest.raises(HandgradError):
        as_table({"a": [1, 2], "b": [1]})


def test_damaged_tables_are_errors_of_the_family(write, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    _file(pyarrow.table({"x": list(range(50)), "y": ["a", "b"] * 25}), tmp_path / "t.parquet")
    random = np.random.default_rng(0)
    parquet = (tmp_path / "t.parquet").read_bytes()
    for content, name in ((parquet, "d.parquet"), (TEXT.encode(), "d.csv")):
        for trial in range(40):
            damaged = bytearray(
                content[: random.integers(1, len(content))] if trial % 2 else content
            )
            for place in random.integers(0, len(damaged), 4):
                damaged[place] = random.integers(256)
            with suppress(HandgradError):
                from_table(write(bytes(damaged), name), "label" if name == "d.csv" else "y")


def test_columns_of_one_unit_keep_their_proportions():
    random = np.random.default_rng(0)
    cm = {"long": random.normal(5, 4, 50), "wide": random.normal(3, 1, 50)}
    kinds = dict.fromkeys(cm, "number")
    X = TablePreprocessing.fit(Table(cm), kinds, dtype="float64")(cm)
    spread = np.array([values.std() for values in cm.values()])
    np.testing.assert_allclose(X.std(axis=0), spread / np.sqrt(np.mean(spread**2)))
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-12)
    rows = np.stack(list(cm.values()), axis=1)
    np.testing.assert_allclose(ArrayPreprocessing.fit("x", rows, dtype="float64")(rows), X)
    # others, and dates, booleans and constant columns beside them, have their own
    far = {**cm, "gram": random.normal(0, 1000, 50)}
    X = TablePreprocessing.fit(Table(far), dict.fromkeys(far, "number"), dtype="float64")(far)
    np.testing.assert_allclose(X.std(axis=0), 1)
    more = {**cm, "same": np.full(50, 7.0), "yes": np.arange(50) % 2 == 0}
    kinds = {**kinds, "same": "number", "yes": "boolean"}
    X = TablePreprocessing.fit(Table(more), kinds, dtype="float64")(more)
    np.testing.assert_allclose(X[:, :2].std(axis=0), spread / np.sqrt(np.mean(spread**2)))
    np.testing.assert_allclose(X[:, 2:].std(axis=0), [0, 0.5])
