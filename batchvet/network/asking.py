"""Asking other people's servers: patiently, politely, and never for ever."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import requests

import batchvet
from batchvet.errors import ArchiveError
from batchvet.network.politeness import Politeness
from batchvet.vocabulary import ErrorKind

Answer = TypeVar("Answer")

#: Answers that say "not now": too many requests, overload, a gateway's trouble.
_NOT_NOW = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class PassingFault(Exception):
    """What may be gone at the next attempt."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Host:
    """One server. While it wants to be left alone nobody asks it, whichever thread was told so.

    Parameters
    ----------
    politeness : Politeness
    """

    def __init__(self, politeness: Politeness | None = None) -> None:
        self.politeness = politeness or Politeness()
        self._welcome_at = 0.0
        self._closed = threading.Event()

    def ask(self, question: Callable[[], Answer], what: str) -> Answer:
        """Ask until there is an answer.

        Parameters
        ----------
        question : callable
            Raises :class:`PassingFault` or an exception of requests when there is none.
        what : str
            What is asked for, to begin a message with.

        Raises
        ------
        ArchiveError
            The answer is no, or there was none in the last attempt either.
        """
        from tenacity import (
            Retrying,
            retry_if_exception_type,
            sleep_using_event,
            stop_after_attempt,
            stop_when_event_set,
        )
        from tenacity.wait import wait_exponential, wait_random

        retrying = Retrying(
            retry=retry_if_exception_type(PassingFault),
            stop=stop_after_attempt(self.politeness.attempts) | stop_when_event_set(self._closed),
            wait=wait_exponential(multiplier=self.politeness.first_wait_s, max=self.politeness.longest_wait_s)
            + wait_random(0, self.politeness.first_wait_s),
            sleep=sleep_using_event(self._closed),
            reraise=True,
        )
        try:
            answer: Answer = retrying(self._attempt, question, what)
        except PassingFault as fault:
            raise ArchiveError(
                f"{what}: {fault}, {self.politeness.attempts} times; run again later", kind=ErrorKind.UNREACHABLE
            ) from fault
        return answer

    def close(self) -> None:
        """End all waiting: who waits gets an error."""
        self._closed.set()

    def _attempt(self, question: Callable[[], Answer], what: str) -> Answer:
        while (wait := self._welcome_at - time.monotonic()) > 0 and not self._closed.wait(wait):
            pass
        if self._closed.is_set():
            raise ArchiveError(f"{what}: interrupted; run again to go on", kind=ErrorKind.INTERRUPTED)
        try:
            return question()
        except requests.RequestException as error:
            fault = _judged(error, what)
        except PassingFault as passing:
            fault = passing
        if fault.retry_after_s > self.politeness.longest_retry_after_s:
            raise ArchiveError(
                f"{what}: the server wants to be left alone for {fault.retry_after_s:.0f} s; run again after that",
                kind=ErrorKind.UNREACHABLE,
            )
        self._welcome_at = max(self._welcome_at, time.monotonic() + fault.retry_after_s)
        raise fault


class CarefulSession(requests.Session):
    """A session that says who it is and follows a redirect only to https, or within the host that was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.headers["User-Agent"] = f"batchvet/{batchvet.__version__}"

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            asked, wanted = urlsplit(resp.url), urlsplit(requests.compat.urljoin(resp.url, target))
            both_here = asked.hostname in _LOOPBACK and wanted.hostname in _LOOPBACK
            if not (wanted.scheme == "https" or wanted.hostname == asked.hostname or both_here):
                resp.close()
                raise requests.exceptions.InvalidURL(f"is redirected to {wanted.scheme}://{wanted.hostname}, not https")
        return target


def retry_after_seconds(value: str | None) -> float:
    """Seconds that a Retry-After header asks for, given as seconds or as a date; 0 without one."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _judged(error: requests.RequestException, what: str) -> PassingFault:
    """The fault when it may pass; raises ArchiveError when asking again is of no use."""
    response = error.response
    if isinstance(error, requests.HTTPError) and response is not None:
        if response.status_code in _NOT_NOW:
            wait = retry_after_seconds(response.headers.get("Retry-After"))
            return PassingFault(f"the server answers {response.status_code} {response.reason}", wait)
        raise ArchiveError(
            f"{what}: the server answers {response.status_code} {response.reason}", kind=ErrorKind.REFUSED
        )
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return PassingFault("the server sends a page where data were asked for")
    if isinstance(error, requests.Timeout):
        return PassingFault("the server does not answer in time")
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return PassingFault("the connection fails or breaks")
    raise ArchiveError(f"{what}: {error}", kind=ErrorKind.REFUSED) from error
