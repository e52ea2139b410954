"""DICOMweb: a server's series found (QIDO-RS), fetched (WADO-RS) and stored (STOW-RS); DICOM PS3.18.

Access data come from the environment only: ``MRI_DENOISE_DICOMWEB_TOKEN`` (bearer token), or
``MRI_DENOISE_DICOMWEB_USER`` and ``MRI_DENOISE_DICOMWEB_PASSWORD``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError, system_reason
from mri_denoise.io.dicom.pixels import as_file, open_image
from mri_denoise.node.endpoints import is_loopback
from mri_denoise.node.log import first_line
from mri_denoise.node.web_adapter import MeteredAdapter
from mri_denoise.node.web_limits import Meter, WebLimits

TOKEN, USER, PASSWORD = (f"MRI_DENOISE_DICOMWEB_{name}" for name in ("TOKEN", "USER", "PASSWORD"))
Found = dict[str, dict[Any, Any]]
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_DICOM_TYPES = ("application/dicom+json", "application/json", "application/dicom+xml", "application/xml")
_PAGE = 1000
logging.getLogger("dicomweb_client").addHandler(logging.NullHandler())  # it repeats what servers say


class _Refusal(ValueError):
    """The server understood, and does not take the image."""


class WebServer:
    """A DICOMweb server. Certificates are checked; redirects to elsewhere lose the access data.

    Args:
        url: base of the service, as ``https://pacs.example.org/dicom-web``.
        ca: authorities (PEM) to check its certificate against, if not the system's.
        limits: what it may cost, from now on.

    Raises:
        InputError: if the URL is none, or access data would travel unencrypted to another computer.
    """

    def __init__(self, url: str, ca: Path | None = None, limits: WebLimits | None = None) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise InputError(f"{url}: not the URL of a DICOMweb server ({error}); check it") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url}: not the URL of a DICOMweb server; it begins with https:// or http://")
        if parts.username or parts.password:
            raise InputError(f"a URL must not hold access data; set {USER} and {PASSWORD} in the environment")
        if ca is not None and not ca.is_file():
            raise InputError(f"{ca}: no such file of certificates")
        limits = limits or WebLimits()
        session = self._session = requests.Session()
        session.trust_env = False  # no access data from ~/.netrc, no authorities or proxies from the environment
        session.verify = True if ca is None else str(ca)
        _authorise(session, parts.scheme == "https" or is_loopback(parts.hostname))
        session.hooks["response"] = [self._hear]
        self._last: requests.Response | None = None
        self._meter = Meter(limits)
        for scheme in ("http://", "https://"):
            session.mount(scheme, MeteredAdapter(self._meter))
        self._client = DICOMwebClient(
            url.rstrip("/"), session=session, timeout=limits.answer_seconds, permissive_uid=True
        )
        self._client.set_http_retry_params(retry=False)

    def series(self, study: str, series: str | None = None) -> list[str]:
        """Series Instance UIDs of a study, all or the one named.

        Raises:
            ConnectionError: if the server cannot be reached, is not ready, or exceeds a limit.
            ValueError: if it refuses, or answers something else than DICOM.
        """
        filters = {} if series is None else {"SeriesInstanceUID": series}

        def search(offset: int) -> list[Found]:
            return self._client.search_for_series(study, search_filters=filters, limit=_PAGE, offset=offset)

        return self._all(_SERIES, search)

    def study_of(self, series: str) -> str | None:
        """The study that holds a series, or None. Errors as of `series`."""
        with self._answered():
            found = self._client.search_for_series(search_filters={"SeriesInstanceUID": series}, limit=1)
            return _uid(found[0], _STUDY) if found else None

    def instances(self, study: str, series: str) -> set[str]:
        """SOP Instance UIDs that the server has of a series. Errors as of `series`."""

        def search(offset: int) -> list[Found]:
            return self._client.search_for_instances(study, series, limit=_PAGE, offset=offset)

        return set(self._all(_INSTANCE, search))

    def fetch(self, study: str, series: str) -> Iterator[Dataset]:
        """The images of a series in the transfer syntax they are stored in. Errors as of `series`."""
        with self._answered():
            self._meter.begin(image=True)
            for ds in self._client.iter_series(study, series, media_types=(("application/dicom", "*"),)):
                self._meter.begin(image=True)
                yield ds

    def store(self, path: Path) -> str:
        """Store one image.

        Returns:
            the status: ``0000``, or that of a warning.

        Raises:
            InputError: if the file cannot be read.
            ConnectionError: if the server cannot be reached, is not ready, or exceeds a limit.
            ValueError: if it refuses the image, or answers something else than DICOM.
        """
        ds = as_file(open_image(path))
        with self._answered():
            answer = self._client.store_instances([ds])
            failed = answer.get("FailedSOPSequence") or []
            if failed:
                raise _Refusal(f"status {int(failed[0].get('FailureReason', 0)):04X}")
            for one in answer.get("ReferencedSOPSequence") or []:
                if one.get("ReferencedSOPInstanceUID") == ds.SOPInstanceUID:
                    return f"{int(one.get('WarningReason', 0)):04X}"
            if self._last is None or self._last.content or self._last.history:  # perhaps a page to log in
                raise _Refusal("the server does not say that it has stored the image; check the URL")
            return "0000"

    def _hear(self, response: requests.Response, **_: object) -> None:
        """Keep the last response; its type loses parameters such as a character set, which the client trips over."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in _DICOM_TYPES:
            response.headers["Content-Type"] = kind
        self._last = response

    def close(self) -> None:
        """Let the connections go."""
        self._meter.stop()
        self._session.close()

    def _all(self, tag: str, search: Callable[[int], list[Found]]) -> list[str]:
        """The UIDs of a search, page by page until one brings nothing new: some servers ignore the offset."""
        found: dict[str, None] = {}
        offset = 0
        while True:
            with self._answered():
                page = search(offset)
                new = [uid for uid in (_uid(one, tag) for one in page) if uid not in found]
            if not new:
                return list(found)
            found |= dict.fromkeys(new)
            offset += len(page)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """One line for what HTTP, the client and pydicom raise, and for an answer that a limit has cut off.

        Raises:
            ConnectionError: to try again.
            ValueError: for a refusal, or an answer that is no DICOM.
        """
        self._meter.begin(image=False)
        try:
            yield
        except Exception as error:
            if self._meter.problem is not None:
                raise ConnectionError(self._meter.problem) from error
            raise _told(error) from error
        if self._meter.problem is not None:  # the connection that was cut off looks like the end of the answer
            raise ConnectionError(self._meter.problem)


