"""One candidate in words, as ``batchvet show`` prints it on a terminal."""

from __future__ import annotations

import math
from shutil import get_terminal_size
from textwrap import wrap

from batchvet.cli.console import print_table
from batchvet.report.view import Row, names, number, text
from batchvet.report.words import depth_in_words, display_name, plain, probability
from batchvet.results.reader import RunResults
from batchvet.results.schema import hosts_of
from batchvet.results.views import sector_lines
from batchvet.vocabulary import explain


def print_candidate(run: RunResults, toi: str) -> None:
    """Verdict and what it stands on, then a line for each sector.

    Raises
    ------
    RunError
        No such candidate.
    """
    width = get_terminal_size().columns
    sectors = run.records_of(toi)
    name = str(sectors[0]["toi"])
    row: Row = run.candidate_record(name)
    verdict = text(row, "verdict")
    print(f"{display_name(name)}, TIC {sectors[0]['tic']}: {verdict or 'not judged yet'}")
    if verdict:
        print("\n".join(wrap(explain(verdict), max(width, 40), initial_indent="  ", subsequent_indent="  ")))
    for label, words in _said(row):
        print("\n".join(wrap(words, max(width, 40), initial_indent=f"  {label:<12}", subsequent_indent=14 * " ")))
    print()
    print_table(sector_lines(sectors))


def _said(row: Row) -> list[tuple[str, str]]:
    said = []
    if math.isfinite(number(row, "p_target")):
        group = probability(number(row, "p_target_group"))
        said.append(("P(target)", f'{probability(number(row, "p_target"))}, with the stars within 4" {group}'))
    for host in hosts_of(row):
        needs = depth_in_words(host["depth_required"]).replace(" ", "\u00a0")  # number and unit on one line
        place = f'{plain(host["separation_arcsec"])}" from the target, an eclipse of {needs}'
        said.append(("host", f"{host['source_id']}: P {probability(host['probability'])}, {place}"))
    if math.isfinite(number(row, "offset_arcsec")):
        east, north = (
            f"{plain(number(row, f'offset_{axis}_arcsec'))} ± {plain(_root(number(row, f'offset_cov_{axis}_{axis}')))}"
            for axis in ("ra", "dec")
        )
        length, sigma = plain(number(row, "offset_arcsec")), plain(number(row, "significance_sigma"))
        said.append(("offset", f'{length}", {sigma} sigma (east {east}, north {north})'))
    if math.isfinite(number(row, "t0_btjd")):
        said.append(("ephemeris", _ephemeris(row)))
    said += [("flag", f"{flag}: {explain(flag)}") for flag in names(row, "flag_names")]
    return said


def _root(variance: float) -> float:
    return math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan


def _ephemeris(row: Row) -> str:
    period = number(row, "period_days")
    words = [f"P {period:.9g} d" if period > 0 else "single transit"]
    words += [f"t0 BTJD {number(row, 't0_btjd'):.5f}", f"{plain(number(row, 'duration_hours'))} h"]
    if math.isfinite(number(row, "depth_ppm")):
        words.append(f"{plain(number(row, 'depth_ppm'))} ppm")
    if math.isfinite(number(row, "tmag")):
        words.append(f"Tmag {number(row, 'tmag'):.2f}")
    return ", ".join(words)
