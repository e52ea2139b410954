"""The receiving side: C-STORE, C-ECHO and storage commitment as SCP."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import cast

import pydicom
from pydicom import uid
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom import evt as events
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from mri_denoise.errors import InputError, OutputError
from mri_denoise.node import commitment
from mri_denoise.node.arrival import Arrival, SpoolingDimse
from mri_denoise.node.associations import Associations, calling_title
from mri_denoise.node.incoming import Incoming
from mri_denoise.node.peers import Peers
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import Spool, is_uid
from mri_denoise.node.transport import Handler, Server

TRANSFER_SYNTAXES = (
    *(uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless),
    *(uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1),
    *(uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000),
    *(uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
)
"""What is accepted. Not deflated: a small data set of it may unpack to any size."""
SUCCESS, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000
_ACCEPT_SECONDS = 0.1
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
logger = logging.getLogger(__name__)


class Receiver:
    """Listens from `start` to `stop`, and puts what arrives into the queue.

    Args:
        settings: where to listen, who may send, limits.
        spool: the queue.
        incoming: takes the images.

    Raises:
        InputError: if a peer's address cannot be resolved, or the TLS files cannot be used.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, incoming: Incoming) -> None:
        self._settings, self._spool, self._incoming = settings, spool, incoming
        self._peers = Peers(settings.peers)
        self._associations = Associations(self._peers, settings.limits, incoming)
        self._tls = settings.listen.tls.context(server=True) if settings.listen.tls else None
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """Where it listens, which matters if the settings say 0."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to listen.

        Raises:
            InputError: if the address cannot be had.
        """
        listen, ae = self._settings.listen, self._application_entity()
        handlers: list[EventHandlerType] = [
            (events.EVT_REQUESTED, lambda event: self._associations.request(event.assoc)),
            (events.EVT_C_STORE, self._stored),
            (events.EVT_N_ACTION, self._asked),
            (events.EVT_PDU_RECV, self._heard),
            *((one, lambda event: self._associations.end(event.assoc)) for one in _ENDS),
        ]
        try:
            self._server = Server(
                ae=ae,
                address=(listen.host, listen.port),
                ae_title=listen.ae_title,
                contexts=ae.supported_contexts,
                ssl_context=self._tls,
                evt_handlers=handlers,
                request_handler=Handler,
                admits=self._peers.admit,
                limits=self._settings.limits,
                new_path=self._incoming.new_partial,
            )
        except OSError as error:
            where = f"{listen.host}:{listen.port}"
            raise InputError(f"settings: listen.host, listen.port: {where} cannot be had ({error.strerror})") from error
        ae._servers.append(self._server)
        threading.Thread(
            target=self._server.serve_forever, args=(_ACCEPT_SECONDS,), name="receiver", daemon=True
        ).start()

    def stop(self) -> None:
        """Listen no more; associations that are open are aborted."""
        if self._server is not None:
            associations = self._server.active_associations
            self._server.shutdown()
            for assoc in associations:
                assoc.abort()

    def prune(self) -> None:
        """Close the accounts of associations whose thread ended without a word."""
        self._associations.prune()

    def _application_entity(self) -> AE:
        listen, limits = self._settings.listen, self._settings.limits
        ae = AE(ae_title=listen.ae_title)
        ae.require_called_aet = True
        ae.maximum_pdu_size = limits.pdu_bytes
        ae.maximum_associations = 1 << 20  # `associations` counts those that were asked for, this counts connections
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = limits.timeout_seconds
        ae.add_supported_context(Verification)
        for sop_class in listen.sop_classes():
            ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        if listen.storage_commitment:
            ae.add_supported_context(StorageCommitmentPushModel)
        return ae

    def _stored(self, event: Event) -> int:
        """C-STORE: the answer says success only when the image is on disk."""
        arrival = cast("SpoolingDimse", event.assoc.dimse).take(event.message_id)
        if arrival is None:
            return CANNOT_UNDERSTAND
        try:
            return self._take(event, arrival)
        except OSError as error:
            return self._refuse(event, OUT_OF_RESOURCES, f"cannot be written ({error.strerror})")
        except OutputError as error:
            return self._refuse(event, OUT_OF_RESOURCES, str(error))
        finally:
            arrival.discard()

    def _take(self, event: Event, arrival: Arrival) -> int:
        problem = arrival.problem or self._incoming.is_full()
        if problem:
            return self._refuse(event, OUT_OF_RESOURCES, problem)
        request = cast("C_STORE", event.request)
        found = identifiers(arrival.path)
        if found is None or not all(is_uid(one) for one in found):
            return self._refuse(event, CANNOT_UNDERSTAND, "data set cannot be read, or lacks its UIDs")
        sop_class, instance, _, series = found
        if not sop_class == request.AffectedSOPClassUID == event.context.abstract_syntax:
            return self._refuse(event, MISMATCH, "SOP class is not that of the request")
        if instance != request.AffectedSOPInstanceUID:
            return self._refuse(event, MISMATCH, "SOP Instance UID is not that of the request")
        self._incoming.store(arrival.path, series, instance, event.assoc)
        if not self._associations.is_open(event.assoc):  # the connection broke meanwhile
            self._incoming.closed(event.assoc, released=False)
        self._associations.count(event.assoc, stored=True)
        return SUCCESS

    def _refuse(self, event: Event, status: int, reason: str) -> int:
        self._associations.count(event.assoc, stored=False)
        instance = cast("C_STORE", event.request).AffectedSOPInstanceUID
        names = {"peer": calling_title(event.assoc), "instance": instance}
        logger.warning("refused", extra={**names, "reason": reason})
        return status

    def _asked(self, event: Event) -> tuple[int, Dataset | None]:
        """N-ACTION of the storage commitment push model; the report follows on an association of its own."""
        peer = self._peers.find(calling_title(event.assoc), event.assoc.requestor.address)
        return commitment.request(event, peer, self._spool), None

    def _heard(self, event: Event) -> None:
        """Note a request for release at once: its end is told by two threads, and not always in this order."""
        if isinstance(event.pdu, A_RELEASE_RQ):
            self._associations.release(event.assoc)


_ENDS = (events.EVT_RELEASED, events.EVT_ABORTED, events.EVT_CONN_CLOSE)


def identifiers(path: Path) -> tuple[str, ...] | None:
    """SOP class, instance, study and series of a file; None if its header cannot be read."""
    try:
        ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_IDENTIFIERS))
        return tuple(str(ds.get(keyword, "") or "") for keyword in _IDENTIFIERS)
    except Exception:  # pydicom raises what its parser happens to meet in foreign bytes
        return None
