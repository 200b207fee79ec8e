# house: the one registry of words, in one list
"""Every word that a table, a log or a page may hold: verdicts, statuses, flags and kinds of failure.

One registry: those who raise a word, the report and the documentation all take it from here. A word is a string, so it
is written, compared and stored as one; `layer` says where it is raised and `text` what it means, in a sentence.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Self

#: What a PRF is called in tables: from the official files, or fitted to the stamp.
SPOC, EMPIRICAL = "spoc", "empirical"


class Layer(StrEnum):
    """Where in the program a word comes from."""

    FILE = "file"  # reading a file of pixels, stars or PRFs
    CACHE = "cache"
    ARCHIVE = "archive"  # servers and buckets
    USER = "user"  # a configuration, a catalogue, a call
    ROW = "row"  # one candidate in one sector, whatever the check
    V09 = "V09"
    V08 = "V08"
    V10 = "V10"
    LOCALIZATION = "localization"  # one sector
    CANDIDATE = "candidate"  # all sectors together
    RUN = "run"


class _Word(StrEnum):
    """A string that knows its layer and its sentence."""

    layer: Layer
    text: str

    def __new__(cls, value: str, layer: Layer, text: str) -> Self:
        word = str.__new__(cls, value)
        word._value_ = value
        word.layer = layer
        word.text = text
        return word

    def __repr__(self) -> str:
        """As the string that it is: results are looked at in notebooks."""
        return repr(self.value)


@unique
class Verdict(_Word):
    """Whose dip it is, in a word (method: verdict)."""

    ON_TARGET = (
        "ON_TARGET",
        Layer.CANDIDATE,
        "The dip comes from the target, or from a star that cannot be told apart from it.",
    )
    OFF_TARGET = "OFF_TARGET", Layer.CANDIDATE, "The dip comes from another place than the target."
    AMBIGUOUS = "AMBIGUOUS", Layer.CANDIDATE, "More than one star may have the dip; the likely hosts are listed."
    INCONCLUSIVE = "INCONCLUSIVE", Layer.CANDIDATE, "The pixels do not say where the dip is; the flags say why."
    NO_DATA = (
        "NO_DATA",
        Layer.CANDIDATE,
        "No pixels of this candidate's target are here, or its row of the catalogue cannot be vetted.",
    )


@unique
class HostWord(_Word):
    """What is known of one star as the dip's host, in a word (method: hosts)."""

    HOST = "HOST", Layer.CANDIDATE, "The dip is this star's, with a probability of 0.95 or more."
    POSSIBLE = "POSSIBLE", Layer.CANDIDATE, "The dip may be this star's."
    CLEARED = "CLEARED", Layer.CANDIDATE, "The dip is not this star's: its probability is below 0.001."
    CANNOT_TELL = "CANNOT_TELL", Layer.CANDIDATE, "The pixels do not say whether the dip may be this star's."


@unique
class Status(_Word):
    """How a row, or one check of it, ended."""

    OK = "ok", Layer.ROW, "The checks ran."
    SKIPPED = "skipped", Layer.ROW, "There was nothing to measure."
    ERROR = "error", Layer.ROW, "The pixels could not be used."


