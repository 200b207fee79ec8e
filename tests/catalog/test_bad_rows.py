"""A catalogue with mistakes is refused once, with all of them; or goes on without them, and says so in a file."""

from __future__ import annotations

import csv
import errno
import gzip
import math

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchvet.catalog.reader import read_catalog
from batchvet.errors import CatalogError, ConfigError

HEADER = "toi,tic,period_days,t0_btjd,duration_hours,depth_ppm,ra,dec,pmra,pmdec,tmag,sectors,t0_err,period_err\n"
GOOD = "1.01,11,3.5,1400.5,2.5,500,10,-20,1,2,9.5,1-3,0.01,0.001\n"
#: Column, what stands in it, what the message must say of it.
MISTAKES = [
    ("toi", "", "toi is missing"),
    ("tic", "", "tic is missing"),
    ("tic", "TIC", 'tic is "TIC", not a TIC number'),
    ("tic", "11.5", 'tic is "11.5", not a TIC number'),
    ("tic", "0", 'tic is "0", outside 1 to 99999999999'),
    ("tic", "-7", 'tic is "-7"'),
    ("tic", "100000000000", "outside 1 to 99999999999"),
    ("period_days", "3.5d", 'period_days is "3.5d", not a number'),
    ("period_days", "-3.5", 'period_days is "-3.5", outside 0'),
    ("period_days", "inf", 'period_days is "inf", not a finite number'),
    ("t0_btjd", "", "t0_btjd is missing"),
    ("t0_btjd", "soon", 't0_btjd is "soon", not a number'),
    ("t0_btjd", "58326.5", "it looks like an MJD: subtract 56999.5"),
    ("t0_btjd", "8326.5", "it looks like BJD - 2450000: subtract 7000"),
    ("t0_btjd", "2470000.5", "neither BJD nor BTJD"),
    ("duration_hours", "", "duration_hours is missing"),
    ("duration_hours", "0", "duration_hours is 0, it must be positive"),
    ("duration_hours", "-2", 'duration_hours is "-2", outside 0'),
    ("duration_hours", "90", "duration_hours (90 h) is not shorter than the period (3.5 d)"),
    ("depth_ppm", "deep", 'depth_ppm is "deep", not a number'),
    ("depth_ppm", "-5", 'depth_ppm is "-5", outside 0'),
    ("ra", "361", 'ra is "361", outside 0 to 360 degrees'),
    ("ra", "", "dec is given without the ra that belongs to it"),
    ("dec", "-90.1", 'dec is "-90.1", outside -90 to 90 degrees'),
    ("dec", "-20:61:00", "more than 59 minutes"),
    ("dec", "", "ra is given without the dec that belongs to it"),
    ("pmra", "fast", 'pmra is "fast", not a number'),
    ("pmdec", "inf", 'pmdec is "inf", not a finite number'),
    ("tmag", "99", 'tmag is "99", outside -3 to 40'),
    ("sectors", "3-1", 'sectors has "3-1", not a sector'),
    ("sectors", "0", 'sectors has "0", not a sector'),
    ("sectors", "1 two", 'sectors has "two", not a sector'),
    ("t0_err", "-0.1", 't0_err is "-0.1", outside 0'),
    ("period_err", "?", 'period_err is "?", not a number'),
]


def with_mistake(toi: str, column: str, written: str) -> str:
    cells = dict(zip(HEADER.strip().split(","), GOOD.strip().split(","), strict=True))
    return ",".join({**cells, "toi": toi, column: written}.values()) + "\n"


@pytest.mark.parametrize(("column", "written", "said"), MISTAKES)
def test_each_mistake_is_named_with_its_line(tmp_path, column, written, said):
    path = tmp_path / "bad.csv"
    path.write_text(f"# a comment\n\n{HEADER}{GOOD}# another\n{with_mistake('1.02', column, written)}")
    with pytest.raises(CatalogError) as error:
        read_catalog(path)
    first, row, advice = str(error.value).split("\n")
    assert first == f"the catalogue {path} has 1 bad row of 2:"
    assert row.startswith("  line 6: ") and said in row
    assert "--keep-going" in advice


