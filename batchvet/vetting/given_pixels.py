"""The pixels that a call in a notebook hands over: files by their paths, open ones, stamps, or several of these."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from astropy.io import fits

from batchvet.errors import StampError
from batchvet.pixels.npz_file import read_npz
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.times import check_times
from batchvet.pixels.tpf import read_tpf, stamp_of_hdus

if TYPE_CHECKING:
    from lightkurve import TessTargetPixelFile

    OneStamp: TypeAlias = str | os.PathLike[str] | TessTargetPixelFile | fits.HDUList | Stamp
    Pixels: TypeAlias = OneStamp | Iterable[OneStamp]

_IN_MEMORY = "target pixel file in memory"


def stamps_of(given: Pixels) -> Iterator[Stamp]:
    """Each stamp, read when it is its turn: all cadences, whatever quality mask lightkurve opened it with.

    Parameters
    ----------
    given : path, lightkurve TessTargetPixelFile, astropy HDUList or Stamp, or several of these
        Paths are of FITS files, or of ``.npz`` files (:func:`.npz_file.read_npz`).

    Raises
    ------
    StampError
        It is nothing of these, cannot be read, is of another target than the others or of a sector that was there.
    """
    seen: dict[int, str] = {}  # sector to what has it
    targets: dict[int, str] = {}  # TIC number, where a file says it, to the first that is of it
    for item in _each(given):
        stamp = _stamp(item)
        called = stamp.source or f"the stamp of {stamp.cadence_s:g} s"
        if stamp.sector in seen:
            raise StampError(
                f"sector {stamp.sector} is there twice ({seen[stamp.sector]} and {called}): pass one of them"
            )
        seen[stamp.sector] = called
        if stamp.tic:
            targets.setdefault(stamp.tic, called)
        if len(targets) > 1:
            each = ", ".join(f"{name} is of TIC {tic}" for tic, name in targets.items())
            raise StampError(f"{each}: pass the files of one target at a time")
        yield stamp
    if not seen:
        raise StampError("there are no pixels: the list of target pixel files is empty")


def _each(given: Any) -> Iterator[Any]:
    """The parts of a list, a collection of lightkurve or whatever else yields several; what is one, alone."""
    one = isinstance(given, Stamp | str | bytes | os.PathLike | fits.HDUList) or hasattr(given, "hdu")
    if one or hasattr(given, "dtype"):
        return iter((given,))
    several: Iterator[Any] = iter((given,))
    if not hasattr(given, "flux") and (isinstance(given, Iterable) or isinstance(getattr(given, "data", None), list)):
        several = iter(given)
    return several


def _stamp(item: Any) -> Stamp:
    if isinstance(item, Stamp):
        check_times(item.time, item.source or "the stamp")
        return item
    if isinstance(item, str | os.PathLike):
        path = Path(item).expanduser()
        if path.is_dir():
            raise StampError(f"{path}: is a directory; pass its files, such as sorted(path.glob('*_tp.fits*'))")
        return read_npz(path) if path.suffix.lower() == ".npz" else read_tpf(path)
    if isinstance(item, fits.HDUList):
        return stamp_of_hdus(item, item.filename() or _IN_MEMORY)
    if hasattr(item, "hdu"):
        place = getattr(item, "path", None)
        return stamp_of_hdus(item.hdu, str(place) if isinstance(place, str | os.PathLike) and place else _IN_MEMORY)
    raise StampError(
        f"a {type(item).__name__} is not a target pixel file: pass a path, a lightkurve target pixel file or a Stamp, "
        "or a list of these"
    )
