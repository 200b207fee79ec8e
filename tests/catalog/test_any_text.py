"""Whatever a table or a configuration holds, it is read or refused in words of ours: no crash, no hang."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchvet.catalog.neighbours import read_neighbours
from batchvet.catalog.reader import read_catalog
from batchvet.errors import CatalogError, ConfigError
from batchvet.runtime.config import read_config

CATALOGUE = "toi,tic,period_days,t0_btjd,duration_hours,sectors\n1.01,5,3.0,1500.0,2.0,1;2\n2.01,6,4.0,1501.0,2.0,\n"
STARS = "tic,source_id,ra,dec,tmag\n5,a,10.0,20.0,11.5\n5,b,10.01,20.0,13.0\n"
CONFIG = "catalog: toi.csv\ncache: cache\nsources:\n  - directory: tpfs\nsectors: [1, 2]\ncluster: {workers: 2}\n"
#: What people, editors and spreadsheets put into text.
JUNK = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "\x00",
            "\ufeff",
            '"',
            "'",
            "\r",
            ",,,,",
            "\n\n",
            "#",
            "nan",
            "inf",
            "-",
            "1e999",
            "9" * 30,
            "1;;2",
            "&a *a",
            "!!python/object:os.system",
            "{" * 40,
            "[[[",
            "- -",
            "<<: *x",
            "\t",
            "١",
            "0x1F",
            "1_000",
            "~",
        ]
    ),
)
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), JUNK), min_size=1, max_size=3)
quickly = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def edited(text: str, edits) -> bytes:
    for where, n_gone, junk in edits:
        at = int(where * len(text))
        text = text[:at] + junk + text[at + n_gone :]
    return text.encode("utf-8", "surrogatepass")


def is_read_or_refused(content: bytes, read, error: type[Exception], name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / name
        path.write_bytes(content)
        try:
            read(path)
        except error as said:
            assert name in str(said)
            assert "Traceback" not in str(said)


def both(path: Path) -> None:
    """The catalogue, as it is and without its bad rows."""
    read_catalog(path, keep_going=True)
    read_catalog(path)


@quickly
@given(edits)
@example([(0.0, 0, "\ufeff")])
@example([(0.99, 0, '"')])
def test_any_edit_of_a_catalogue_is_read_or_refused(edits):
    is_read_or_refused(edited(CATALOGUE, edits), both, CatalogError, "toi.csv")


@quickly
@given(edits)
def test_any_edit_of_a_neighbour_table_is_read_or_refused(edits):
    is_read_or_refused(edited(STARS, edits), read_neighbours, CatalogError, "stars.csv")


@quickly
@given(edits)
@example([(1.0, 0, "\nx: &x [*x]")])
@example([(1.0, 0, "\ncluster: " + "[" * 2000)])
@example([(1.0, 0, "".join(f"\nx{n}: &x{n} [{','.join([f'*x{n - 1}' if n else '1'] * 9)}]" for n in range(12)))])
def test_any_edit_of_a_configuration_is_read_or_refused(edits):
    is_read_or_refused(edited(CONFIG, edits), read_config, ConfigError, "c.yaml")


@quickly
@given(st.binary(max_size=300))
@example(b"PAR1" + bytes(20) + b"PAR1")
def test_any_bytes_are_no_table_and_no_configuration(content):
    for name, read, error in (
        ("toi.csv", read_catalog, CatalogError),
        ("toi.parquet", read_catalog, CatalogError),
        ("stars.parquet", read_neighbours, CatalogError),
        ("c.yaml", read_config, ConfigError),
    ):
        is_read_or_refused(content, read, error, name)
