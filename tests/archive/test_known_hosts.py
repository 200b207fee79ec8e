"""TOIs whose host is published, from an archive to the comparison: pixels simulated of the packaged list."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from loopback import Archive, Stored

from batchvet.api import run
from batchvet.catalog.reader import read_catalog
from batchvet.sample import KNOWN_HOSTS
from batchvet.simulate.detector import expose
from batchvet.simulate.files import write_target_pixel_file

ROOT = Path(__file__).parents[2]


def served(archive: Archive, directory: Path, count: int) -> list[str]:
    """Put the first candidates' stamps and stars into the archive; their names."""
    from known_hosts import scenes

    names = []
    for scene in scenes(count, most_sectors=1, seed=7):
        names.append(scene.candidates[0].toi)
        for sector in scene.sectors:
            path = write_target_pixel_file(expose(scene, sector), directory)
            uri = f"mast:HLSP/tess-spoc/s{sector:04d}/{path.name}"
            archive.files.append(Stored(scene.tic, sector, "TESS-SPOC", 1800.0, uri, path.read_bytes()))
        for star in scene.neighbours():
            place = {"ra": star.ra, "dec": star.dec, "RA_orig": star.ra, "Dec_orig": star.dec, "disposition": None}
            motion = {"pmRA": star.pmra, "pmDEC": star.pmdec}
            archive.stars.append({"ID": star.source_id, "Tmag": star.tmag, **place, **motion})
    return names


@pytest.mark.parametrize("count", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_published_hosts_are_found_by_the_configuration_that_asks_the_archives(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    names = served(archive, tmp_path, count)
    with KNOWN_HOSTS.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["toi"] in names]
    for row in rows:
        row["sectors"] = row["sectors"].split(",")[0]
    with (tmp_path / "few.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    config = yaml.safe_load((ROOT / "configs" / "known_hosts.yaml").read_text(encoding="utf-8"))
    config |= {"catalog": "few.csv", "cache": "cache", "output": "run", "cluster": {"serial": True}, "prf": "empirical"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    found = run(tmp_path / "config.yaml").compare("known_hosts")
    assert found["compared"] == len(names) >= 0.8 * count
    hosts = found["hosts"]
    assert hosts["right"] >= 0.9 * (hosts["right"] + hosts["wrong"]) > 0.6 * count
    assert hosts["wrong_with_p_above_0.95"] <= 0.03 * count


def test_the_packaged_list_is_a_catalogue_with_hosts_and_without_anybodys_comments() -> None:
    catalog = read_catalog(KNOWN_HOSTS)
    assert len(catalog.candidates) == 142 and not catalog.unusable
    with KNOWN_HOSTS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(int(row["host_tic"]) != int(row["tic"]) for row in rows)
    assert not any("comment" in name or "note" in name for name in rows[0])
    assert 85 < sum(row["tfopwg"] == "FP" for row in rows) < 100
