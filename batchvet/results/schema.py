"""The tables' columns: name, type, unit and a sentence each. What is written is this, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa

from batchvet.results import evidence_columns, star_columns
from batchvet.science import aperture_dependence, centroid_shift, depth_map
from batchvet.science.metric import Metric

FORMAT_VERSION = 6

_ARROW = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "strings": pa.list_(pa.string()),
    "floats": pa.list_(pa.float32()),
    "doubles": pa.list_(pa.float64()),
    "ints": pa.list_(pa.int32()),
    "bools": pa.list_(pa.bool_()),
}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: str  #: a key of the types above
    unit: str
    text: str  #: one sentence


def _columns(text: str) -> tuple[Column, ...]:
    """Columns from lines of ``name | kind | unit | sentence``."""
    return tuple(Column(*(part.strip() for part in line.split("|"))) for line in text.strip().splitlines())


IDENTITY = _columns(
    """
    toi | str | | Name of the candidate.
    tic | int | | TESS Input Catalog number of its target.
    sector | int | | TESS sector; 0 when no sector with pixels is known.
    """
)

_TASK = _columns(
    """
    camera | int | | Camera, 1 to 4; 0 when the file does not say.
    ccd | int | | CCD, 1 to 4; 0 when the file does not say.
    cadence_s | float | s | Time from one cadence to the next.
    n_cadences | int | | Cadences without an excluded quality flag.
    n_in_transit | int | | Of these, within half a duration of mid-transit.
    n_transits | int | | Transits in the difference image; where it was not made, those with a cadence in transit.
    status | str | | ok, skipped (nothing to measure) or error (the pixels cannot be used).
    flag_names | strings | | Flags that bear on the verdict: file's, row's, localisation's; V08 to V10 have their own.
    error_kind | str | | Why it was skipped or failed, in a word; empty when ok.
    error | str | | The same in a sentence.
    """
)

_LOCALIZATION = _columns(
    """
    target_offset_pixels | float | pixel | Dip minus target, length.
    target_offset_arcsec | float | arcsec | Dip minus target, length.
    offset_ra_arcsec | float | arcsec | Dip minus target, east: right ascension times cos(dec).
    offset_dec_arcsec | float | arcsec | Dip minus target, north.
    offset_cov_ra_ra | float | arcsec2 | Covariance of the offset, east east; all errors included.
    offset_cov_ra_dec | float | arcsec2 | Covariance of the offset, east north.
    offset_cov_dec_dec | float | arcsec2 | Covariance of the offset, north north.
    significance_sigma | float | sigma | Offset over its error: sqrt(offset' covariance^-1 offset).
    difference_snr | float | | Signal to noise of the dip as a point source in the difference image.
    source_ra | float | deg | Right ascension of the dip, ICRS, at mid-sector.
    source_dec | float | deg | Declination of the dip, ICRS, at mid-sector.
    prf_source | str | | PRF used: spoc or empirical.
    prf_chi2_reduced | float | | Reduced chi2 of the point source fitted to the difference image.
    zero_point_col | float | pixel | Columns by which the stars stand off the WCS.
    zero_point_row | float | pixel | Rows by which the stars stand off the WCS.
    timing_offset_minutes | float | min | By how much the transits come late, together; 0 where the ephemeris serves.
    timing_error_minutes | float | min | Its error.
    transit_times_btjd | doubles | d | Mid-times at which the transits were looked for, BTJD.
    transit_oc_minutes | doubles | min | Of each, observed minus calculated; 0 where the ephemeris serves.
    transit_oc_error_minutes | doubles | min | Its error; infinite where no time can be measured.
    n_outlier_cadences | int | | Cadences in whose windows a flare, an asteroid or the like was left out.
    localization_flags | strings | | What to know about the localisation.
    """
)

_PROVENANCE = _columns(
    """
    seconds | float | s | Time the row took; the only column that differs from run to run.
    source_file | str | | File or address that the pixels were read from.
    stamp_hash | str | | Of the pixels; a row is stale when one of these hashes has changed.
    candidate_hash | str | | Of the catalogue's rows of the target.
    neighbours_hash | str | | Of the neighbour table's rows of the target.
    settings_hash | str | | Of the settings that numbers depend on.
    software_version | str | | Of batchvet.
    has_image | bool | | Whether the row has images, in the part of `images` of the same name.
    has_evidence | bool | | Whether the row has evidence, in the part of `evidence` of the same name.
    """
)

_IMAGES = _columns(
    """
    n_rows | int | pixel | Rows of the stamp.
    n_cols | int | pixel | Columns of the stamp.
    column | int | pixel | CCD column of pixel [0, 0].
    row | int | pixel | CCD row of pixel [0, 0].
    difference | floats | e-/s | Out of transit minus in transit, row by row.
    difference_error | floats | e-/s | Its error; empty when the localisation was not made.
    out_of_transit | floats | e-/s | Image out of transit.
    depth_ppm | floats | ppm | V09's depth of every pixel.
    aperture | ints | | SPOC aperture bits; 2 is the optimal aperture.
    source_col | float | pixel | Column of the dip in the stamp.
    source_row | float | pixel | Row of the dip in the stamp.
    target_col | float | pixel | Column of the target in the stamp, zero point included.
    target_row | float | pixel | Row of the target in the stamp.
    east_per_col | float | arcsec/pixel | East on the sky for one column.
    east_per_row | float | arcsec/pixel | East on the sky for one row.
    north_per_col | float | arcsec/pixel | North on the sky for one column.
    north_per_row | float | arcsec/pixel | North on the sky for one row.
    star_id | strings | | Stars of the scene, the target first.
    star_col | floats | pixel | Their columns in the stamp.
    star_row | floats | pixel | Their rows in the stamp.
    star_tmag | floats | mag | Their TESS magnitudes.
    folded_hours | floats | h | Time from mid-transit of each bin of the light in the aperture, folded.
    folded_odd_ppm | floats | ppm | Light over that out of transit, minus 1, an odd number of periods from t0.
    folded_odd_error_ppm | floats | ppm | Its error.
    folded_even_ppm | floats | ppm | The same of an even number of periods; a single transit is one of these.
    folded_even_error_ppm | floats | ppm | Its error.
    folded_secondary_phase | float | | Phase about which a secondary eclipse is looked at, periods after the transit.
    folded_secondary_ppm | floats | ppm | Light about that phase, in the same bins.
    folded_secondary_error_ppm | floats | ppm | Its error.
    folded_phase_ppm | floats | ppm | Light of a whole period in 100 bins from phase -0.25 on; empty if single.
    """
)

_CANDIDATES = _columns(
    """
    toi | str | | Name of the candidate.
    tic | int | | TESS Input Catalog number of its target.
    period_days | float | d | Period as the catalogue has it; 0 for a single transit.
    period_err_days | float | d | Its error; 0 when not known.
    t0_btjd | float | d | Mid-time of one transit, BTJD = BJD - 2457000.
    t0_err_days | float | d | Its error; 0 when not known.
    duration_hours | float | h | From first to fourth contact.
    depth_ppm | float | ppm | Depth as the catalogue has it.
    tmag | float | mag | TESS magnitude of the target, as the catalogue has it.
    ra | float | deg | Right ascension of the target, as the catalogue has it.
    dec | float | deg | Declination of the target, as the catalogue has it.
    pmra | float | mas/yr | Proper motion in right ascension, as the catalogue has it, with cos(dec).
    pmdec | float | mas/yr | Proper motion in declination, as the catalogue has it.
    n_sectors | int | | Sectors that were asked for.
    n_sectors_used | int | | Sectors whose localisation counts.
    verdict | str | | ON_TARGET, OFF_TARGET, AMBIGUOUS, INCONCLUSIVE or NO_DATA.
    p_target | float | | Calibrated probability that the dip is the target's.
    p_target_group | float | | The same of its group: with the stars within 4 arcsec, not told from it.
    p_target_raw | float | | That of the target before calibration.
    log_likelihood_target | float | | Log likelihood that the target has the dip, against no dip.
    log_likelihood_not_in_table | float | | The same of a star that the table lacks, anywhere.
    log_likelihood_artefact | float | | The same of an artefact.
    prior_target | float | | Prior of the target.
    prior_not_in_table | float | | Prior of a star that the table lacks: 1 % or, where that ends early, more.
    best_host_id | str | | The most likely star.
    p_best_host | float | | Its calibrated probability.
    host_source_id | strings | | The stars that make up 95 % of the probability, the likeliest first.
    host_probability | doubles | | Of each, the calibrated probability that the dip is its.
    host_separation_arcsec | doubles | arcsec | Of each, the distance from the target.
    host_depth_required | doubles | | Of each, the eclipse it would need, a fraction of its light; above 1 cannot be.
    host_log_likelihood | doubles | | Of each, the log likelihood that it has the dip, against no dip.
    host_prior | doubles | | Of each, the prior probability.
    offset_arcsec | float | arcsec | Dip minus target, all sectors together, length.
    offset_ra_arcsec | float | arcsec | Dip minus target, east.
    offset_dec_arcsec | float | arcsec | Dip minus target, north.
    offset_cov_ra_ra | float | arcsec2 | Covariance of the offset, east east; all errors included.
    offset_cov_ra_dec | float | arcsec2 | Covariance of the offset, east north.
    offset_cov_dec_dec | float | arcsec2 | Covariance of the offset, north north.
    significance_sigma | float | sigma | Offset over its error.
    source_ra | float | deg | Right ascension of the dip, amid the sectors, by place and motion of the target.
    source_dec | float | deg | Declination of the dip, all sectors together, by the same.
    dv_offset_arcsec | float | arcsec | Weighted mean of the sectors' offsets, as in SPOC Data Validation.
    dv_significance_sigma | float | sigma | The same over its error with 2.5 arcsec added in quadrature.
    sector_consistency_p | float | | Chance of sectors that differ this much; null for fewer than two.
    """
)

_TRANSITS = """
    {0}_n_dips | int | | Transits an {0} number of periods from t0, in the difference images.
    {0}_time_btjd | float | d | Mid-time of the first of them, BTJD.
    {0}_depth_ppm | float | ppm | Light lost at the dip's place, of the target's light.
    {0}_depth_error_ppm | float | ppm | Its error, from the noise.
    {0}_offset_arcsec | float | arcsec | Their dip minus target, length; null where it is too faint to locate.
    {0}_significance_sigma | float | sigma | That offset over its error.
    """

_PARTS = _columns(
    _TRANSITS.format("odd").rstrip()
    + _TRANSITS.format("even").rstrip()
    + """
    odd_even_depth_sigma | float | sigma | Difference of odd and even depth over its error.
    odd_even_offset_arcsec | float | arcsec | Between the places of odd and even.
    odd_even_offset_sigma | float | sigma | The same over its error.
    secondary_n_dips | int | | Dips at another phase, where such are seen.
    secondary_phase | float | | Their phase, in periods after the candidate's dips.
    secondary_time_btjd | float | d | Mid-time of the first of them, BTJD.
    secondary_depth_ppm | float | ppm | Light lost at their own place, of the target's light.
    secondary_depth_error_ppm | float | ppm | Its error, from the noise.
    secondary_offset_arcsec | float | arcsec | Their dip minus target, length.
    secondary_significance_sigma | float | sigma | That offset over its error.
    secondary_from_dip_arcsec | float | arcsec | Between their place and that of the candidate's dip.
    secondary_from_dip_sigma | float | sigma | The same over its error.
    """
)

CANDIDATES = (
    *_CANDIDATES,
    *_PARTS,
    *_columns(
        """
        flag_names | strings | | What to know about the candidate.
        calibration_version | str | | Of the probabilities' calibration.
        error_kind | str | | Why it could not be judged, in a word; empty when it was.
        error | str | | The same in a sentence.
        made_from | str | | Stands for its sectors' hashes, calibration and priors: judged again when one changes.
        """
    ),
)

MATCHES = (*IDENTITY[:2], *_columns(star_columns.MATCHES))

#: What the columns `host_*` of `candidates` have of each star.
HOST_FIELDS = _columns(
    """
    source_id | str | | The star's name in the neighbour table, or what else could make the dip.
    probability | float | | Calibrated probability that the dip is its.
    separation_arcsec | float | arcsec | From the target.
    depth_required | float | | Of the eclipse that it would need, as a fraction of its light; more than 1 cannot be.
    log_likelihood | float | | Log likelihood that it has the dip, against no dip.
    prior | float | | Its prior probability.
    """
)
HOST_NAMES = tuple(column.name for column in HOST_FIELDS)

#: One row for each candidate and star of its table, the target included.
HOSTS = (*IDENTITY[:2], *_columns(star_columns.HOSTS))


@dataclass(frozen=True)
class CheckFigures:
    """What a check leaves in the table `sectors`."""

    title: str  #: of its figures in the report
    metrics: Mapping[str, Metric]  #: those figures

    def columns(self, check: str) -> tuple[Column, ...]:
        """Status, flags and figures of the check of that name."""
        prefix = check.lower()
        return (
            Column(f"{prefix}_status", "str", "", f"{check}: ok, skipped or error; empty when it was not asked for."),
            Column(f"{prefix}_flags", "strings", "", f"{check}: its flags."),
            *(Column(f"{prefix}_{name}", m.kind, m.unit, f"{check}: {m.doc}") for name, m in self.metrics.items()),
        )


#: Checks with figures of their own, in the order of their columns.
CHECKS: dict[str, CheckFigures] = {
    "V09": CheckFigures("depth map", depth_map.METRICS),
    "V08": CheckFigures("centroid shift", centroid_shift.METRICS),
    "V10": CheckFigures("aperture dependence", aperture_dependence.METRICS),
}

SECTORS = (
    *IDENTITY,
    *_TASK,
    *chain.from_iterable(figures.columns(check) for check, figures in CHECKS.items()),
    *_LOCALIZATION,
    *_PROVENANCE,
)

IMAGES = (*IDENTITY, *_IMAGES)

EVIDENCE = (*IDENTITY[:2], *_columns(evidence_columns.COLUMNS))

LOCALIZATION_NAMES = tuple(column.name for column in _LOCALIZATION)
PROVENANCE_NAMES = tuple(column.name for column in _PROVENANCE)
HASH_NAMES = ("stamp_hash", "candidate_hash", "neighbours_hash", "settings_hash", "software_version")


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Arrow schema with the unit and the sentence in each field's metadata."""
    return pa.schema(
        [pa.field(c.name, _ARROW[c.kind], metadata={"unit": c.unit, "description": c.text}) for c in columns]
    )


TABLES = {"sectors": arrow_schema(SECTORS), "images": arrow_schema(IMAGES), "evidence": arrow_schema(EVIDENCE)}
CANDIDATES_SCHEMA = arrow_schema(CANDIDATES)
MATCHES_SCHEMA = arrow_schema(MATCHES)
HOSTS_SCHEMA = arrow_schema(HOSTS)
#: The same without units and sentences, for rows on their way.
BARE = {
    name: pa.schema([field.remove_metadata() for field in schema])
    for name, schema in {**TABLES, "candidates": CANDIDATES_SCHEMA, "hosts": HOSTS_SCHEMA}.items()
}


def hosts_of(candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The likely hosts in a row of `candidates`, each with the names of :data:`HOST_FIELDS`."""
    columns = [candidate.get(f"host_{name}") for name in HOST_NAMES]
    if any(column is None or isinstance(column, float) for column in columns):
        return []
    return [dict(zip(HOST_NAMES, host, strict=True)) for host in zip(*columns, strict=True)]


def described() -> dict[str, list[dict[str, str]]]:
    """Every column of every table: ``name``, ``type``, ``unit`` and a sentence, ``text``."""
    schemas = {"candidates": CANDIDATES_SCHEMA, "hosts": HOSTS_SCHEMA, "matches": MATCHES_SCHEMA, **TABLES}
    return {table: [_described(field) for field in schema] for table, schema in schemas.items()}


def _described(field: pa.Field[Any]) -> dict[str, str]:
    metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    name = {"double": "float64", "float": "float32"}.get(str(kind), "struct" if pa.types.is_struct(kind) else str(kind))
    name = f"list of {name}" if pa.types.is_list(field.type) else name
    return {"name": field.name, "type": name, "unit": metadata["unit"], "text": metadata["description"]}
