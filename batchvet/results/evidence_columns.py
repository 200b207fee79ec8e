"""Columns of the table `evidence`, as :mod:`.schema` reads them and :mod:`.evidence_rows` fills them."""

from __future__ import annotations

#: The columns that follow the candidate's name and target: name, kind, unit, sentence.
COLUMNS = """
    sector | int | | TESS sector
    n_transits | int | | transits in the difference image
    n_in_transit | int | | cadences in transit
    cadence_s | float | s | between two cadences
    duration_hours | float | h | of the dip, by the ephemeris
    rows | int | pixel | rows of the stamp
    cols | int | pixel | columns of the stamp
    snr | float | | significance of the best point source in the difference image
    dip | float | e-/s | flux of the best point source, at least its error
    chi2_reduced | float | | reduced chi2 of the best point source
    row | float | pixel | row of the dip
    col | float | pixel | column of the dip
    cov_row_row | float | pixel2 | covariance of the dip's position from the noise
    cov_row_col | float | pixel2 | covariance of the dip's position from the noise
    cov_col_col | float | pixel2 | covariance of the dip's position from the noise
    target_row | float | pixel | row of the target, zero point included
    target_col | float | pixel | column of the target, zero point included
    target_ra | float | deg | right ascension of the target in this sector, ICRS
    target_dec | float | deg | its declination
    sys_row_row | float | pixel2 | covariance of the zero point, PRF and WCS
    sys_row_col | float | pixel2 | covariance of the zero point, PRF and WCS
    sys_col_col | float | pixel2 | covariance of the zero point, PRF and WCS
    east_per_row | float | arcsec/pixel | east on the sky for one row
    east_per_col | float | arcsec/pixel | east on the sky for one column
    north_per_row | float | arcsec/pixel | north on the sky for one row
    north_per_col | float | arcsec/pixel | north on the sky for one column
    artefact | float | | log likelihood of an artefact that has no point source
    timing_price | float | | log of what looking for the dip's time gave away
    table_limit_tmag | float | mag | faintest star of the neighbour table; minus infinity without a table
    table_density | float | arcsec-2 | stars of the field down to that magnitude
    galactic_latitude | float | deg | of the target
    prf_source | str | | PRF used: spoc or empirical
    has_neighbours | bool | | whether a neighbour table was given
    flag_names | strings | | what to know about this sector
    map_row | float | pixel | row of the first node of the map of the stamp
    map_col | float | pixel | column of the first node of the map of the stamp
    map_step | float | pixel | distance between nodes of the map of the stamp
    map_rows | int | | rows of the map of the stamp
    map_cols | int | | columns of the map of the stamp
    significance_map | floats | | signal to noise of a dip at each node, [row, col]
    near_row | float | pixel | row of the first node of the near map
    near_col | float | pixel | column of the first node of the near map
    near_row_step | float | pixel | rows between nodes of the near map
    near_col_step | float | pixel | columns between nodes of the near map
    near_rows | int | | rows of the near map
    near_cols | int | | columns of the near map
    near_map | floats | | signal to noise of a dip at each node of the near map, [row, col]
    near_information_map | floats | (e-/s)-2 | Fisher information of the dip's flux at every second of these nodes
    peak_row | float | pixel | row of the first node of the map of the peak
    peak_col | float | pixel | column of the first node of the map of the peak
    peak_row_step | float | pixel | rows between nodes of the map of the peak
    peak_col_step | float | pixel | columns between nodes of the map of the peak
    peak_rows | int | | rows of the map of the peak
    peak_cols | int | | columns of the map of the peak
    peak_map | floats | | signal to noise of a dip at each node around the best, [row, col]
    peak_information_map | floats | (e-/s)-2 | Fisher information of the dip's flux at every fifth of these nodes
    information_map | floats | (e-/s)-2 | Fisher information of the dip's flux at every second node, [row, col]
    star_id | strings | | stars of the scene, the target first
    star_is_target | bools | | which of them is the declared target
    star_east | floats | arcsec | stars, east of the target
    star_north | floats | arcsec | stars, north of the target
    star_tmag | floats | mag | stars, TESS magnitude
    star_flux | floats | e-/s | stars, flux out of transit
    star_score | floats | | derivatives of the log likelihood at no dip, [star, 3]
    star_information | floats | | Fisher information of dip, row, column: of each star the upper triangle, [star, 6]
    star_shared | floats | | score of each star of a dip of S/N 1 at the sector's place, and by row, column, [star, 3]
    shape_gain | floats | | chi2 that a dip of each of thirty shapes takes
    shape_deepest | floats | | depth at its deepest of a dip of each shape, over the depth that was measured
    part | strings | | which were measured by themselves: odd, even, secondary
    part_n_dips | ints | | parts, dips in each
    part_mid_time | doubles | d | parts, mid-time of the first dip, BTJD
    part_phase | doubles | | parts, phase of the candidate's period
    part_phase_error | doubles | | parts, its error
    part_flux | doubles | e-/s | parts, flux lost
    part_flux_error | doubles | e-/s | parts, its error
    part_place | doubles | pixel | parts, row and column of each, [part, 2]
    part_covariance | doubles | pixel2 | parts, covariance of these from the noise, [part, 2, 2]
    """