@unique
class Flag(_Word):
    """What to know about a row or a candidate before trusting its numbers.

    V08's, V09's and V10's are tess-vetter's words without the numbers that it puts behind some.
    """

    # the whole row
    MISSING_TPF = "MISSING_TPF", Layer.ROW, "No source has a target pixel file of this target and sector."
    BAD_CATALOGUE_ROW = (
        "BAD_CATALOGUE_ROW",
        Layer.ROW,
        "The candidate's row of the published list lacks what is needed to vet it.",
    )
    INSUFFICIENT_DATA = (
        "INSUFFICIENT_DATA",
        Layer.ROW,
        "There are too few cadences in transit, or too few out of it.",
    )
    SAME_EPHEMERIS = (
        "SAME_EPHEMERIS",
        Layer.ROW,
        "Another candidate of the target has the same dips, by another name or at a fraction of the period.",
    )
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH", Layer.FILE, "The file was changed after its checksum was written."
    BACKGROUND_INCLUDED = (
        "BACKGROUND_INCLUDED",
        Layer.FILE,
        "The flux still holds the sky's light, so depths in ppm come out too small.",
    )
    # V09
    DIFFIMG_MAX_AT_EDGE = (
        "DIFFIMG_MAX_AT_EDGE",
        Layer.V09,
        "V09: the deepest pixel is at the stamp's edge, where depths divide by almost nothing.",
    )
    DIFFIMG_TARGET_DEPTH_NONPOSITIVE = (
        "DIFFIMG_TARGET_DEPTH_NONPOSITIVE",
        Layer.V09,
        "V09: the stamp's central pixel does not get fainter in transit.",
    )
    DIFFIMG_MAX_DEPTH_NONPOSITIVE = (
        "DIFFIMG_MAX_DEPTH_NONPOSITIVE",
        Layer.V09,
        "V09: no pixel gets fainter in transit.",
    )
    DIFFIMG_UNRELIABLE = "DIFFIMG_UNRELIABLE", Layer.V09, "V09: its deepest pixel should not be believed."
    NO_VALID_PIXEL_DEPTHS = "NO_VALID_PIXEL_DEPTHS", Layer.V09, "V09: no pixel has a positive depth."
    # V08
    DROPPED_INVALID_CADENCES = (
        "dropped_invalid_cadences",
        Layer.V08,
        "V08 or V10: cadences without a time or without any finite pixel were left out.",
    )
    INSUFFICIENT_VALID_CADENCES = (
        "insufficient_valid_cadences",
        Layer.V08,
        "V08: fewer than three cadences can be used.",
    )
    LOW_N_IN_TRANSIT = "low_n_in_transit", Layer.V08, "V08: fewer than 5 cadences are in transit."
    LOW_N_OUT_TRANSIT = "low_n_out_transit", Layer.V08, "V08: fewer than 20 cadences are out of transit."
    MARGINAL_N_IN_TRANSIT = "marginal_n_in_transit", Layer.V08, "V08: fewer than 10 cadences are in transit."
    MARGINAL_N_OUT_TRANSIT = "marginal_n_out_transit", Layer.V08, "V08: fewer than 50 cadences are out of transit."
    SATURATION_RISK_V08 = (
        "saturation_risk",
        Layer.V08,
        "V08: a pixel is above the saturation level, so the centroid follows the bleed trail.",
    )
    SATURATION_RISK = (
        "SATURATION_RISK",
        Layer.V08,
        "V08: a pixel is above the saturation level, so the centroid follows the bleed trail.",
    )
    # V10
    LOW_N_TRANSIT_EPOCHS = "low_n_transit_epochs", Layer.V10, "V10: fewer than two transits were seen."
    LOW_N_IN_TRANSIT_CADENCES = "low_n_in_transit_cadences", Layer.V10, "V10: fewer than 20 cadences are in transit."
    NO_BACKGROUND_SUBTRACTION = (
        "no_background_subtraction",
        Layer.V10,
        "V10: the stamp is too small for a background annulus.",
    )
    BACKGROUND_ANNULUS_SMALL = (
        "background_annulus_small",
        Layer.V10,
        "V10: the background annulus has fewer than 10 pixels.",
    )
    NEGATIVE_DEPTHS_PRESENT = "negative_depths_present", Layer.V10, "V10: an aperture gets brighter in transit."
    SECTOR_FALLBACK_USED = (
        "sector_fallback_used",
        Layer.V10,
        "V10: too little data beside the transits; the whole sector is the baseline.",
    )
    HIGH_OUT_OF_TRANSIT_DRIFT_RECOMMENDED_APERTURE = (
        "high_out_of_transit_drift_recommended_aperture",
        Layer.V10,
        "V10: the flux out of transit drifts by 1 % or more.",
    )
    # localisation of one sector
    NO_WCS = "NO_WCS", Layer.LOCALIZATION, "The file does not say where on the sky its pixels are."
    NO_NEIGHBOUR_TABLE = (
        "NO_NEIGHBOUR_TABLE",
        Layer.LOCALIZATION,
        "No table of neighbouring stars was given, so other hosts could not be weighed.",
    )
    UNLISTED_BRIGHT_STAR = (
        "UNLISTED_BRIGHT_STAR",
        Layer.LOCALIZATION,
        "The stamp shows a bright star that the table of neighbours lacks.",
    )
    NOT_LOCALIZED_NO_TRANSIT = (
        "NOT_LOCALIZED_NO_TRANSIT",
        Layer.LOCALIZATION,
        "No transit has enough cadences on both sides to be fitted.",
    )
    NOT_LOCALIZED_NO_CADENCES = "NOT_LOCALIZED_NO_CADENCES", Layer.LOCALIZATION, "No cadence is left for the fit."
    NOT_LOCALIZED_NO_PIXELS = (
        "NOT_LOCALIZED_NO_PIXELS",
        Layer.LOCALIZATION,
        "Too few pixels have enough finite values for the fit.",
    )
    NOT_LOCALIZED_GAP = "NOT_LOCALIZED_GAP", Layer.LOCALIZATION, "All transits fall into gaps or momentum dumps."
    ONE_SIDED = (
        "ONE_SIDED",
        Layer.LOCALIZATION,
        "A transit has data on one side only, so its baseline is less certain.",
    )
    FEW_NULL_EPOCHS = (
        "FEW_NULL_EPOCHS",
        Layer.LOCALIZATION,
        "There are few transit-free epochs to measure the noise on.",
    )
    CURVED_BASELINE = (
        "CURVED_BASELINE",
        Layer.LOCALIZATION,
        "A star varies so fast that its light was followed by a curve, not a line, around each transit.",
    )
    OTHER_DIP_SHAPE = (
        "OTHER_DIP_SHAPE",
        Layer.LOCALIZATION,
        "The dip has clearly another duration or ingress than the catalogue's, and was fitted so.",
    )
    NO_POS_CORR = "NO_POS_CORR", Layer.LOCALIZATION, "The file has no pointing correction: jitter was not removed."
    TRANSITS_DISAGREE = (
        "TRANSITS_DISAGREE",
        Layer.LOCALIZATION,
        "The transits' images differ by more than their errors.",
    )
    EPHEMERIS_OFF = (
        "EPHEMERIS_OFF",
        Layer.LOCALIZATION,
        "The dips come 3 sigma earlier or later than the ephemeris says; they were measured where they are.",
    )
    SECONDARY_SEEN = "SECONDARY_SEEN", Layer.LOCALIZATION, "There is a dip at another phase, as of an eclipsing binary."
    FLARE_OR_ASTEROID = (
        "FLARE_OR_ASTEROID",
        Layer.LOCALIZATION,
        "A flare, an asteroid or the like shines in a transit's window; it was left out as far as it is seen.",
    )
    SPOILT_DIP = (
        "SPOILT_DIP",
        Layer.LOCALIZATION,
        "A flare or an asteroid shone where the dip seems to be, brighter than the dip is deep.",
    )
    TARGET_POSITION_DISAGREES = (
        "TARGET_POSITION_DISAGREES",
        Layer.LOCALIZATION,
        "Catalogue or file put the target more than 1 arcsec from where its entry of the neighbour table says.",
    )
    ZERO_POINT_LARGE = (
        "ZERO_POINT_LARGE",
        Layer.LOCALIZATION,
        "The stars stand farther off the file's WCS than it can err, as where the table lacks a star.",
    )
    LOW_SNR = "LOW_SNR", Layer.LOCALIZATION, "The dip's signal to noise is below 5."
    SOURCE_AT_EDGE = "SOURCE_AT_EDGE", Layer.LOCALIZATION, "The dip is within a pixel of the stamp's edge."
    SATURATED_SOURCE = "SATURATED_SOURCE", Layer.LOCALIZATION, "Saturated pixels run through the dip's place."
    POOR_PRF_FIT = "POOR_PRF_FIT", Layer.LOCALIZATION, "A point source describes the difference image badly."
    # all sectors together
    EMPIRICAL_PRF = (
        "EMPIRICAL_PRF",
        Layer.CANDIDATE,
        "The shape of a star was fitted to the stamp itself, without the official PRF files.",
    )
    OUTSIDE_CALIBRATION = (
        "OUTSIDE_CALIBRATION",
        Layer.CANDIDATE,
        "The scenes of the calibration have none like it: more sectors, a brighter star, another cadence.",
    )
    NO_USABLE_SECTOR = "NO_USABLE_SECTOR", Layer.CANDIDATE, "No sector of this candidate could be measured."
    NO_VALID_TRANSIT = "NO_VALID_TRANSIT", Layer.CANDIDATE, "No sector has a transit that can be used."
    ARTEFACT = (
        "ARTEFACT",
        Layer.CANDIDATE,
        "The difference image looks like an artefact rather than a star that dips.",
    )
    SECTORS_INCONSISTENT = "SECTORS_INCONSISTENT", Layer.CANDIDATE, "The sectors disagree about the dip's place."
    UNRESOLVED_NEIGHBOUR = (
        "UNRESOLVED_NEIGHBOUR",
        Layer.CANDIDATE,
        "A star so close to the target that the two cannot be told apart.",
    )
    HOST_NOT_IN_TABLE = (
        "HOST_NOT_IN_TABLE",
        Layer.CANDIDATE,
        "The dip is where the table of neighbours has no star.",
    )
    ODD_EVEN_DIFFER = (
        "ODD_EVEN_DIFFER",
        Layer.CANDIDATE,
        "Odd and even transits differ in depth or place, as the two eclipses of a binary with twice the period.",
    )
    SECONDARY_ELSEWHERE = (
        "SECONDARY_ELSEWHERE",
        Layer.CANDIDATE,
        "The dip at another phase comes from another place than the candidate's own.",
    )
    WORKER_KILLED = (
        "WORKER_KILLED",
        Layer.RUN,
        "The process that worked on this died; the rows of the sectors stand.",
    )
    JUDGING_FAILED = (
        "JUDGING_FAILED",
        Layer.RUN,
        "This candidate could not be judged; the rows of the sectors stand, and the next run tries again.",
    )


