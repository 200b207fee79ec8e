"""A whole run in one figure: where every candidate's dip is, seen from its target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from batchvet.report.marks import draw_reticle
from batchvet.report.style import INK, PEAK, SECTOR_COLOURS, SOURCE, our_style
from batchvet.report.words import readable
from batchvet.vocabulary import Verdict

#: Marker and colour of each verdict: told apart by shape too.
_LOOK = {
    Verdict.ON_TARGET: ("o", SOURCE),
    Verdict.OFF_TARGET: ("s", SECTOR_COLOURS[0]),
    Verdict.AMBIGUOUS: ("^", PEAK),
    Verdict.INCONCLUSIVE: ("x", "#888888"),
}
_NAMED = 12  #: candidates at most whose names are written
_REACH = (10.0, 90.0)  #: arcsec from the middle to the edge, least and most


def run_figure(candidates: pd.DataFrame) -> Figure | None:
    """The joint offset of every candidate that has one, north up and east to the left; None where none has.

    Parameters
    ----------
    candidates : DataFrame
        As of a run.
    """
    located = candidates[np.isfinite(candidates["offset_arcsec"].to_numpy(dtype=float, na_value=np.nan))]
    if located.empty:
        return None
    reach = float(np.clip(1.2 * located["offset_arcsec"].max(), *_REACH))
    with our_style():
        figure = Figure(figsize=(4.6, 4.6), layout="constrained")
        axes = figure.subplots()
        for verdict, (marker, colour) in _LOOK.items():
            of_it = located[located["verdict"] == verdict]
            if of_it.empty:
                continue
            look: dict[str, Any] = {"color": colour, "marker": marker, "ls": "", "ms": 5, "alpha": 0.8}
            label = f"{readable(verdict)} ({len(of_it)})"
            axes.plot(of_it["offset_ra_arcsec"], of_it["offset_dec_arcsec"], label=label, **look)
        draw_reticle(axes, 0.0, 0.0, size=reach / 12)
        if len(located) <= _NAMED:
            for row in located.to_dict("records"):
                place = (row["offset_ra_arcsec"], row["offset_dec_arcsec"])
                near: dict[str, Any] = {"xytext": (5, 3), "textcoords": "offset points", "parse_math": False}
                axes.annotate(row["toi"], place, fontsize=8, color=INK, **near)
        axes.set(xlim=(reach, -reach), ylim=(-reach, reach), aspect="equal", title="Dips seen from their targets")
        axes.set(xlabel="east of the target  (arcsec)", ylabel="north of the target  (arcsec)")
        axes.grid(color="#e4e4e4", lw=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2)
    return figure
