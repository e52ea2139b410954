"""DICOMweb: a server's series found (QIDO-RS), fetched (WADO-RS) and stored (STOW-RS).

Access data come from the environment only: ``MRI_DENOISE_DICOMWEB_TOKEN`` (bearer token), or
``MRI_DENOISE_DICOMWEB_USER`` and ``MRI_DENOISE_DICOMWEB_PASSWORD``.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError
from mri_denoise.io.dicom.pixels import open_image
from mri_denoise.io.files import write_beside
from mri_denoise.node.endpoints import is_loopback
from mri_denoise.node.spool import is_uid

TOKEN, USER, PASSWORD = (f"MRI_DENOISE_DICOMWEB_{name}" for name in ("TOKEN", "USER", "PASSWORD"))
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_PAGE = 1000


class WebServer:
    """A DICOMweb server. Certificates are checked; redirects to elsewhere lose the access data.

    Args:
        url: base of the service, as ``https://pacs.example.org/dicom-web``.
        ca: authorities (PEM) to check its certificate against, if not the system's.
        timeout_seconds: for an answer.

    Raises:
        InputError: if the URL is none, or access data would travel unencrypted to another computer.
    """

    def __init__(self, url: str, ca: Path | None = None, timeout_seconds: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url}: not the URL of a DICOMweb server; it begins with https:// or http://")
        if parts.username or parts.password:
            raise InputError(f"a URL must not hold access data; set {USER} and {PASSWORD} in the environment")
        if ca is not None and not ca.is_file():
            raise InputError(f"{ca}: no such file of certificates")
        session = requests.Session()
        session.trust_env = False  # no access data from ~/.netrc, no authorities or proxies from the environment
        session.verify = True if ca is None else str(ca)
        self._authorise(session, parts.scheme == "https" or is_loopback(parts.hostname))
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL + 1)
        self._client = DICOMwebClient(url.rstrip("/"), session=session, timeout=timeout_seconds, permissive_uid=True)
        self._client.set_http_retry_params(retry=False)

    def series(self, study: str, series: str | None = None) -> list[tuple[str, str]]:
        """Study and series UIDs of the series of a study, all or the one named.

        Raises:
            ConnectionError: if the server cannot be reached, or is not ready.
            ValueError: if it refuses.
        """
        filters = {} if series is None else {"SeriesInstanceUID": series}
        with _told():
            found = self._client.search_for_series(study, search_filters=filters, get_remaining=True)
        return [(study, _uid(one, _SERIES)) for one in found]

    def study_of(self, series: str) -> str | None:
        """The study that holds a series, or None. Errors as of `series`."""
        with _told():
            found = self._client.search_for_series(search_filters={"SeriesInstanceUID": series}, limit=1)
        return _uid(found[0], _STUDY) if found else None

    def instances(self, study: str, series: str) -> set[str]:
        """SOP Instance UIDs that the server has of a series. Errors as of `series`."""
        with _told():
            found = self._client.search_for_instances(study, series, limit=_PAGE, get_remaining=True)
        return {_uid(one, _INSTANCE) for one in found}

    def fetch(self, study: str, series: str) -> Iterator[Dataset]:
        """The images of a series in the transfer syntax they are stored in. Errors as of `series`."""
        with _told():
            yield from self._client.iter_series(study, series, media_types=(("application/dicom", "*"),))

    def store(self, path: Path) -> str:
        """Store one image.

        Returns:
            the status: ``0000``, or that of a warning.

        Raises:
            ConnectionError: if the server cannot be reached, or is not ready.
            ValueError: if it refuses the image.
        """
        with _told():
            answer = self._client.store_instances([open_image(path)])
        failed = answer.get("FailedSOPSequence") or []
        if failed:
            raise ValueError(f"status {int(failed[0].get('FailureReason', 0)):04X}")
        stored = answer.get("ReferencedSOPSequence") or [Dataset()]
        return f"{int(stored[0].get('WarningReason', 0)):04X}"

    def _authorise(self, session: requests.Session, is_safe: bool) -> None:
        token, user = os.environ.get(TOKEN), os.environ.get(USER)
        if (token or user) and not is_safe:
            raise InputError("access data are set, but the URL is not https://; they would travel unencrypted")
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        elif user:
            session.auth = (user, os.environ.get(PASSWORD, ""))


def pull(server: WebServer, study: str | None, series: str | None, output: Path) -> tuple[int, int]:
    """Fetch the series of a study, or one series, into ``output/SERIES/INSTANCE.dcm``.

    Files that are there already stay.

    Returns:
        how many images were written, and of how many series.

    Raises:
        InputError: if there is no such series, an image has no usable UIDs, or a file cannot be written.
        ConnectionError: if the server cannot be reached or broke off.
        ValueError: if it refuses.
    """
    for uid in (study, series):
        if uid is not None and not is_uid(uid):
            raise InputError(f"{uid}: not a UID")
    if study is None:
        assert series is not None
        study = server.study_of(series)
    found = server.series(study, series) if study is not None else []
    if not found:
        raise InputError(f"no such series on the server: {series or study}")
    written = 0
    for of_study, one in found:
        if not is_uid(one):
            raise InputError(f"the server names a series {one!r}, which is no UID")
        for ds in server.fetch(of_study, one):
            instance = str(ds.get("SOPInstanceUID", ""))
            if not is_uid(instance):
                raise InputError(f"series {one}: an image without a usable SOP Instance UID")
            path = output / one / f"{instance}.dcm"
            if not path.exists():
                with write_beside(path) as partial:
                    pydicom.dcmwrite(partial, ds, enforce_file_format=True)
                written += 1
    return written, len(found)


def push(server: WebServer, files: Iterable[Path]) -> tuple[int, list[tuple[Path, str]]]:
    """Store files.

    Returns:
        how many were stored, and those that the server refused with the reason.

    Raises:
        ConnectionError: if the server cannot be reached or broke off.
    """
    stored, refused = 0, []
    for path in files:
        try:
            server.store(path)
            stored += 1
        except ValueError as error:
            refused.append((path, str(error)))
    return stored, refused


@contextmanager
def _told() -> Iterator[None]:
    """One line for what HTTP and the client raise: ConnectionError to try again, ValueError for a refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        reason = f"the server answers {status}"
        if status in (401, 403):
            reason += f"; set {TOKEN}, or {USER} and {PASSWORD}"
        if status >= 500 or status in (401, 403, 408, 429):
            raise ConnectionError(reason) from error
        raise ValueError(reason) from error
    except requests.RequestException as error:
        why = re.sub(r"\s+", " ", str(error))[:200]
        raise ConnectionError(f"the server cannot be reached ({why})") from error


def _uid(found: dict[str, Any], tag: str) -> str:
    return str((found.get(tag, {}).get("Value") or [""])[0])