@unique
class ErrorKind(_Word):
    """Why something failed: the column ``error_kind``, the log, and ``kind`` of every error."""

    # a file
    STAMP = "stamp", Layer.FILE, "it is not a target pixel file that can be used"
    UNREADABLE = "unreadable", Layer.FILE, "the file cannot be read"
    TRUNCATED = "truncated", Layer.FILE, "the file is cut short"
    CORRUPT = "corrupt", Layer.FILE, "the file is damaged"
    NOT_FITS = "not_fits", Layer.FILE, "not a FITS file"
    EMPTY = "empty", Layer.FILE, "the file is empty"
    LAYOUT = "layout", Layer.FILE, "the file lacks what a target pixel file has"
    IDENTITY = "identity", Layer.FILE, "the file is of another target or sector"
    WCS = "wcs", Layer.FILE, "the file's WCS cannot be used"
    NO_CADENCES = "no_cadences", Layer.FILE, "there are no cadences"
    NO_PIXELS = "no_pixels", Layer.FILE, "there are no pixels"
    CHECKSUM = "checksum", Layer.FILE, "the file does not match its checksum"
    # the cache
    CACHE = "cache", Layer.CACHE, "the cache entry is damaged"
    STORAGE = "storage", Layer.CACHE, "the place of the cache cannot be reached or refuses"
    # a server or a bucket
    ARCHIVE = "archive", Layer.ARCHIVE, "the archive did not give what was asked for"
    UNREACHABLE = "unreachable", Layer.ARCHIVE, "the archive cannot be reached for now"
    REFUSED = "refused", Layer.ARCHIVE, "the archive refuses"
    INTERRUPTED = "interrupted", Layer.ARCHIVE, "it was interrupted"
    CHANGED = "changed", Layer.ARCHIVE, "the object was replaced while it was read"
    MISSING = "missing", Layer.ARCHIVE, "there is no such object"
    TAKEN = "taken", Layer.ARCHIVE, "the object is there already"
    WHOLE = "whole", Layer.ARCHIVE, "the object can only be read whole"
    # one candidate in one sector
    MISSING_TPF = "missing_tpf", Layer.ROW, "no target pixel file"
    NOT_ASKED = "not_asked", Layer.ROW, "the archive has not been asked yet"
    BAD_CATALOGUE_ROW = "bad_catalogue_row", Layer.ROW, "the row of the published list cannot be vetted"
    POSITION = "position", Layer.ROW, "the target cannot be where the catalogue says"
    ALL_FLAGGED = "all_flagged", Layer.ROW, "every cadence is flagged"
    NO_CADENCE_IN_TRANSIT = "no_cadence_in_transit", Layer.ROW, "no cadence in transit"
    NO_CADENCE_OUT_OF_TRANSIT = "no_cadence_out_of_transit", Layer.ROW, "no cadence out of transit"
    INSUFFICIENT_DATA = "insufficient_data", Layer.LOCALIZATION, "too little data for the fit"
    NO_TRANSIT = "no_transit", Layer.LOCALIZATION, "no transit falls into the sector"
    GAP = "gap", Layer.LOCALIZATION, "all transits fall into gaps"
    KILLED = "killed", Layer.RUN, "the worker process died"
    INTERNAL = "internal", Layer.ROW, "a fault in batchvet"
    # what the caller can mend
    ERROR = "error", Layer.USER, "something went wrong"
    CONFIG = "config", Layer.USER, "the configuration or the call cannot be used"
    CATALOG = "catalog", Layer.USER, "the catalogue cannot be used"
    RUN = "run", Layer.RUN, "the run's directory cannot be used"


