"""Questions to an archive's catalogue for the stars around targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from batchvet.catalog.candidate import Neighbour
from batchvet.catalog.star_search import Reach, Search, gaia_stars, tic_stars
from batchvet.network.asking import CarefulSession, Host
from batchvet.network.mast_client import MastClient, nothing_is_an_answer
from batchvet.runtime.settings import StarSettings

_TARGETS_PER_PART = 50


def asked(
    settings: StarSettings, tics: Sequence[int], targets: Mapping[int, tuple[float, float]]
) -> Iterator[dict[int, list[Neighbour]]]:
    """Answers for `tics` in order, some targets at a time; as many questions at once as is polite."""
    with _open(settings) as search, ThreadPoolExecutor(settings.politeness.connections) as pool:
        for start in range(0, len(tics), _TARGETS_PER_PART):
            several = tics[start : start + _TARGETS_PER_PART]
            with nothing_is_an_answer():
                answers = list(pool.map(lambda tic: search(tic, *targets[tic]), several))
            yield dict(zip(several, answers, strict=True))


class _open:
    """The configured catalogue's search, whose waiting ends with the block."""

    def __init__(self, settings: StarSettings) -> None:
        self._settings = settings
        self._gaia = settings.catalogue == "gaia"
        self._client = MastClient(settings.politeness)
        self._host = Host(settings.politeness)
        self._session = CarefulSession()

    def __enter__(self) -> Search:
        reach = Reach(self._settings.radius_arcsec, self._settings.max_tmag)
        if self._gaia:
            return lambda tic, ra, dec: gaia_stars(self._host, self._session, tic, ra, dec, reach)
        return lambda tic, ra, dec: tic_stars(self._client, tic, ra, dec, reach)

    def __exit__(self, *exception: object) -> None:
        self._client.close()
        self._host.close()
        self._session.close()