def test_all_mistakes_are_told_at_once(tmp_path):
    rows = [with_mistake(f"1.{number:02d}", column, written) for number, (column, written, _) in enumerate(MISTAKES)]
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "".join(rows))
    with pytest.raises(CatalogError) as error:
        read_catalog(path)
    message = str(error.value)
    assert f"has {len(MISTAKES)} bad rows of {len(MISTAKES)}" in message
    for number, (_, _, said) in enumerate(MISTAKES[:20]):
        assert any(line.startswith(f"  line {number + 2}: ") and said in line for line in message.split("\n"))
    assert f"\n  and {len(MISTAKES) - 20} more\n" in message


def test_several_mistakes_of_one_row_are_told_together(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "1.01,0,x,,-1,,,,,,,,,\n")
    with pytest.raises(CatalogError, match=r'line 2: tic is "0".*; period_days is "x".*; duration_hours.*; t0_btjd is'):
        read_catalog(path)


def test_duplicate_toi_names_both_lines(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text(HEADER + GOOD + with_mistake("1.02", "tmag", "9") + GOOD)
    with pytest.raises(CatalogError, match=r"line 4: TOI 1\.01 is already on line 2"):
        read_catalog(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1.02,11,3.5\n", "it has 3 cells, the header has 14"),
        (GOOD.strip() + ",1\n", "it has 15 cells, the header has 14"),
    ],
)
def test_ragged_row_is_a_bad_row(tmp_path, row, said):
    path = tmp_path / "ragged.csv"
    path.write_text(HEADER + GOOD + row)
    with pytest.raises(CatalogError, match=f"line 3: {said}"):
        read_catalog(path)


def test_unclosed_quote_does_not_swallow_candidates(tmp_path):
    header = "toi,tic,period_days,t0_btjd,duration_hours,comment\n"
    rows = [f"1.0{number},11,3.5,1400.5,2.5,{'fine' if number != 2 else chr(34) + 'open'}\n" for number in range(1, 6)]
    path = tmp_path / "open.csv"
    path.write_text(header + "".join(rows))
    with pytest.raises(CatalogError, match="line 3: comment holds 4 more lines: a quote is not closed"):
        read_catalog(path)
    path.write_text(header + "".join(rows) + "".join(f"2.{number},11,3.5,1400.5,2.5,fine\n" for number in range(9999)))
    with pytest.raises(CatalogError, match=r"from line 3 on: .*is a quote not closed"):
        read_catalog(path)


def test_line_numbers_count_lines_inside_quotes(tmp_path):
    header = "toi,tic,period_days,t0_btjd,duration_hours,comment\n"
    path = tmp_path / "long.csv"
    path.write_text(f'{header}1.01,11,3.5,1400.5,2.5,"two\nlines"\n1.02,11,3.5,1400.5,2.5,\n1.03,11,x,1400.5,2.5,\n')
    with pytest.raises(CatalogError, match='line 5: period_days is "x"'):
        read_catalog(path)


def test_exofop_rows_without_time_or_duration_are_bad_rows(tmp_path):
    header = "TIC ID,TOI,Epoch (BJD),Period (days),Duration (hours),Depth (ppm)\n"
    rows = "1,1.01,2458326.5,3,2,0\n2,2.01,,3,2,\n3,3.01,0,3,2,\n4,4.01,2458326.5,3,0,\n5,5.01,2458326.5,3,,\n"
    path = tmp_path / "toi.csv"
    path.write_text(header + rows)
    catalog = read_catalog(path, keep_going=True)
    assert [candidate.toi for candidate in catalog.candidates] == ["1.01"]
    assert math.isnan(catalog.candidates[0].depth_ppm)
    assert [(row.line, row.reason) for row in catalog.rejected] == [
        (3, "Epoch (BJD) is missing"),
        (4, "Epoch (BJD) is missing"),
        (5, "Duration (hours) is 0, it must be positive"),
        (6, "Duration (hours) is missing"),
    ]


