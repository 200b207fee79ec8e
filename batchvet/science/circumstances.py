"""Under which circumstances a candidate was seen: what a calibration's scenes must have had for it to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from batchvet.science.evidence import SectorEvidence

Span = tuple[float, float]


@dataclass(frozen=True)
class Circumstances:
    """Least and most of what the quality of a probability may depend on; NaN where it is not known."""

    n_sectors: Span
    snr: Span  #: of the joint dip
    cadence_s: Span
    duration_hours: Span
    tmag: Span  #: of the target

    @classmethod
    def of(cls, evidence: Sequence[SectorEvidence], snr: float) -> Circumstances:
        """Of at least one sector, and the joint signal to noise."""
        tmag = [float(found.hosts.tmag[found.hosts.is_target][0]) for found in evidence]
        return cls(
            n_sectors=(len(evidence), len(evidence)),
            snr=(snr, snr),
            cadence_s=_span([found.cadence_s for found in evidence]),
            duration_hours=_span([found.duration_hours for found in evidence]),
            tmag=_span(tmag),
        )


def _span(values: Sequence[float]) -> Span:
    return float(np.min(values)), float(np.max(values))  # NaN if any is
