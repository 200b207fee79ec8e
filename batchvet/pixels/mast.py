"""MAST as a source: asked once for each target, and what it answered is remembered with its date."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from batchvet.errors import ArchiveError, CacheError
from batchvet.network.politeness import Politeness
from batchvet.pixels.mast_answers import Answer, Answers
from batchvet.pixels.mast_search import TARGETS_PER_QUESTION, TESSCUT, MastSearch, Product
from batchvet.pixels.sources import Asking, Offer, cadence_rank, read_offered_file
from batchvet.pixels.stamp import Stamp
from batchvet.pixels.storage import Storage


@dataclass(frozen=True)
class MastChoice:
    """Which of several products of a target in a sector to take, and what to ask for at all."""

    authors: tuple[str, ...] = ("SPOC",)  #: in the order of preference
    exptimes: tuple[int, ...] = ()  #: s, in the order of preference; empty: all, 120 s first, 20 s, then the shortest
    cutout_pixels: int = 0  #: side of a TESScut cut-out where there is no stamp; 0: none
    remember_days: float = 30.0  #: before a target is asked for again

    def preferred(self, products: Iterable[Product]) -> dict[tuple[int, int], Product]:
        """One product for each (TIC, sector): by author, then by exposure, a cut-out last; then the name that sorts
        last, which of a SPOC product is the one made last."""
        best: dict[tuple[int, int], Product] = {}
        ranks: dict[tuple[int, int], tuple[int, tuple[int, int]]] = {}
        for product in sorted(products, key=lambda p: p.location, reverse=True):
            rank = self._rank(product)
            key = product.tic, product.sector
            if rank is not None and (key not in ranks or rank < ranks[key]):
                best[key], ranks[key] = product, rank
        return best

    def _rank(self, product: Product) -> tuple[int, tuple[int, int]] | None:
        """Sorts the product to prefer first; None when it is not wanted."""
        if product.author == TESSCUT:
            return (len(self.authors), (0, 0)) if self.cutout_pixels else None
        if product.author not in self.authors:
            return None
        if not self.exptimes:
            return self.authors.index(product.author), cadence_rank(product.cadence_s)
        if product.cadence_s not in self.exptimes:
            return None
        return self.authors.index(product.author), (self.exptimes.index(product.cadence_s), 0)


@dataclass(frozen=True)
class Downloaded:
    """Reads an offer of the network from the file that was fetched for it."""

    path: str

    def read(self, offer: Offer) -> Stamp:
        """The stamp, which names the archive's address as its source. Raises StampError."""
        on_disk = replace(offer, location=self.path, source=None)
        return replace(read_offered_file(on_disk), source=offer.location)


def to_download(offer: Offer) -> bool:
    """Whether the offer's file has to be downloaded before it can be read."""
    return offer.source is None and not offer.error and offer.location.startswith(("mast:", "tesscut:"))


class MastSource:
    """Stamps that MAST has.

    Parameters
    ----------
    choice : MastChoice
    kept_in : Storage
        Where answers are remembered, usually the cache's.
    asking : Asking
        Whether to ask the archive at all; :attr:`not_asked` holds the targets of which nothing is known otherwise.
    politeness : Politeness, optional
    """

    remote = True

    def __init__(
        self,
        choice: MastChoice,
        kept_in: Storage,
        asking: Asking = Asking(),
        politeness: Politeness | None = None,
    ) -> None:
        self.choice = choice
        self.not_asked: frozenset[int] = frozenset()  #: targets of the last call of `offers` that are not known
        self.note = ""  #: what people should know of the last call's answers
        self._kept_in = kept_in
        self._asking = asking
        self._search = MastSearch(politeness)
        asked_for = f"{sorted(choice.authors)} {choice.cutout_pixels}"
        self._name = f"sources/mast-{hashlib.sha256(asked_for.encode()).hexdigest()[:16]}.parquet"

    def offers(
        self, targets: Mapping[int, tuple[float, float]], sectors: Mapping[int, Collection[int]] | None = None
    ) -> Iterator[Offer]:
        """The preferred product of each target in each sector; MAST lists all sectors, wanted or not.

        Raises
        ------
        ArchiveError
            The archive did not answer; what it has answered is remembered. For targets that are only asked for again
            because it is long ago, the older answers hold and :attr:`note` says so.
        """
        answers = self._remembered()
        unknown = [tic for tic in sorted(targets) if self._asking.refresh or tic not in answers]
        oldest = (datetime.now(UTC) - timedelta(days=self.choice.remember_days)).isoformat()
        long_ago = [tic for tic in sorted(targets) if tic in answers and answers.asked(tic) < oldest]
        if self._asking.ask:
            self._learn(unknown, targets, answers)
            try:
                self._learn([] if self._asking.refresh else long_ago, targets, answers)
            except ArchiveError as error:
                self.note = f"MAST's answers are older than {self.choice.remember_days:g} days ({error})"
        self.not_asked = frozenset(tic for tic in targets if tic not in answers)
        for tic in targets:
            known = (answer.product for answer in answers.of(tic) if answer.sector)
            for product in self.choice.preferred(known).values():
                yield Offer(product.tic, product.sector, product.cadence_s, product.location, product.size)

    def _learn(self, tics: Sequence[int], targets: Mapping[int, tuple[float, float]], known: Answers) -> None:
        """Ask for `tics` and remember the answers, some at a time."""
        for start in range(0, len(tics), TARGETS_PER_QUESTION):
            several = tics[start : start + TARGETS_PER_QUESTION]
            products = self._search.stamps(several, self.choice.authors)
            if self.choice.cutout_pixels:
                for tic in several:
                    if all(map(math.isfinite, targets[tic])):
                        products += self._search.cutouts(tic, *targets[tic], self.choice.cutout_pixels)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            answers: dict[int, list[Answer]] = {tic: [] for tic in several}
            for p in products:
                answers.setdefault(p.tic, []).append(
                    Answer(p.tic, now, p.sector, p.author, p.cadence_s, p.location, p.size)
                )
            nothing = {tic: [Answer(tic, now, 0, "", 0, "", 0)] for tic, rows in answers.items() if not rows}
            known.learn(answers | nothing)
            self._kept_in.put(self._name, known.encoded(), lambda content: None, replace=True)
            self._asking.progress(start + len(several))

    def _remembered(self) -> Answers:
        try:
            return Answers(self._kept_in.read(self._name))
        except CacheError:
            return Answers()  # nothing is remembered yet
