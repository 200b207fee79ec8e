"""Where on the network things are, all in one place. Each address can be another's, a mirror's, by the environment."""

from __future__ import annotations

import os

_DEFAULTS = {
    # SPOC PRF files: start_s0001 and start_s0004, below them camN_ccdM, 25 files each
    "BATCHVET_PRF_URL": "https://archive.stsci.edu/missions/tess/models/prf_fitsfiles",
    # ExoFOP-TESS: the table behind "download"
    "BATCHVET_EXOFOP_URL": "https://exofop.ipac.caltech.edu/tess/download_toi.php?sort=toi&output=csv",
    # NASA Exoplanet Archive, table access protocol
    "BATCHVET_NASA_URL": "https://exoplanetarchive.ipac.caltech.edu/TAP/sync",
    # Gaia archive, table access protocol
    "BATCHVET_GAIA_URL": "https://gea.esac.esa.int/tap-server/tap/sync",
}


def address(name: str) -> str:
    """The address that the environment variable `name` gives, else the archive's own.

    MAST itself is where astroquery's configuration says (``astroquery.mast.conf.server``).
    """
    return os.environ.get(name, "").rstrip("/") or _DEFAULTS[name]
