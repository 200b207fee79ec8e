"""Every flag, verdict and failure in a sentence."""

from __future__ import annotations

VERDICTS: dict[str, str] = {
    "ON_TARGET": "The dip comes from the target, or from a star that cannot be told apart from it.",
    "OFF_TARGET": "The dip comes from another place than the target.",
    "AMBIGUOUS": "More than one star may have the dip; the likely hosts are listed.",
    "INCONCLUSIVE": "The pixels do not say where the dip is; the flags say why.",
}

STATUSES: dict[str, str] = {
    "ok": "The checks ran.",
    "skipped": "There was nothing to measure.",
    "error": "The pixels could not be used.",
}

FLAGS: dict[str, str] = {
    # the whole row
    "MISSING_TPF": "No source has a target pixel file of this target and sector.",
    "INSUFFICIENT_DATA": "There are too few cadences in transit, or too few out of it.",
    "CHECKSUM_MISMATCH": "The file was changed after its checksum was written.",
    "BACKGROUND_INCLUDED": "The flux still holds the sky's light, so depths in ppm come out too small.",
    "WORKER_KILLED": "The process that worked on this died; the rows of the sectors stand.",
    "NO_USABLE_SECTOR": "No sector of this candidate could be measured.",
    # V09
    "DIFFIMG_MAX_AT_EDGE": "V09: the deepest pixel is at the stamp's edge, where depths divide by almost nothing.",
    "DIFFIMG_TARGET_DEPTH_NONPOSITIVE": "V09: the stamp's central pixel does not get fainter in transit.",
    "DIFFIMG_MAX_DEPTH_NONPOSITIVE": "V09: no pixel gets fainter in transit.",
    "DIFFIMG_UNRELIABLE": "V09: its deepest pixel should not be believed.",
    "NO_VALID_PIXEL_DEPTHS": "V09: no pixel has a positive depth.",
    # V08
    "dropped_invalid_cadences": "V08 or V10: cadences without a time or without any finite pixel were left out.",
    "insufficient_valid_cadences": "V08: fewer than three cadences can be used.",
    "low_n_in_transit": "V08: fewer than 5 cadences are in transit.",
    "low_n_out_transit": "V08: fewer than 20 cadences are out of transit.",
    "marginal_n_in_transit": "V08: fewer than 10 cadences are in transit.",
    "marginal_n_out_transit": "V08: fewer than 50 cadences are out of transit.",
    "saturation_risk": "V08: a pixel is above the saturation level, so the centroid follows the bleed trail.",
    "SATURATION_RISK": "V08: a pixel is above the saturation level, so the centroid follows the bleed trail.",
    # V10
    "low_n_transit_epochs": "V10: fewer than two transits were seen.",
    "low_n_in_transit_cadences": "V10: fewer than 20 cadences are in transit.",
    "no_background_subtraction": "V10: the stamp is too small for a background annulus.",
    "background_annulus_small": "V10: the background annulus has fewer than 10 pixels.",
    "negative_depths_present": "V10: an aperture gets brighter in transit.",
    "sector_fallback_used": "V10: too little data beside the transits; the whole sector is the baseline.",
    "high_out_of_transit_drift_recommended_aperture": "V10: the flux out of transit drifts by 1 % or more.",
    # localisation
    "NO_WCS": "The file does not say where on the sky its pixels are.",
    "NO_NEIGHBOUR_TABLE": "No table of neighbouring stars was given, so other hosts could not be weighed.",
    "UNLISTED_BRIGHT_STAR": "The stamp shows a bright star that the table of neighbours lacks.",
    "NOT_LOCALIZED_NO_TRANSIT": "No transit has enough cadences on both sides to be fitted.",
    "NOT_LOCALIZED_NO_CADENCES": "No cadence is left for the fit.",
    "NOT_LOCALIZED_NO_PIXELS": "No pixel has enough finite values for the fit.",
    "NOT_LOCALIZED_GAP": "All transits fall into gaps or momentum dumps.",
    "ONE_SIDED": "A transit has data on one side only, so its baseline is less certain.",
    "FEW_NULL_EPOCHS": "There are few transit-free epochs to measure the noise on.",
    "CURVED_BASELINE": "A star varies so fast that its light was followed by a curve, not a line, around each transit.",
    "OTHER_DIP_SHAPE": "The dip has clearly another duration or ingress than the catalogue's, and was fitted so.",
    "NO_POS_CORR": "The file has no pointing correction, so pointing jitter was not removed.",
    "TRANSITS_DISAGREE": "The transits' difference images differ by more than their errors.",
    "LOW_SNR": "The dip's signal to noise is below 5.",
    "SOURCE_AT_EDGE": "The dip is within a pixel of the stamp's edge.",
    "SATURATED_SOURCE": "Saturated pixels run through the dip's place.",
    "POOR_PRF_FIT": "A point source describes the difference image badly.",
    "EMPIRICAL_PRF": "The shape of a star was fitted to the stamp itself, without the official PRF files.",
    # all sectors together
    "NO_VALID_TRANSIT": "No sector has a transit that can be used.",
    "ARTEFACT": "The difference image looks like an artefact rather than a star that dips.",
    "SECTORS_INCONSISTENT": "The sectors disagree about the dip's place.",
    "UNRESOLVED_NEIGHBOUR": "A star so close to the target that the two cannot be told apart.",
    "HOST_NOT_IN_TABLE": "The dip is where the table of neighbours has no star.",
}

FAILURES: dict[str, str] = {
    "missing_tpf": "no target pixel file",
    "unreadable": "the file cannot be read",
    "truncated": "the file is cut short",
    "corrupt": "the file is damaged",
    "not_fits": "not a FITS file",
    "empty": "the file is empty",
    "layout": "the file lacks what a target pixel file has",
    "identity": "the file is of another target or sector",
    "no_cadences": "there are no cadences",
    "no_pixels": "there are no pixels",
    "all_flagged": "every cadence is flagged",
    "no_cadence_in_transit": "no cadence in transit",
    "no_cadence_out_of_transit": "no cadence out of transit",
    "cache": "the cache entry is damaged",
    "killed": "the worker process died",
    "timeout": "it took too long",
    "internal": "a fault in batchvet",
}


def base_of(flag: str) -> str:
    """A flag without what it says in brackets: ``low_n_in_transit (3 < 5)`` is ``low_n_in_transit``."""
    return flag.split(" (", 1)[0]


def explain(flag: str) -> str:
    """What a flag, verdict or status means, in a sentence; empty for an unknown one."""
    name = base_of(flag)
    for known in (FLAGS, VERDICTS, STATUSES):
        if name in known:
            return known[name]
    if name.startswith("NOT_LOCALIZED_"):
        return "The dip could not be localised in this sector."
    return "A check met an ephemeris or pixels that it cannot use." if name.startswith("ERROR:") else ""
