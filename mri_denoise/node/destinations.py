"""Where derived series are sent: a storage SCP or a DICOMweb server, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # named at run time
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from mri_denoise.node.endpoints import DicomTarget, WebTarget
from mri_denoise.node.log import first_line
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.web import WebServer
from mri_denoise.node.web_limits import WebLimits

_PENDING = (0xFF00, 0xFF01)
_TIMEOUTS_AN_IMAGE = 10  # a large image over a slow line takes longer than the time for one answer


class SendError(Exception):
    """The destination cannot be reached, or broke off; the image that was being sent may have arrived."""


class QueryError(Exception):
    """The destination does not say which images it has."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A file to send, with its UIDs and its transfer syntax.

    Derived images have the names of their sources, so that `source` is the SOP Instance UID of the image received.
    """

    path: Path
    sop_class: str
    instance: str
    study: str
    series: str
    syntax: str

    @property
    def source(self) -> str:
        """SOP Instance UID of the image that this one was made of; its own if it is forwarded."""
        return self.path.stem


def read_image(path: Path) -> Image:
    """Read the UIDs of an image from its header."""
    ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"])
    meta = ds.file_meta
    return Image(
        path=path,
        sop_class=str(meta.MediaStorageSOPClassUID),
        instance=str(meta.MediaStorageSOPInstanceUID),
        study=str(ds.StudyInstanceUID),
        series=str(ds.SeriesInstanceUID),
        syntax=str(meta.TransferSyntaxUID),
    )


class Target(Protocol):
    """Takes images, and says which it has."""

    def held(self, study: str, series: str) -> set[str]:
        """Ask for the SOP Instance UIDs of a series that the destination has.

        Raises:
            SendError: if it cannot be reached.
            QueryError: if it does not say.
        """

    def send(self, images: Sequence[Image], acknowledge: Callable[[str, str], None]) -> list[str]:
        """Send images.

        Args:
            images: what to send.
            acknowledge: called with the SOP Instance UID and the status as soon as the destination has taken one.

        Returns:
            one line for each image that it refused.

        Raises:
            SendError: if the destination cannot be reached or broke off.
        """


class DicomDestination:
    """A storage SCP that is asked by C-FIND and sent to by C-STORE."""

    def __init__(self, target: DicomTarget, settings: NodeSettings) -> None:
        self._target, self._title = target, settings.listen.ae_title
        self._timeout = settings.limits.timeout_seconds
        self._tls = target.tls.context(server=False) if target.tls else None

    def held(self, study: str, series: str) -> set[str]:
        """See `Target.held`."""
        # every server accepts Verification, so that one without queries does not look like one that is down
        assoc = self._associate([(Verification, []), (StudyRootQueryRetrieveInformationModelFind, [])])
        try:
            query = Dataset()
            query.QueryRetrieveLevel = "IMAGE"
            query.StudyInstanceUID, query.SeriesInstanceUID, query.SOPInstanceUID = study, series, ""
            found: set[str] = set()
            try:
                for status, identifier in assoc.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
                    if "Status" not in status:  # some servers refuse in this way
                        raise QueryError("no answer to C-FIND; is this node among those that may query?")
                    if status.Status in _PENDING:
                        if identifier is not None:
                            found.add(str(identifier.get("SOPInstanceUID", "")))
                    elif status.Status != 0:
                        raise QueryError(f"status {status.Status:04X}")
            except ValueError as error:
                raise QueryError("no C-FIND for studies") from error
            return found
        finally:
            assoc.release()

    def send(self, images: Sequence[Image], acknowledge: Callable[[str, str], None]) -> list[str]:
        """See `Target.send`."""
        contexts = sorted({(one.sop_class, one.syntax) for one in images})
        assoc = self._associate([(sop_class, [syntax]) for sop_class, syntax in contexts])
        refused = []
        try:
            for image in images:
                try:
                    status = assoc.send_c_store(image.path)
                except RuntimeError as error:
                    raise SendError("the association was aborted") from error
                except (ValueError, AttributeError) as error:
                    refused.append(f"{image.instance}: {first_line(error)}")
                    continue
                if "Status" not in status:
                    raise SendError("the destination did not acknowledge an image")
                code = int(status.Status)
                if code == 0 or code >> 12 == 0xB:  # success, or stored with a warning
                    acknowledge(image.instance, f"{code:04X}")
                else:
                    refused.append(f"{image.instance}: status {code:04X}")
        finally:
            assoc.release()
        return refused

    def _associate(self, contexts: Sequence[tuple[str, list[str]]]) -> Association:
        ae = AE(ae_title=self._title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = self._timeout
        for sop_class, syntaxes in contexts:
            ae.add_requested_context(sop_class, syntaxes or None)
        target = self._target
        secured = (self._tls, target.host) if self._tls else None
        try:
            assoc = ae.associate(target.host, target.port, ae_title=target.ae_title, tls_args=secured)
        except (OSError, ValueError) as error:
            raise SendError(f"{target.host}:{target.port} cannot be reached ({error})") from error
        if not assoc.is_established:
            why = "rejects the association" if assoc.is_rejected else "cannot be reached"
            raise SendError(f"{target.ae_title} at {target.host}:{target.port} {why}")
        return assoc


class WebDestination:
    """A DICOMweb server that is asked by QIDO-RS and sent to by STOW-RS, with one image in a request.

    Raises:
        InputError: if its URL, certificates or access data cannot be used.
    """

    def __init__(self, target: WebTarget, settings: NodeSettings) -> None:
        self._target, self._timeout = target, settings.limits.timeout_seconds
        with self._server():
            pass

    def held(self, study: str, series: str) -> set[str]:
        """See `Target.held`."""
        try:
            with self._server() as server:
                return server.instances(study, series)
        except ConnectionError as error:
            raise SendError(str(error)) from error
        except ValueError as error:
            raise QueryError(str(error)) from error

    def send(self, images: Sequence[Image], acknowledge: Callable[[str, str], None]) -> list[str]:
        """See `Target.send`."""
        refused = []
        with self._server(len(images)) as server:
            for image in images:
                try:
                    acknowledge(image.instance, server.store(image.path))
                except ConnectionError as error:
                    raise SendError(str(error)) from error
                except ValueError as error:
                    refused.append(f"{image.instance}: {error}")
        return refused

    @contextmanager
    def _server(self, images: int = 1) -> Iterator[WebServer]:
        """The server, with time for so many images."""
        minutes = images * _TIMEOUTS_AN_IMAGE * self._timeout / 60
        server = WebServer(self._target.url, self._target.ca, WebLimits(minutes=minutes, answer_seconds=self._timeout))
        try:
            yield server
        finally:
            server.close()


def make(settings: NodeSettings) -> Target:
    """Make the destination that the settings name.

    Raises:
        InputError: if its TLS files, URL or access data cannot be used.
    """
    destination = settings.destination
    if destination.dicom is not None:
        return DicomDestination(destination.dicom, settings)
    assert destination.dicomweb is not None
    return WebDestination(destination.dicomweb, settings)