def _told(error: Exception) -> Exception:
    """The error in one line."""
    if isinstance(error, requests.HTTPError):
        status = 0 if error.response is None else error.response.status_code
        reason = f"the server answers {status}"
        if status in (401, 403):
            reason += f"; set {TOKEN}, or {USER} and {PASSWORD}"
        again = status >= 500 or status in (401, 403, 408, 429)
        return ConnectionError(reason) if again else ValueError(reason)
    text = first_line(error)
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return ValueError(f"the server does not answer in DICOM JSON ({text}); check the URL")
    if isinstance(error, requests.RequestException):
        return ConnectionError(f"the server cannot be reached ({system_reason(error) or text})")
    if isinstance(error, ConnectionError | _Refusal | InputError):
        return error
    return ValueError(f"the server's answer is not DICOM ({type(error).__name__}: {text}); check the URL")


def _authorise(session: requests.Session, is_safe: bool) -> None:
    token, user = os.environ.get(TOKEN), os.environ.get(USER)
    if (token or user) and not is_safe:
        raise InputError("access data are set, but the URL is not https://; they would travel unencrypted")
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif user:
        session.auth = (user, os.environ.get(PASSWORD, ""))


def _uid(found: Found, tag: str) -> str:
    """The UID of an attribute in DICOM JSON (PS3.18 F.2); empty where it is missing."""
    return str((found.get(tag, {}).get("Value") or [""])[0])
