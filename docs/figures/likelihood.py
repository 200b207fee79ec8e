#!/usr/bin/env python3
"""Draw the signal to noise of a dip at every place of two stamps, from the demo's table of evidence.

scripts/demo
python docs/figures/likelihood.py runs/demo/run docs/_static/likelihood.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

SHOWN = (("114.01", 1, "WASP-126 b, sector 1"), ("5807.01", 83, "TOI-5807.01, sector 83"))
#: Difference of 2 ln L from its maximum that holds 68 and 95 % in two dimensions.
LEVELS = (5.99, 2.28)


def main(run: Path, output: Path) -> None:
    evidence = pd.read_parquet(run / "evidence").set_index(["toi", "sector"])
    figure, panels = plt.subplots(1, 2, figsize=(9.0, 4.2), layout="constrained")
    for axes, (toi, sector, title) in zip(panels, SHOWN, strict=True):
        one = evidence.loc[(toi, sector)]
        significance = np.array(one["significance_map"]).reshape(one["map_rows"], one["map_cols"])
        rows = one["map_row"] + one["map_step"] * np.arange(one["map_rows"])
        cols = one["map_col"] + one["map_step"] * np.arange(one["map_cols"])
        edges = (cols[0] - 0.25, cols[-1] + 0.25, rows[0] - 0.25, rows[-1] + 0.25)
        shown = axes.imshow(significance, origin="lower", extent=edges, cmap="viridis")
        near = np.array(one["near_map"]).reshape(one["near_rows"], one["near_cols"])
        near_rows = one["near_row"] + one["near_row_step"] * np.arange(one["near_rows"])
        near_cols = one["near_col"] + one["near_col_step"] * np.arange(one["near_cols"])
        best = max(float(near.max()), float(significance.max()))
        squares = np.maximum(near, 0.0) ** 2
        levels = [-level for level in LEVELS]
        axes.contour(near_cols, near_rows, squares - best**2, levels, colors="black", linestyles="solid", linewidths=1)
        axes.plot(one["target_col"], one["target_row"], "P", ms=8, mfc="#d03030", mec="white", label="target")
        axes.plot(one["col"], one["row"], "o", ms=5, mfc="none", mec="black", label="dip")
        axes.set_title(title, fontsize=11)
        axes.set_xlabel(f"SNR {one['snr']:.1f}")
        axes.legend(loc="upper right", fontsize=8, facecolor="white", framealpha=0.85)
        figure.colorbar(shown, ax=axes, label="signal to noise S of a dip there", shrink=0.9)
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
