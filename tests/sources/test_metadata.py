"""Delimited tables, and pickles of basic values."""

import os
import pickle
from pathlib import Path

import pytest

from signrep_core.errors import SourceError
from signrep_core.sources.metadata import clean, read_delimited, to_seconds, unpickle_safely
from tests.sources.files import write


def rows(path: Path, *arguments, **options):
    return list(read_delimited(path, *arguments, **options))


def test_the_required_columns_are_read_in_any_order(tmp_path):
    path = write(tmp_path / "x.csv", '\ufeffa,b,c\n1,"2, two",3\n\n4,5,6\n')
    assert rows(path, ("c", "b")) == [{"c": "3", "b": "2, two"}, {"c": "6", "b": "5"}]


def test_quotation_marks_are_text_where_the_format_has_no_quoting(tmp_path):
    path = write(tmp_path / "x.csv", 'a\tb\n1\t"he said\n2\tit\'s "x"\n')
    assert [row["b"] for row in rows(path, ("a", "b"), "\t", quoted=False)] == ['"he said', 'it\'s "x"']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,c\n1,2\n", r"line 1: column 'b' is missing; expected a, b, found a, c"),
        ("", r"line 1: column 'a' is missing; expected a, b, found nothing"),
        ("a,b\n1,2\n3\n", r"line 3: expected 2 cells \(a, b\), found 1"),
    ],
)
def test_a_table_of_another_format_is_refused_with_its_line(tmp_path, text, said):
    with pytest.raises(SourceError, match=said):
        rows(write(tmp_path / "x.csv", text), ("a", "b"))


def test_a_missing_or_binary_table_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"none.csv: cannot be read"):
        rows(tmp_path / "none.csv", ("a",))
    (tmp_path / "x.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(SourceError, match="expected UTF-8"):
        rows(tmp_path / "x.csv", ("a",))


def test_cells_are_cleaned_for_the_sheet():
    assert clean(" a\u2028b\x00\tc ") == "a b c"


def test_the_error_for_a_wrong_time_names_its_line():
    assert to_seconds("12.97", "x") == 12.97
    with pytest.raises(SourceError, match=r"x.csv, line 3: expected seconds such as 12.97, found '1:02'"):
        to_seconds("1:02", "x.csv, line 3")


def test_a_pickle_of_basic_values_is_read(tmp_path):
    value = {"info": [{"name": "S1", "length": 55, "label": ["他", "谁"], "x": (1.5, None, True, {"set"})}]}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        if protocol < 4:
            value["info"][0]["x"] = (1.5, None, True)  # sets are objects there
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(value, protocol))
        assert unpickle_safely(tmp_path / "x.pkl") == value


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_a_pickle_that_would_run_code_is_refused_before_it_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.pkl").write_bytes(pickle.dumps({"info": [Harmful()]}))
    with pytest.raises(SourceError, match=r"x.pkl: expected only numbers, text, .* found an object of posix.system"):
        unpickle_safely("x.pkl")
    assert not Path("harmed").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2, 3])[:-4]])
def test_a_file_that_is_not_a_pickle_is_refused(tmp_path, content):
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(SourceError, match=r"x.pkl: expected a pickle"):
        unpickle_safely(tmp_path / "x.pkl")
