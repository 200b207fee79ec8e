#!/usr/bin/env python3
"""Simulated pixels of the packaged catalogue of TOIs whose host is published: same names, stars, ephemerides, sectors.

    python scripts/known_hosts.py runs/known --count 20 --sectors 2
    batchvet run runs/known/config.yaml
    batchvet compare runs/known/run known_hosts

For whoever has no network: `configs/known_hosts.yaml` asks the archives for the true pixels. Where the host stands is
not in the catalogue; here it is drawn, 6 to 60" from the target, as bright as the depth in the aperture asks for.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from batchvet.catalog.candidate import Candidate
from batchvet.catalog.reader import read_catalog
from batchvet.sample import KNOWN_HOSTS
from batchvet.simulate import Scene, SimulationSettings
from batchvet.simulate.detector import expose
from batchvet.simulate.dips import Sight, expected_snr
from batchvet.simulate.draw import draw_pointing
from batchvet.simulate.field import draw_stars
from batchvet.simulate.files import write_target_pixel_file
from batchvet.simulate.scene import Stars
from batchvet.simulate.settings import stream
from batchvet.simulate.sky import at_offset, offsets
from batchvet.simulate.tables import neighbour_rows
from batchvet.simulate.transit import Dip

DEEPEST = 0.5  #: eclipse of a host, fraction of its light; it is as bright as that asks for
_HOST = 1  #: the star that is placed on purpose

_CONFIG = """\
catalog: toi.csv
neighbours: neighbours.csv
cache: cache
sources:
  - directory: tpfs
prf: empirical
cluster: {workers: 2}
output: run
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=142, help="candidates, from the first")
    parser.add_argument("--sectors", type=int, default=2, help="of each at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    place: Path = options.directory
    (place / "tpfs").mkdir(parents=True, exist_ok=True)
    neighbours = []
    tois = set()
    for scene in scenes(options.count, options.sectors, options.seed):
        for sector in scene.sectors:
            write_target_pixel_file(expose(scene, sector), place / "tpfs")
        neighbours += neighbour_rows(scene)
        tois.add(scene.candidates[0].toi)
        print(f"\r{len(tois)} of {options.count}", end="", file=sys.stderr)
    print(file=sys.stderr)
    with KNOWN_HOSTS.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["toi"] in tois]
    kept = {scene: ",".join(map(str, sectors)) for scene, sectors in _sectors(options.count, options.sectors)}
    _write(place / "toi.csv", [row | {"sectors": kept[row["toi"]]} for row in rows])
    _write(place / "neighbours.csv", neighbours)
    (place / "config.yaml").write_text(_CONFIG, encoding="utf-8")
    print(f"next: batchvet run {place / 'config.yaml'}, then batchvet compare {place / 'run'} known_hosts")
    return 0


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _sectors(count: int, most: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of each candidate, the first sectors of the catalogue."""
    for candidate in read_catalog(KNOWN_HOSTS).candidates[:count]:
        yield candidate.toi, tuple(candidate.sectors or ())[:most]


def scenes(count: int, most_sectors: int, seed: int) -> Iterator[Scene]:
    """The first candidates of the packaged catalogue as scenes; a dip that no sector would see is left out."""
    with KNOWN_HOSTS.open(encoding="utf-8") as file:
        hosts = {row["toi"]: int(row["host_tic"]) for row in csv.DictReader(file)}
    for number, candidate in enumerate(read_catalog(KNOWN_HOSTS).candidates[:count]):
        sectors = tuple(candidate.sectors or ())[:most_sectors]
        scene = scene_of(candidate, hosts[candidate.toi], sectors, seed, number)
        if scene.joint_snr(candidate.toi) > 0:
            yield scene


def scene_of(candidate: Candidate, host_tic: int, sectors: tuple[int, ...], seed: int, number: int) -> Scene:
    """A field about the candidate's target in which `host_tic` has the dip that the catalogue tells of."""
    settings = SimulationSettings(
        seed=seed,
        sectors=sectors,
        scenario="off_target",
        tmag_range=(candidate.tmag, candidate.tmag),
        neighbour_epoch=2000.0,
    )
    rng, further = stream(seed, number, 0, 0), stream(seed, number, 0, 2)
    stars = _placed(draw_stars(rng, further, settings, "off_target", candidate.tic), candidate, host_tic)
    shape = settings.shapes[0]
    pointings = {sector: draw_pointing(settings, number, sector, stars, shape) for sector in sectors}
    sights = {sector: Sight.of(settings, each, stars, shape) for sector, each in pointings.items()}
    sight = sights[sectors[0]]
    stars = _bright_enough(stars, sight, candidate.depth_ppm)
    depth = candidate.depth_ppm / sight.depth_ppm(stars.flux, _HOST, 1.0)
    dip = Dip(candidate.toi, candidate.ephemeris, depth, _HOST, ingress_fraction=0.3)
    seen = expected_snr(dip, stars, sights)
    snr = {(candidate.toi, sector): depth * float(values[_HOST]) for sector, values in seen.items()}
    return Scene(settings, number, candidate.tic, "off_target", shape, stars, (dip,), pointings, (candidate,), snr)


def _placed(stars: Stars, candidate: Candidate, host_tic: int) -> Stars:
    """The stars about the candidate's place, the target standing still, under their true names."""
    east, north = offsets(stars.ra, stars.dec, float(stars.ra[0]), float(stars.dec[0]))
    ra, dec = at_offset(east, north, candidate.ra, candidate.dec)
    pmra, pmdec, source_id = stars.pmra.copy(), stars.pmdec.copy(), stars.source_id.copy()
    pmra[0] = pmdec[0] = 0.0
    source_id[_HOST] = host_tic
    return replace(stars, ra=ra, dec=dec, pmra=pmra, pmdec=pmdec, source_id=source_id)


def _bright_enough(stars: Stars, sight: Sight, depth_ppm: float) -> Stars:
    """The host brighter until an eclipse of DEEPEST is seen as deep in the aperture."""
    tmag = stars.tmag.copy()
    while sight.depth_ppm(stars.flux, _HOST, DEEPEST) < depth_ppm and tmag[_HOST] > tmag[0] - 3.0:
        tmag[_HOST] -= 0.1
        stars = replace(stars, tmag=tmag.copy())
    return stars


if __name__ == "__main__":
    sys.exit(main())
