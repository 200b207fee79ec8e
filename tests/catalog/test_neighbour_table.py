"""The neighbour table says the same in every format and order, and a change touches only the target it is about."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pandas as pd
import pytest

from batchvet.catalog import neighbours, plain_neighbours, star_store
from batchvet.catalog.candidate import Neighbour
from batchvet.catalog.neighbours import read_neighbours
from batchvet.errors import CatalogError

HEADER = "tic,source_id,ra,dec,tmag,pmra,pmdec,epoch\n"
ROWS = [
    "25155310,4666498154837086208,63.3737,-69.2268,10.61,63.4,53.5,2016.0\n",
    "25155310,4666498150541105664,63.3801,-69.2211,16.2,,,2016.0\n",
    "188646744,TIC 188646744,301.5,40.25,9.1,1.5,-2.5,\n",
    "25155310,99,63.36,-69.23,18.0,0,0,2000\n",
]


def field(rng: np.random.Generator, targets: int, stars: int) -> pd.DataFrame:
    count = targets * stars
    return pd.DataFrame(
        {
            "tic": np.repeat(np.arange(targets) * 7 + 100, stars),
            "source_id": [str(number) for number in rng.choice(10**18, count, replace=False) + 10**17],
            "ra": rng.uniform(0, 360, count),
            "dec": rng.uniform(-90, 90, count),
            "tmag": rng.uniform(5, 20, count),
            "pmra": rng.normal(0, 10, count),
            "pmdec": rng.normal(0, 10, count),
            "epoch": 2016.0,
        }
    )


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "neighbours.csv"
    path.write_text("# Gaia DR3\n" + HEADER + "".join(ROWS))
    return read_neighbours(path)


def test_neighbours_of_a_target_are_read_as_written(table):
    stars = table.of(25155310)
    assert stars == (
        Neighbour("4666498150541105664", 63.3801, -69.2211, 16.2, 0.0, 0.0, 2016.0),
        Neighbour("4666498154837086208", 63.3737, -69.2268, 10.61, 63.4, 53.5, 2016.0),
        Neighbour("99", 63.36, -69.23, 18.0, 0.0, 0.0, 2000.0),
    )
    assert table.of(188646744) == (Neighbour("TIC 188646744", 301.5, 40.25, 9.1, 1.5, -2.5, 2000.0),)


def test_target_that_the_table_does_not_know_has_none(table):
    assert table.of(12345) is None
    assert table.sha256_of(12345) is None


def test_proper_motion_and_epoch_may_be_absent(tmp_path):
    (tmp_path / "short.csv").write_text("TIC,Source_ID,RA,Dec,Tmag\nTIC 5,a,04:13:29.93,-69:13:35.73,11\n")
    (star,) = read_neighbours(tmp_path / "short.csv").of(5)
    assert (star.pmra, star.pmdec, star.epoch, star.tmag) == (0.0, 0.0, 2000.0, 11.0)
    assert star.ra == pytest.approx((4 + 13 / 60 + 29.93 / 3600) * 15, abs=1e-12)
    assert star.dec == pytest.approx(-(69 + 13 / 60 + 35.73 / 3600), abs=1e-12)


def test_format_and_order_change_neither_stars_nor_hashes(tmp_path):
    rng = np.random.default_rng(5)
    frame = field(rng, targets=30, stars=20)
    shuffled = frame.sample(frac=1.0, random_state=3)
    frame.to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "b.gz").write_bytes(gzip.compress(shuffled.to_csv(index=False).encode()))
    shuffled.assign(source_id=shuffled["source_id"].astype("int64")).to_parquet(tmp_path / "c.parquet", index=False)
    tables = [read_neighbours(tmp_path / name) for name in ("a.csv", "b.gz", "c.parquet")]
    for tic in np.unique(frame["tic"]):
        rows = frame[frame["tic"] == tic].sort_values("source_id").drop(columns="tic")
        expected = tuple(Neighbour(*row) for row in rows[list(Neighbour.__dataclass_fields__)].itertuples(index=False))
        assert [table.of(tic) for table in tables] == [expected] * 3
        assert len({table.sha256_of(tic) for table in tables}) == 1
    assert len({tables[0].sha256_of(tic) for tic in np.unique(frame["tic"])}) == 30


def test_one_unusual_cell_does_not_change_how_the_others_are_read(tmp_path):
    frame = field(np.random.default_rng(6), targets=10, stars=10)
    text = frame.to_csv(index=False)
    (tmp_path / "plain.csv").write_text(text)
    (tmp_path / "unusual.csv").write_text(text + "5,x,10:00:00,20,9,,,\n")
    plain, unusual = read_neighbours(tmp_path / "plain.csv"), read_neighbours(tmp_path / "unusual.csv")
    assert unusual.of(5) == (Neighbour("x", 150.0, 20.0, 9.0),)
    for tic in np.unique(frame["tic"]):
        assert plain.of(tic) == unusual.of(tic) and plain.sha256_of(tic) == unusual.sha256_of(tic)


@pytest.mark.parametrize("column", ["ra", "dec", "tmag", "pmra", "pmdec", "epoch", "source_id"])
def test_a_changed_neighbour_changes_only_its_targets_hash(tmp_path, column):
    frame = field(np.random.default_rng(7), targets=5, stars=4)
    frame.to_csv(tmp_path / "before.csv", index=False)
    changed = frame.copy()
    value = changed.loc[9, column]
    changed.loc[9, column] = value + "7" if column == "source_id" else np.nextafter(value, 0.0)
    changed.to_csv(tmp_path / "after.csv", index=False)
    before, after = read_neighbours(tmp_path / "before.csv"), read_neighbours(tmp_path / "after.csv")
    stale = [tic for tic in np.unique(frame["tic"]) if before.sha256_of(tic) != after.sha256_of(tic)]
    assert stale == [frame.loc[9, "tic"]]


MISTAKES = [
    ("tic", "x", 'tic is "x", not a TIC number'),
    ("tic", "", "tic is missing"),
    ("source_id", "", "source_id is missing"),
    ("source_id", "nan", "source_id is missing"),
    ("ra", "", "ra is missing"),
    ("ra", "-1", "outside 0 to 360 degrees"),
    ("ra", "inf", "not a finite number"),
    ("dec", "91", "outside -90 to 90 degrees"),
    ("tmag", "bright", 'tmag is "bright", not a number'),
    ("tmag", "-99", "outside -3 to 40"),
    ("pmra", "1e9", "outside -100000 to 100000"),
    ("epoch", "2016-01-01", "not a number"),
    ("epoch", "57388", "outside 1900 to 2100"),
]


def test_every_bad_row_is_named_with_its_line(tmp_path):
    good = dict(zip(HEADER.strip().split(","), ROWS[0].strip().split(","), strict=True))
    rows = [",".join({**good, "source_id": f"s{i}", name: cell}.values()) for i, (name, cell, _) in enumerate(MISTAKES)]
    path = tmp_path / "bad.csv"
    path.write_text(HEADER + "\n".join([*rows, "1,2,3", "25155310,s0,1,1,9,0,0,2000", "25155310,s0,1,1,9,0,0,2000"]))
    with pytest.raises(CatalogError) as error:
        read_neighbours(path)
    first, *listed, advice = str(error.value).split("\n")
    assert first == f"the neighbour table {path} has {len(MISTAKES) + 2} bad rows of {len(MISTAKES) + 3}:"
    for number, ((_, _, said), line) in enumerate(zip(MISTAKES, listed, strict=False)):
        assert line.startswith(f"  line {number + 2}: ") and said in line
    last = len(MISTAKES) + 2
    assert listed[-2] == f"  line {last}: it has 3 cells, the header has 8"
    assert listed[-1] == f"  line {last + 2}: source s0 of TIC 25155310 is already on line {last + 1}"
    assert advice == "Mend or delete these rows, or leave them out with --keep-going."


@pytest.mark.parametrize(("column", "written", "said"), MISTAKES)
def test_a_mistake_among_plain_rows_is_found(tmp_path, column, written, said):
    frame = field(np.random.default_rng(9), targets=2, stars=3).astype(str)
    frame.loc[4, column] = written
    frame.to_csv(tmp_path / "one.csv", index=False)
    with pytest.raises(CatalogError) as error:
        read_neighbours(tmp_path / "one.csv")
    assert str(error.value).count("\n  line ") == 1
    assert "\n  line 6: " in str(error.value) and said in str(error.value)


def test_star_without_a_magnitude_stays_and_is_told(tmp_path):
    (tmp_path / "n.csv").write_text("tic,source_id,ra,dec,tmag\n5,a,1,2,9\n5,b,1,2,\n")
    table = read_neighbours(tmp_path / "n.csv")
    assert [star.source_id for star in table.of(5)] == ["a", "b"]
    assert math.isnan(table.of(5)[1].tmag)
    assert table.note == f"{tmp_path / 'n.csv'}: 1 without a tmag, whose light is fitted"


def test_keep_going_leaves_bad_stars_out_and_tells(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("tic,source_id,ra,dec,tmag\n5,a,1,2,9\n5,b,1,2,-5\n5,a,1,2,9\n6,c,1,2,9\n")
    table = read_neighbours(path, keep_going=True)
    assert [star.source_id for star in (*table.of(5), *table.of(6))] == ["a", "c"]
    assert '2 rows are left out (line 3: tmag is "-5", outside -3 to 40; ...)' in table.note
    (tmp_path / "all.csv").write_text("tic,source_id,ra,dec,tmag\n5,b,1,2,-5\n")
    with pytest.raises(CatalogError, match="1 bad row of 1"):
        read_neighbours(tmp_path / "all.csv", keep_going=True)


def test_unclosed_quote_does_not_swallow_stars(tmp_path):
    rows = ["5,a,1,2,9,fine", '5,b,1,2,9,"open', "5,c,1,2,9,fine", "5,d,1,2,9,fine"]
    (tmp_path / "open.csv").write_text("tic,source_id,ra,dec,tmag,comment\n" + "\n".join(rows))
    with pytest.raises(CatalogError, match="line 3: comment holds 2 more lines: a quote is not closed"):
        read_neighbours(tmp_path / "open.csv")


def test_duplicate_source_is_found_among_plain_rows(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text(HEADER + ROWS[0] + "7,4666498154837086208,1,1,9,0,0,2016\n" + ROWS[0])
    with pytest.raises(CatalogError, match="line 4: source 4666498154837086208 of TIC 25155310 is already on line 2"):
        read_neighbours(path)


def test_gaia_number_that_lost_its_last_digits_is_refused(tmp_path):
    frame = field(np.random.default_rng(8), targets=1, stars=2)
    frame.assign(source_id=frame["source_id"].astype(float)).to_parquet(tmp_path / "float.parquet")
    with pytest.raises(CatalogError, match="source_id is the floating-point number"):
        read_neighbours(tmp_path / "float.parquet")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        (HEADER, "has a header and no rows"),
        ("tic,source_id,ra,dec\n1,2,3,4\n", 'lacks the column "tmag"'),
        ("toi,period_days\n1,2\n", "are not known"),
        ("<html></html>", "is a web page"),
    ],
)
def test_what_is_not_a_neighbour_table_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "n.csv"
    path.write_text(content)
    with pytest.raises(CatalogError) as error:
        read_neighbours(path)
    assert said in str(error.value) and f"neighbour table {path}" in str(error.value)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_plain_table_is_read_in_passing_and_says_the_same(tmp_path, monkeypatch, ending):
    frame = field(np.random.default_rng(8), targets=30, stars=10).sort_values("tic", kind="stable")
    places = tmp_path / f"sorted.{ending}", tmp_path / f"reversed.{ending}"
    for place, rows in zip(places, (frame, frame[::-1]), strict=True):
        write = rows.to_csv if ending == "csv" else rows.to_parquet
        write(place, index=False)
    monkeypatch.setattr(plain_neighbours, "_ROWS_AT_ONCE", 7)  # most targets lie in two blocks
    monkeypatch.setattr(plain_neighbours, "_BYTES_AT_ONCE", 1000)
    monkeypatch.setattr(star_store, "_IN_MEMORY", 100)  # a file, as for large tables
    assert [plain_neighbours.plain_stars(place) is not None for place in places] == [True, False]
    plain, careful = map(read_neighbours, places)
    for tic in np.unique(frame["tic"]).tolist():
        assert plain.of(tic) == careful.of(tic) and len(plain.of(tic)) == 10
        assert plain.sha256_of(tic) == careful.sha256_of(tic)
    assert plain.of(3) is None and plain.sha256_of(3) is None


@pytest.mark.parametrize(
    "written",
    ["+1", "-1", " 1", "1 ", "1E1", "0x10", "1_0", "nan", "inf", "", ".5", "5.", "1e-400", "1f", "00012", "1 0", '"1"'],
)
@pytest.mark.parametrize("column", HEADER.strip().split(","))
def test_a_cell_of_a_plain_text_means_what_it_means_to_a_careful_reader(tmp_path, monkeypatch, column, written):
    names = HEADER.strip().split(",")
    cells = dict(zip(names, ["5", "s1", "10", "20", "9", "1", "2", "2016"], strict=True)) | {column: written}
    path = tmp_path / "n.csv"
    path.write_text(HEADER + "5,s0,10,20,9,1,2,2016\n" + ",".join(cells.values()) + "\n")
    plain = plain_neighbours.plain_stars(path)
    if plain is not None:
        monkeypatch.setattr(neighbours, "plain_stars", lambda path: None)
        careful = read_neighbours(path).stars
        assert plain.tic.tolist() == careful.tic.tolist()
        assert [plain.record(tic) for tic in plain.tic] == [careful.record(tic) for tic in careful.tic]


@pytest.mark.parametrize("sign", ["# Gaia DR3\n", "\r\n", '"quoted"', "\\"])
def test_a_text_with_comments_quotes_or_another_systems_lines_is_read_with_care(tmp_path, sign):
    (tmp_path / "n.csv").write_text(HEADER + "5,s0,10,20,9,1,2,2016\n" + sign)
    assert plain_neighbours.plain_stars(tmp_path / "n.csv") is None


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("ra", 361.0, "outside 0 to 360"),
        ("dec", np.nan, "dec is missing"),
        ("tic", 0, "outside 1 to"),
        ("source_id", "", "source_id is missing"),
        ("source_id", "twice", "is already on row 1"),
    ],
)
def test_a_bad_row_of_a_plain_table_is_still_named(tmp_path, column, value, words):
    frame = field(np.random.default_rng(8), targets=3, stars=3).sort_values("tic", kind="stable", ignore_index=True)
    frame.loc[0, "source_id"] = "twice"
    frame.loc[1, column] = value
    frame.to_parquet(tmp_path / "bad.parquet", index=False)
    with pytest.raises(CatalogError, match=f"row 2: .*{words}"):
        read_neighbours(tmp_path / "bad.parquet")