def test_keep_going_leaves_bad_rows_in_the_rejects_file(tmp_path):
    bad = ["9.01,0,,,,,,,,,,,,\n", "9.02,11\n", '9.03,"1, 1",3.5,1400.5,2.5,,,,,,,,,\n']
    path, rejects = tmp_path / "some.csv", tmp_path / "deep" / "rejects.csv"
    path.write_text(HEADER + bad[0] + GOOD + bad[1] + bad[2])
    catalog = read_catalog(path, keep_going=True, rejects=rejects)
    assert [candidate.toi for candidate in catalog.candidates] == ["1.01"]
    assert [row.line for row in catalog.rejected] == [2, 4, 5]
    with rejects.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["line", "reason", *HEADER.strip().split(",")]
    assert [row[0] for row in rows] == ["2", "4", "5"]
    assert rows[1][1] == "it has 2 cells, the header has 14" and rows[1][2:4] == ["9.02", "11"]
    assert rows[2][2:7] == ["9.03", "1, 1", "3.5", "1400.5", "2.5"]
    assert list(rejects.parent.iterdir()) == [rejects]


def test_mended_rejects_can_be_read_as_a_catalogue(tmp_path):
    path, rejects = tmp_path / "some.csv", tmp_path / "rejects.csv"
    path.write_text(HEADER + GOOD + with_mistake("1.02", "duration_hours", "two"))
    read_catalog(path, keep_going=True, rejects=rejects)
    rejects.write_text(rejects.read_text().replace("two", "2"))
    assert read_catalog(rejects).candidates[0].toi == "1.02"


def test_rejects_file_of_an_earlier_run_does_not_stay(tmp_path):
    path, rejects = tmp_path / "good.csv", tmp_path / "rejects.csv"
    path.write_text(HEADER + GOOD)
    rejects.write_text("old")
    assert read_catalog(path, keep_going=True, rejects=rejects).rejected == ()
    assert rejects.read_text().strip() == "line,reason," + HEADER.strip()


