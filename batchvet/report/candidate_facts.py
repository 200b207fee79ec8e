"""What a candidate's page says in figures: its star, its ephemeris, its dip, odd and even, a secondary eclipse."""

from __future__ import annotations

import math

from batchvet.report.view import Row, number
from batchvet.report.words import NOTHING, magnitude, plain, probability, shown, with_error

Facts = list[dict[str, str]]


def facts(row: Row) -> list[dict[str, object]]:
    """Groups of figures, each with a heading; what is not known is left out, and so are groups of nothing."""
    groups = {
        "The star": _star(row),
        "Ephemeris (catalogue)": _ephemeris(row),
        "Whose dip": _whose(row),
        "Where": _where(row),
        "Odd and even": _odd_and_even(row),
        "Secondary eclipse": _secondary(row),
    }
    return [
        {"heading": heading, "facts": known}
        for heading, found in groups.items()
        if (known := [{"label": label, "shown": said} for label, said in found.items() if NOTHING not in said])
    ]


def _star(row: Row) -> dict[str, str]:
    motion = [plain(number(row, name)) for name in ("pmra", "pmdec")]
    return {
        "TIC": shown(row.get("tic")),
        "Tmag": magnitude(number(row, "tmag")),
        "RA, Dec (deg)": f"{_degrees(number(row, 'ra'))}, {_degrees(number(row, 'dec'))}",
        "Proper motion (mas/yr)": ", ".join(motion),
    }


def _ephemeris(row: Row) -> dict[str, str]:
    period = number(row, "period_days")
    return {
        "Period": with_error(period, number(row, "period_err_days"), "d") if period > 0 else "a single transit",
        "T0 (BTJD)": with_error(number(row, "t0_btjd"), number(row, "t0_err_days")),
        "Duration": _unit(number(row, "duration_hours"), " h"),
        "Depth": _unit(number(row, "depth_ppm"), " ppm"),
    }


def _whose(row: Row) -> dict[str, str]:
    used = f"{shown(row.get('n_sectors_used'))} of {shown(row.get('n_sectors'))}"
    return {
        "Target's probability": probability(number(row, "p_target")),
        "… with stars within 4″": probability(number(row, "p_target_group")),
        "Sectors used": used,
        "Sectors agree, chance": probability(number(row, "sector_consistency_p")),
    }


def _where(row: Row) -> dict[str, str]:
    def place(axis: str) -> str:
        variance = number(row, f"offset_cov_{axis}_{axis}")
        error = math.sqrt(variance) if variance >= 0 else math.nan
        return f"{plain(number(row, f'offset_{axis}_arcsec'))} ± {plain(error)}″"

    def length(name: str) -> str:
        value, sigma = number(row, f"{name}offset_arcsec"), number(row, f"{name}significance_sigma")
        return f"{plain(value)}″, {plain(sigma)} σ"

    return {
        "From the target": length(""),
        "East": place("ra"),
        "North": place("dec"),
        "Classical offset (DV)": length("dv_"),
    }


def _odd_and_even(row: Row) -> dict[str, str]:
    return {
        "Odd": _depth(row, "odd"),
        "Even": _depth(row, "even"),
        "Depths differ by": _unit(number(row, "odd_even_depth_sigma"), " σ"),
        "Places differ by": _distance(row, "odd_even_offset_arcsec", "odd_even_offset_sigma"),
    }


def _secondary(row: Row) -> dict[str, str]:
    if not math.isfinite(number(row, "secondary_depth_ppm")):
        return {}
    return {
        "Phase": _unit(number(row, "secondary_phase"), ""),
        "Depth": _depth(row, "secondary"),
        "From the target": _distance(row, "secondary_offset_arcsec", "secondary_significance_sigma"),
        "From the candidate's dip": _distance(row, "secondary_from_dip_arcsec", "secondary_from_dip_sigma"),
    }


def _depth(row: Row, part: str) -> str:
    """Depth of odd or even transits or of the secondary, of the target's light."""
    depth = with_error(number(row, f"{part}_depth_ppm"), number(row, f"{part}_depth_error_ppm"), "ppm")
    return f"{depth}, of {shown(row.get(f'{part}_n_dips'))}" if number(row, f"{part}_n_dips") > 0 else NOTHING


def _distance(row: Row, length: str, sigma: str) -> str:
    return f"{plain(number(row, length))}″, {plain(number(row, sigma))} σ"


def _degrees(value: float) -> str:
    return f"{value:.5f}".replace("-", "−") if math.isfinite(value) else NOTHING


def _unit(value: float, unit: str) -> str:
    return plain(value) + unit if math.isfinite(value) else NOTHING