#: Reasons that may be gone the next time: rows that have one are done again.
PASSING_FAULTS = frozenset({ErrorKind.UNREACHABLE, ErrorKind.CACHE, ErrorKind.STORAGE, ErrorKind.CHANGED})

#: Reasons that may be the fault of one worker's place: another worker is asked for a second opinion.
FAULTS_OF_PLACES = frozenset({ErrorKind.CACHE, ErrorKind.STORAGE, ErrorKind.UNREADABLE, ErrorKind.INTERNAL})

#: Reasons of candidates that no further run of the same catalogue can judge: their row is final.
FINAL_FAULTS = frozenset({ErrorKind.BAD_CATALOGUE_ROW})

_EXPLAINED: dict[str, _Word] = {str(word): word for words in (Status, Verdict, Flag) for word in words}
_NOT_LOCALIZED: dict[str, Flag] = {
    ErrorKind.NO_TRANSIT: Flag.NOT_LOCALIZED_NO_TRANSIT,
    ErrorKind.NO_CADENCES: Flag.NOT_LOCALIZED_NO_CADENCES,
    ErrorKind.NO_PIXELS: Flag.NOT_LOCALIZED_NO_PIXELS,
    ErrorKind.GAP: Flag.NOT_LOCALIZED_GAP,
}
_KINDS: dict[str, ErrorKind] = {str(kind): kind for kind in ErrorKind}


def error_kind(word: str) -> ErrorKind:
    """The kind that a stored word stands for."""
    return _KINDS[word]


def not_localized(kind: str) -> Flag:
    """The flag of a sector whose dip could not be localised for a reason of that kind."""
    return _NOT_LOCALIZED[kind]


def explain(word: str) -> str:
    """What a flag, verdict or status means, in a sentence; empty for an unknown one."""
    if word in _EXPLAINED:
        return _EXPLAINED[word].text
    return "A check met an ephemeris or pixels that it cannot use." if word.startswith("ERROR:") else ""
