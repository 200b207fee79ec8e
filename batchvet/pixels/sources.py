"""Where stamps come from when the cache lacks them: what is on offer, and which offer to take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from batchvet.errors import StampError
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.tpf import read_tpf
from batchvet.vocabulary import ErrorKind, error_kind

SAME_TARGET_ARCSEC = 10.0  #: a TESScut file this close to a target is taken to be its cut-out
_PREFERRED_CADENCE_S = 120


@dataclass(frozen=True)
class Offer:
    """A file that a source says it has for a (target, sector)."""

    tic: int
    sector: int
    cadence_s: int  #: s; 0 when not known before the file is read
    location: str  #: path or address
    size: int = 0  #: bytes; 0 unknown
    mtime_ns: int = 0  #: of a file on disk
    date: str = ""  #: when the file was made, ISO, from its header
    error_kind: str = ""  #: why it cannot be used, a word of ErrorKind, when that is known already
    error: str = ""
    source: StampReader | None = None  #: who reads it, in whichever process; None: a file on disk
    etag: str = ""  #: what a store says of the object's content

    @property
    def fingerprint(self) -> str:
        """Changes when the file is replaced by another."""
        return f"{self.size}:{self.mtime_ns}:{self.location}"


@dataclass(frozen=True)
class Asking:
    """How sources, and archives of other things, are asked."""

    ask: bool = True  #: whether archives are asked for what is not remembered of them
    refresh: bool = False  #: whether they are asked again, whatever is remembered
    progress: Callable[[int], None] = lambda n: None  #: called with the number of files or targets looked at so far


class StampReader(Protocol):
    """Reads offers. A small frozen dataclass: it travels to workers in the offers that it is to read."""

    def read(self, offer: Offer) -> Stamp:
        """The stamp of an offer. Raises StampError when it cannot be used."""
        ...


class Source(Protocol):
    """Something that has stamps."""

    @property
    def remote(self) -> bool:
        """Whether it is asked only for what the cache and the sources before it lack."""
        ...

    @property
    def not_asked(self) -> frozenset[int]:
        """Targets of the last call of `offers` that an archive would have to be asked for."""
        ...

    @property
    def note(self) -> str:
        """What people should know of the last call's answers; empty when there is nothing."""
        ...

    def offers(
        self, targets: Mapping[int, tuple[float, float]], sectors: Mapping[int, Collection[int]] | None = None
    ) -> Iterable[Offer]:
        """Files for `targets`, a TIC number to its position (deg, epoch 2000.0, NaN when not known).

        `sectors` are those wanted of a target, where that is known; a source may leave out all others.
        """
        ...


def best_offers(offers: Iterable[Offer]) -> dict[tuple[int, int], Offer]:
    """One offer for each (TIC, sector).

    A usable file before a damaged one; 120 s before 20 s before other cadences, the shorter first; of the same kind
    the one that was made last; then by name, so that the choice does not depend on the order of a listing.
    """
    ranked: dict[tuple[int, int], list[Offer]] = {}
    for offer in offers:
        ranked.setdefault((offer.tic, offer.sector), []).append(offer)
    best = {}
    for key, several in ranked.items():
        several.sort(key=lambda o: o.location)
        several.sort(key=lambda o: o.date, reverse=True)
        best[key] = min(several, key=lambda o: (bool(o.error), *cadence_rank(o.cadence_s)))
    return best


def cadence_rank(cadence_s: int) -> tuple[int, int]:
    """Sorts the cadence to prefer first: 120 s, 20 s, then the shortest."""
    order = {_PREFERRED_CADENCE_S: 0, 20: 1}
    return order.get(cadence_s, 2), cadence_s


def read_offered_file(offer: Offer) -> Stamp:
    """Read a file on disk and hold it against what was offered.

    Raises
    ------
    StampError
        It cannot be used, or is of another target or sector.
    """
    if offer.error:
        raise StampError(offer.error, kind=error_kind(offer.error_kind))
    stamp = read_tpf(offer.location)
    if stamp.tic == 0:
        return replace(stamp, tic=offer.tic)
    if (stamp.tic, stamp.sector) != (offer.tic, offer.sector):
        raise StampError(
            f"{offer.location}: holds TIC {stamp.tic}, sector {stamp.sector}, where TIC {offer.tic}, sector "
            f"{offer.sector} was expected; replace the file",
            kind=ErrorKind.IDENTITY,
        )
    return stamp