def test_rejects_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path, rejects = tmp_path / "good.csv", tmp_path / "rejects.csv"
    path.write_text(HEADER + GOOD)
    rejects.write_text("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigError, match=r"cannot write the rejects file .*rejects\.csv: No space left"):
        read_catalog(path, keep_going=True, rejects=rejects)
    assert rejects.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [path, rejects]


def test_without_keep_going_nothing_is_written(tmp_path):
    path, rejects = tmp_path / "bad.csv", tmp_path / "rejects.csv"
    path.write_text(HEADER + with_mistake("1.02", "tic", "0"))
    with pytest.raises(CatalogError):
        read_catalog(path, rejects=rejects)
    assert not rejects.exists()


def test_catalogue_of_bad_rows_alone_is_an_error_even_so(tmp_path):
    path, rejects = tmp_path / "bad.csv", tmp_path / "rejects.csv"
    path.write_text(HEADER + with_mistake("1.02", "tic", "0"))
    with pytest.raises(CatalogError, match="1 bad row of 1"):
        read_catalog(path, keep_going=True, rejects=rejects)
    assert rejects.exists()


def test_parquet_mistakes_are_named_by_row(tmp_path):
    path = tmp_path / "bad.parquet"
    pd.DataFrame(
        {
            "toi": ["1.01", "1.02", None, "1.04"],
            "tic": [1.0, 2.5, 3.0, float("nan")],
            "period_days": [3.0, 3.0, 3.0, 3.0],
            "t0_btjd": [1400.0, 1400.0, 1400.0, 1400.0],
            "duration_hours": [2.0, 2.0, 2.0, 2.0],
            "sectors": [[1, 2], [3], [], [-1]],
        }
    ).to_parquet(path)
    with pytest.raises(CatalogError) as error:
        read_catalog(path)
    assert str(error.value).split("\n")[1:4] == [
        '  row 2: tic is "2.5", not a whole number',
        "  row 3: toi is missing",
        '  row 4: sectors has "-1", not a sector (1 to 999) or a range such as 1-3; tic is missing',
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "is a web page, not a table"),
        (b"\x89PNG\x00\x01", "is not text in UTF-8"),
        (HEADER.encode("utf-16"), "is not text in UTF-8"),
        ("größe,länge\n1,2\n".encode("latin-1"), "is not text in UTF-8"),
        (b"x" * 300_000, "are not known"),
        (b"time,flux\n1,2\n", "are not known; it has: time, flux"),
        (HEADER.encode(), "has a header and no rows"),
        (b"# only\n# comments\n", "are not known; it has: none"),
        (gzip.compress(HEADER.encode() * 99, mtime=0)[:60], "is a damaged gzip file"),
        (b"PAR1 and nothing else", "is a damaged Parquet file"),
    ],
)
def test_what_is_not_a_catalogue_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "thing.csv"
    path.write_bytes(content)
    with pytest.raises(CatalogError) as error:
        read_catalog(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_missing_file_and_folder_are_refused_by_name(tmp_path):
    with pytest.raises(CatalogError, match=r"nowhere\.csv: it does not exist"):
        read_catalog(tmp_path / "nowhere.csv")
    with pytest.raises(CatalogError, match=r"[Dd]irectory"):
        read_catalog(tmp_path)


@pytest.mark.parametrize("column", ["toi", "tic", "period_days", "t0_btjd", "duration_hours"])
def test_missing_column_is_named(tmp_path, column):
    table = pd.DataFrame([GOOD.strip().split(",")[:5]], columns=HEADER.split(",")[:5]).drop(columns=column)
    table.to_csv(tmp_path / "less.csv", index=False)
    with pytest.raises(CatalogError, match=rf'\(own columns\) lacks the column "{column}"'):
        read_catalog(tmp_path / "less.csv")


def test_missing_exofop_column_is_named(tmp_path):
    (tmp_path / "toi.csv").write_text("TIC ID,TOI,Period (days),Duration (hours)\n1,1.01,3,2\n")
    with pytest.raises(CatalogError, match=r'\(ExoFOP TOI table\) lacks the column "epoch \(bjd\)"'):
        read_catalog(tmp_path / "toi.csv")


def test_column_that_occurs_twice_is_refused(tmp_path):
    (tmp_path / "twice.csv").write_text("toi,tic,period_days,Period_Days,t0_btjd,duration_hours\n1.01,1,3,4,1400,2\n")
    with pytest.raises(CatalogError, match='the column "period_days" occurs 2 times'):
        read_catalog(tmp_path / "twice.csv")


cells = st.sampled_from(
    ["1", "-1", "0", "2458326.5", "nan", "", '"', "'", "x", "#", "1e400", "1-9", "\ufffd", "\n", " "]
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.lists(cells, min_size=1, max_size=15).map(",".join), max_size=5), tail=st.binary(max_size=20))
def test_no_table_however_broken_raises_anything_else(tmp_path, lines, tail):
    path = tmp_path / "fuzz.csv"
    path.write_bytes((HEADER + "\n".join(lines)).encode() + tail)
    try:
        catalog = read_catalog(path, keep_going=True)
    except CatalogError as error:
        assert str(path) in str(error)
        return
    for candidate in catalog.candidates:
        ephemeris = candidate.ephemeris
        assert candidate.toi and candidate.tic > 0 and ephemeris.duration_hours > 0
        assert math.isfinite(ephemeris.t0_btjd) and ephemeris.period_days >= 0
