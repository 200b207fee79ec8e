#!/usr/bin/env python3
"""Draw WASP-126 b's difference image beside V09's depth map, from the demo's tables.

scripts/demo
python docs/figures/wasp126.py runs/demo/run docs/_static/wasp126.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

TOI, SECTOR = "114.01", 1


def main(run: Path, output: Path) -> None:
    images = pd.read_parquet(run / "images").set_index(["toi", "sector"]).loc[(TOI, SECTOR)]
    sectors = pd.read_parquet(run / "sectors").set_index(["toi", "sector"]).loc[(TOI, SECTOR)]
    shape = images["n_rows"], images["n_cols"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 4.1), layout="constrained")
    difference = images["difference"].reshape(shape)
    _panel(left, figure, difference, "e$^-$/s lost in transit", "batchvet: difference image")
    left.plot(images["source_col"], images["source_row"], "o", ms=15, mfc="none", mec="white", mew=1.8, label="dip")
    depth = images["depth_ppm"].reshape(shape) / 1e6
    _panel(right, figure, depth, "depth, fraction of the pixel's flux", "V09: depth of every pixel")
    row, col = sectors["v09_max_depth_pixel_row"], sectors["v09_max_depth_pixel_col"]
    right.plot(col, row, "s", ms=17, mfc="none", mec="#d03030", mew=2.0, label="deepest pixel")
    for axes in (left, right):
        axes.plot(images["target_col"], images["target_row"], "P", ms=8, mfc="#d03030", mec="white", label="target")
        axes.legend(
            loc="upper right", fontsize=8, markerscale=0.6, facecolor="#555555", labelcolor="white", framealpha=0.85
        )
    snr, offset = sectors["difference_snr"], sectors["target_offset_arcsec"]
    sigma = sectors["significance_sigma"]
    left.set_xlabel(f'SNR {snr:.0f}; {offset:.1f}" from the target, {sigma:.1f} sigma')
    right.set_xlabel("DIFFIMG_UNRELIABLE" if "DIFFIMG_UNRELIABLE" in sectors["v09_flags"] else "")
    figure.savefig(output, dpi=110)


def _panel(axes: Axes, figure: plt.Figure, image: NDArray[np.floating], unit: str, title: str) -> None:
    """An image as the sky's stamp is drawn: column to the right, row upwards."""
    shown = axes.imshow(image, origin="lower", cmap="viridis")
    axes.set_title(title, fontsize=11)
    axes.set_xticks(range(0, image.shape[1], 2))
    axes.set_yticks(range(0, image.shape[0], 2))
    figure.colorbar(shown, ax=axes, label=unit, shrink=0.9)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
