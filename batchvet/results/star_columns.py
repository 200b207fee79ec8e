"""Columns of the tables about stars, after the candidate's name and target, as :mod:`.schema` reads them."""

from __future__ import annotations

#: Of `hosts`: could a star make the candidate's dip, what would it need, what is seen there?
HOSTS = """
source_id | str | | The star's name in the neighbour table.
is_target | bool | | Whether it is the candidate's target.
word | str | | HOST, POSSIBLE, CLEARED or CANNOT_TELL.
probability | float | | Calibrated probability that the dip is its.
ra | float | deg | Right ascension in the first sector, by the catalogue's place and motion of the target.
dec | float | deg | Declination, by the same.
tmag | float | mag | TESS magnitude.
delta_tmag | float | mag | TESS magnitude minus the target's, as the catalogue has that.
separation_arcsec | float | arcsec | From the target.
position_angle_deg | float | deg | From the target, north through east.
depth_required | float | | Of the eclipse that it would need, at its deepest, over its light; more than 1 cannot be.
depth_required_error | float | | Its error, 1 sigma: noise, the dip's shape, the star's light; null if not able.
depth_required_ppm | float | ppm | The same depth.
depth_measured | float | | Of the eclipse that is seen there, all able stars fitted together; null if not able.
depth_measured_error | float | | Its error, 1 sigma: the same, what the others leave open, and what the dip sheds on it.
log_likelihood | float | | Log likelihood that it has the dip, against no dip.
prior | float | | Its prior probability.
delta_chi2 | float | | Twice the difference of log likelihood to the likeliest star.
made_from | str | | That of its candidate's row.
"""

#: Of `matches`: who else has the candidate's ephemeris?
MATCHES = """
ephemeris_match | str | | Candidate of the run, or star of the table, that has the same ephemeris.
match_kind | str | | How the two can share light: same_place, near, same_column, opposite, cross_talk, same_camera.
match_p | float | | Chance that so good a match is luck.
match_table | str | | Where the other is from: run, or the name of the table.
period_ratio | float | | Period of the other over that of the candidate: an integer, or one over it.
match_phase | float | | 0: at the other's epoch; 0.5: half the shorter period later, at its secondary.
period_difference_ppm | float | ppm | What is left of it: difference of ln P, in millionths.
epoch_difference_minutes | float | min | Between the dips of the two where their epochs are.
separation_arcsec | float | arcsec | Between the two.
match_tmag | float | mag | TESS magnitude of the other; null when not known.
"""
