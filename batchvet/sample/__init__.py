"""The embedded sample of real TESS pixels: TOI-5807.01 in sector 83, WASP-126 b in sectors 1 and 2."""

from __future__ import annotations

import os
from pathlib import Path

from batchvet.errors import ConfigError

DIRECTORY = Path(__file__).parent
#: TOIs whose host is published, with their ephemerides: a catalogue, and a truth to compare with.
KNOWN_HOSTS = DIRECTORY / "known_hosts.csv"

_CONFIG = """\
# The embedded sample of real TESS pixels, made by 'batchvet demo'.
catalog: {sample}/toi.csv
neighbours: {sample}/neighbours.csv  # the targets' own entries; a real table goes as deep as the dips allow
cache: cache
sources:
  - directory: {sample}/tpfs
cluster: {{workers: 2}}
output: run
"""


def write_sample(directory: str | Path) -> Path:
    """Write a configuration for the sample into `directory`; its cache and run go there too.

    Returns
    -------
    path
        Of the configuration.

    Raises
    ------
    ConfigError
        The directory cannot be written.
    """
    directory = Path(directory)
    path = directory / "config.yaml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(_CONFIG.format(sample=DIRECTORY.as_posix()), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be written ({os.strerror(error.errno or 0)})") from error
    return path
