"""One candidate in a notebook: the same checks and the same verdict as a run's, without files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchvet.catalog.candidate import Candidate
from batchvet.errors import ConfigError
from batchvet.pixels.stamp import Stamp
from batchvet.results.schema import PROVENANCE_NAMES, SECTORS
from batchvet.science.evidence import SectorEvidence
from batchvet.science.joint import CandidateVerdict, vet_candidate
from batchvet.science.localization import SectorLocalization
from batchvet.vetting.given_pixels import stamps_of
from batchvet.vetting.measure import Measured, measure, observe
from batchvet.vetting.place import check_place, check_stars
from batchvet.vetting.process import measuring
from batchvet.vetting.rows import image_columns, sector_columns
from batchvet.vetting.settings import Surroundings, VetSettings

if TYPE_CHECKING:
    import pandas as pd

    from batchvet.vetting.given_pixels import Pixels


@dataclass(frozen=True, eq=False, repr=False)
class VettedSectors:
    """What one or several sectors say about one candidate."""

    verdict: CandidateVerdict  #: all sectors together
    rows: tuple[dict[str, Any], ...]  #: one a sector, as of the table `sectors`; None where nothing could be measured
    images_of_rows: tuple[dict[str, Any], ...]  #: of each row, as of the table `images`; empty without a dip to see

    @property
    def row(self) -> dict[str, Any]:
        """The row of the only sector. Raises ConfigError where there are several: `rows` and `sectors` have them."""
        return self._only(self.rows)

    @property
    def images(self) -> dict[str, Any]:
        """The images of the only sector. Raises ConfigError where there are several: `images_of_rows` has them."""
        return self._only(self.images_of_rows)

    @property
    def sectors(self) -> pd.DataFrame:
        """The rows as a table, as a run's; units in ``attrs["units"]``."""
        import pandas as pd

        frame = pd.DataFrame(self.rows)
        frame.attrs["units"] = self.units
        frame.attrs["text"] = {column.name: column.text for column in SECTORS if column.name in frame}
        return frame

    @property
    def units(self) -> dict[str, str]:
        """Column to unit."""
        return {column.name: column.unit for column in SECTORS if column.name in self.rows[0]}

    def _only(self, several: tuple[dict[str, Any], ...]) -> dict[str, Any]:
        if len(several) != 1:
            sectors = ", ".join(str(row["sector"]) for row in self.rows)
            raise ConfigError(
                f"there are sectors {sectors}: 'rows' and 'sectors' have all, 'images_of_rows' their images"
            )
        return several[0]


def vet_sectors(
    pixels: Pixels, candidate: Candidate, surroundings: Surroundings, settings: VetSettings
) -> VettedSectors:
    """Vet one candidate on what there is of its target, sector by sector and all together.

    Parameters
    ----------
    pixels : as of :func:`.given_pixels.stamps_of`
    candidate : Candidate
        Its TIC number is taken from the stamps.
    surroundings : Surroundings
    settings : VetSettings

    Raises
    ------
    PositionError
        The target cannot be where the candidate says.
    StampError
        A stamp has no usable cadence, is no stamp, or belongs to another target than the others.
    """
    found: dict[int, tuple[dict[str, Any], dict[str, Any], SectorEvidence | None]] = {}
    for stamp in stamps_of(pixels):
        with measuring():
            observation = observe(stamp, settings)
            check_place(candidate, stamp)
            check_stars(surroundings.neighbours, stamp)
            measured = measure(observation, replace(candidate, tic=stamp.tic), surroundings, settings)
        located = measured.localization
        found[stamp.sector] = (
            _row(stamp, measured),
            image_columns(measured) if measured.in_transit else {},
            located.evidence if isinstance(located, SectorLocalization) else None,
        )
    rows, images, evidence = zip(*(found[sector] for sector in sorted(found)), strict=True)
    return VettedSectors(vet_candidate([one for one in evidence if one is not None]), rows, images)


def _row(stamp: Stamp, measured: Measured) -> dict[str, Any]:
    values = {"tic": stamp.tic, "sector": stamp.sector, **sector_columns(measured)}
    return {column.name: values.get(column.name) for column in SECTORS if column.name not in {"toi", *PROVENANCE_NAMES}}
