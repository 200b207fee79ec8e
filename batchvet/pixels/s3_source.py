"""Target pixel files in S3 as a source: the public TESS bucket by its path rule, any other bucket by listing it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from batchvet.errors import StampError
from batchvet.pixels.bucket import Bucket, Listing, Patience
from batchvet.pixels.fits_file import cadence_from_name, identity_from_name
from batchvet.pixels.sources import Offer
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.tpf import CHECKSUM_MISMATCH, read_tpf_bytes

PUBLIC_BUCKET = "stpubdata"  #: of the archive at STScI, on AWS
_PUBLIC_PREFIX = "tess/public/tid"
_PUBLIC_REGION = "us-east-1"
_PUBLIC_ENDPOINT = "https://s3.us-east-1.amazonaws.com"

_SECTOR_FOLDER = re.compile(r"^s(\d{4})$")
_MD5 = re.compile(r"^[0-9a-f]{32}$")
_AT_ONCE = 16  #: listings asked for at a time
#: A sector of the archive holds some 60,000 objects, 1000 to a page: beyond so many targets one listing of it is less.
_TARGETS_BY_PATH = 60


@dataclass(frozen=True)
class S3Place:
    """Where in an S3 store target pixel files lie, as a configuration names it."""

    bucket: str = PUBLIC_BUCKET  #: the archive's own is on AWS whatever the environment says, without an `endpoint`
    prefix: str | None = None  #: below which the files lie; None: in the public bucket ``tess/public/tid``
    anonymous: bool = False  #: ask unsigned, as the public bucket allows
    endpoint: str | None = None  #: instead of the environment's
    region: str | None = None  #: likewise
    etag_md5: bool = True  #: whether ETags are MD5 sums; not so in a bucket encrypted by KMS


def open_s3_source(place: S3Place, patience: Patience | None = None) -> S3Source:
    """A source of the files in a place.

    Raises
    ------
    ConfigError
        Such a place cannot be, or has a secret in its name; or obstore is not installed.
    """
    prefix, region, endpoint = place.prefix, place.region, place.endpoint
    if place.bucket == PUBLIC_BUCKET:
        prefix = _PUBLIC_PREFIX if prefix is None else prefix
        region = region or _PUBLIC_REGION
        endpoint = endpoint or _PUBLIC_ENDPOINT
    bucket = Bucket(place.bucket, prefix or "", endpoint, region, place.anonymous, patience or Patience())
    bucket.check_installed()
    return S3Source(bucket, place.etag_md5)


@dataclass(frozen=True)
class S3Source:
    """SPOC and TESS-SPOC target pixel files in a bucket, known by their names.

    Where the place holds a folder for each sector (``s0001``), as the public bucket does, files lie below it by the
    archive's path rule, the TIC number in four groups of four digits (TESS Archive Manual, file path schema);
    otherwise all that lies in the place is listed. TESScut files are passed over: their names hold no TIC number.
    """

    bucket: Bucket
    etag_md5: bool = True  #: whether ETags of objects put at once are MD5 sums
    remote = True  # what follows a class without annotations, so that it is no field: it travels in every offer
    not_asked = frozenset[int]()
    note = ""

    def offers(
        self, targets: Mapping[int, tuple[float, float]], sectors: Mapping[int, Collection[int]] | None = None
    ) -> Iterator[Offer]:
        """Files for `targets`, in all sectors or the wanted ones.

        Raises
        ------
        ArchiveError
            The bucket is not there, refuses, or cannot be reached.
        """
        folders = self._folders(targets, sectors or {})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for several in pool.map(lambda folder: self._offers_below(folder, targets), folders):
                yield from several

    def read(self, offer: Offer) -> Stamp:
        """Fetch an object whole and hold it against its listing, its checksums and its name.

        Raises
        ------
        StampError
            It cannot be used, or is of another target; kinds ``truncated`` and ``corrupt`` when it came damaged.
        ArchiveError
            It cannot be fetched, or was replaced since it was listed.
        """
        key = offer.location.removeprefix(f"{self.bucket.url()}/")
        content = self.bucket.read(key, offer.etag)
        if offer.size and len(content) != offer.size:
            raise StampError(
                f"{offer.location}: {len(content)} bytes came of {offer.size}; run again", kind="truncated"
            )
        etag = offer.etag.strip('"')
        if self.etag_md5 and _MD5.match(etag) and hashlib.md5(content, usedforsecurity=False).hexdigest() != etag:
            raise StampError(
                f"{offer.location}: not the MD5 sum of its ETag; run again, or set etag_md5: false for a bucket "
                "encrypted by KMS",
                kind="corrupt",
            )
        stamp = read_tpf_bytes(content, offer.location)
        if CHECKSUM_MISMATCH in stamp.flags:
            raise StampError(
                f"{offer.location}: its FITS checksum does not match; the object in the bucket is damaged",
                kind="corrupt",
            )
        return stamp

    def _folders(self, targets: Mapping[int, tuple[float, float]], sectors: Mapping[int, Collection[int]]) -> list[str]:
        """Folders to list: of single targets, of whole sectors, or all there is ("")."""
        present = [int(found.group(1)) for name in self.bucket.folders() if (found := _SECTOR_FOLDER.match(name))]
        if not present:
            return [""]
        folders: list[str] = []
        for sector in sorted(present):
            wanted = [tic for tic in targets if tic not in sectors or sector in sectors[tic]]
            if len(wanted) > _TARGETS_BY_PATH:
                folders.append(f"s{sector:04d}")
            else:
                folders += [path_of_target(tic, sector) for tic in wanted]
        return folders

    def _offers_below(self, folder: str, targets: Mapping[int, tuple[float, float]]) -> list[Offer]:
        return [
            self._offer(listing, said.tic, said.sector)
            for listing in self.bucket.list(folder)
            if "tp.fits" in listing.key  # light curves and reports lie there too
            and (said := identity_from_name(listing.key)).tic in targets
            and said.sector is not None
        ]

    def _offer(self, listing: Listing, tic: int, sector: int) -> Offer:
        return Offer(
            tic=tic,
            sector=sector,
            cadence_s=cadence_from_name(listing.key, sector),
            location=self.bucket.url(listing.key),
            size=listing.size,
            mtime_ns=listing.modified_ns,
            date=datetime.fromtimestamp(listing.modified_ns / 1e9, UTC).isoformat(),
            source=self,
            etag=listing.etag,
        )


def path_of_target(tic: int, sector: int) -> str:
    """Folder of a target's files in a sector by the archive's rule, such as ``s0001/0000/0000/2515/5310``."""
    digits = f"{tic:016d}"
    return "/".join([f"s{sector:04d}", *(digits[start : start + 4] for start in range(0, 16, 4))])
