"""MAST through astroquery: faults that pass are outlived, and no answer is waited for without end.

Where the archive is and the size of a page are astroquery's own settings (``astroquery.mast.conf``). astroquery is
imported with the first question, by the process that asks.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from batchvet.network.asking import Host, PassingFault
from batchvet.network.politeness import Politeness

Answer = TypeVar("Answer")

_SECONDS_FOR_A_SEARCH = 120.0


class MastClient:
    """Asks MAST; each thread through connections of its own, for astroquery keeps the state of a question in them.

    Parameters
    ----------
    politeness : Politeness, optional
    """

    def __init__(self, politeness: Politeness | None = None) -> None:
        self.politeness = politeness or Politeness()
        self._host = Host(self.politeness)
        self._own = threading.local()

    def ask(self, question: Callable[[], Answer], what: str) -> Answer:
        """Ask, again when a fault may pass.

        Parameters
        ----------
        question : callable
            Uses the services of this client.
        what : str
            What is asked for, to begin a message with.

        Raises
        ------
        ArchiveError
        """
        from astroquery.exceptions import RemoteServiceError
        from astroquery.exceptions import TimeoutError as SearchTimeout

        def understood() -> Answer:
            try:
                return question()
            except (RemoteServiceError, SearchTimeout) as error:
                raise PassingFault(f"the archive reports a fault ({' '.join(str(error).split())[:200]})") from error
            except (KeyError, TypeError, ValueError) as error:
                raise PassingFault("the archive sends a page, not data") from error

        return self._host.ask(understood, what)

    def close(self) -> None:
        """End all waiting: who waits gets an ArchiveError."""
        self._host.close()

    @property
    def observations(self) -> Any:
        """``astroquery.mast.Observations``."""
        return self._service("ObservationsClass")

    @property
    def tesscut(self) -> Any:
        """``astroquery.mast.Tesscut``."""
        return self._service("TesscutClass")

    @property
    def catalogs(self) -> Any:
        """``astroquery.mast.Catalogs``."""
        return self._service("CatalogsClass")

    def _service(self, name: str) -> Any:
        import astroquery.mast

        if not hasattr(self._own, name):
            service = getattr(astroquery.mast, name)()
            for scheme in ("https://", "http://"):  # astroquery sets no time-out
                service._session.mount(scheme, _TimedAdapter(self.politeness))
            setattr(self._own, name, service)
        return getattr(self._own, name)


@contextmanager
def nothing_is_an_answer() -> Iterator[None]:
    """Without astroquery's warning about empty answers. Warnings are the process's: for its main thread only."""
    from astroquery.exceptions import NoResultsWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoResultsWarning)
        yield


class _TimedAdapter(HTTPAdapter):
    def __init__(self, politeness: Politeness) -> None:
        super().__init__()
        self._timeout = (politeness.connect_timeout_s, max(politeness.read_timeout_s, _SECONDS_FOR_A_SEARCH))

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        return super().send(request, *args, **kwargs)
