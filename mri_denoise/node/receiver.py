"""The receiving side: C-STORE, C-ECHO and storage commitment as SCP."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import warnings
from pathlib import Path
from typing import Any

import pydicom
from pydicom import uid
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from mri_denoise.errors import InputError
from mri_denoise.node import commitment
from mri_denoise.node.endpoints import Peer
from mri_denoise.node.log import Log
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import Spool, is_uid
from mri_denoise.node.transport import Arrival, Handler, Server

TRANSFER_SYNTAXES = (
    *(uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless),
    *(uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1),
    *(uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000),
    *(uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
)
"""What is accepted. Not deflated: a small data set of it may unpack to any size."""
SUCCESS, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000
_CALLING_AE_NOT_RECOGNISED = (0x01, 0x01, 0x03)
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


class Receiver:
    """Listens from `start` to `stop`, and puts what arrives into the queue.

    Args:
        settings: where to listen, who may send, limits.
        spool: the queue.
        log: for a line an association.

    Raises:
        InputError: if a peer's address cannot be resolved, or the TLS files cannot be used.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, log: Log) -> None:
        self._settings, self._spool, self._log = settings, spool, log
        self._networks = [(peer, addresses(peer)) for peer in settings.peers]
        self._tls = settings.listen.tls.context(server=True) if settings.listen.tls else None
        self._server: Server | None = None
        self._counts: dict[object, list[int]] = {}
        self._live: set[Any] = set()
        self._ending = threading.Lock()
        self._released: set[Any] = set()
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it would print identifiers and tracebacks

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
        listen, limits = self._settings.listen, self._settings.limits
        ae = AE(ae_title=listen.ae_title)
        ae.require_called_aet = True
        ae.maximum_pdu_size, ae.maximum_associations = limits.pdu_bytes, limits.associations
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = limits.timeout_seconds
        ae.add_supported_context(Verification)
        for sop_class in listen.sop_classes():
            ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        if listen.storage_commitment:
            ae.add_supported_context(StorageCommitmentPushModel)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_N_ACTION, self._action),
            (evt.EVT_PDU_RECV, self._heard),
            (evt.EVT_RELEASED, self._ended),
            (evt.EVT_ABORTED, self._ended),
            (evt.EVT_CONN_CLOSE, self._ended),
        ]
        try:
            made: Any = ae.make_server(
                (listen.host, listen.port),
                evt_handlers=handlers,
                ssl_context=self._tls,
                server_class=Server,
                request_handler=Handler,
            )
        except OSError as error:
            where = f"{listen.host}:{listen.port}"
            raise InputError(f"settings: listen.host, listen.port: {where} cannot be had ({error.strerror})") from error
        made.admits, made.limits, made.new_path = self._admits, limits, self._spool.new_partial
        ae._servers.append(made)
        self._server = made
        threading.Thread(target=made.serve_forever, args=(0.1,), name="receiver", daemon=True).start()

    def stop(self) -> None:
        """Listen no more; associations that are open are aborted."""
        if self._server is not None:
            associations = self._server.active_associations
            self._server.shutdown()
            for assoc in associations:
                assoc.abort()

    def _admits(self, address: str) -> bool:
        return not self._networks or any(self._is_in(address, networks) for _, networks in self._networks)

    def _is_in(self, address: str, networks: list[Any]) -> bool:
        found = ipaddress.ip_address(address.split("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in networks)

    def _peer(self, assoc: Any) -> Peer | None:
        """The peer that an association is with, by AE title and address together."""
        title = assoc.requestor.primitive.calling_ae_title.strip()
        for peer, networks in self._networks:
            if peer.ae_title == title and self._is_in(assoc.requestor.address, networks):
                return peer
        return None

    def _requested(self, event: Any) -> None:
        if self._networks and self._peer(event.assoc) is None:
            title = event.assoc.requestor.primitive.calling_ae_title
            self._log("rejected", peer=title, address=event.assoc.requestor.address, reason="not among peers")
            event.assoc.acse.send_reject(*_CALLING_AE_NOT_RECOGNISED)
            event.assoc.kill()
        else:
            self._live.add(event.assoc)

    def prune(self) -> None:
        """Close the books on associations whose thread died without a word."""
        for assoc in [one for one in self._live if not one.is_alive()]:
            self._end(assoc)

    def _stored(self, event: Any) -> int:
        """C-STORE: the answer says success only when the image is on disk."""
        arrival: Arrival | None = event.assoc.dimse.take(event.message_id)
        if arrival is None:
            return CANNOT_UNDERSTAND
        try:
            return self._take(event, arrival)
        except OSError as error:
            return self._refuse(event, OUT_OF_RESOURCES, f"cannot be written ({error.strerror})")
        finally:
            arrival.discard()

    def _take(self, event: Any, arrival: Arrival) -> int:
        problem = arrival.problem or self._spool.is_full()
        if problem:
            return self._refuse(event, OUT_OF_RESOURCES, problem)
        request = event.request
        found = identifiers(arrival.path)
        if found is None or not all(is_uid(one) for one in found):
            return self._refuse(event, CANNOT_UNDERSTAND, "data set cannot be read, or lacks its UIDs")
        sop_class, instance, _, series = found
        if not sop_class == request.AffectedSOPClassUID == event.context.abstract_syntax:
            return self._refuse(event, MISMATCH, "SOP class is not that of the request")
        if instance != request.AffectedSOPInstanceUID:
            return self._refuse(event, MISMATCH, "SOP Instance UID is not that of the request")
        self._spool.store(arrival.path, series, instance, event.assoc)
        if event.assoc not in self._live:  # the connection broke meanwhile
            self._spool.closed(event.assoc, released=False)
        self._counts.setdefault(event.assoc, [0, 0])[0] += 1
        return SUCCESS

    def _refuse(self, event: Any, status: int, reason: str) -> int:
        self._counts.setdefault(event.assoc, [0, 0])[1] += 1
        title = event.assoc.requestor.ae_title
        self._log("refused", peer=title, instance=event.request.AffectedSOPInstanceUID, reason=reason)
        return status

    def _action(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """N-ACTION of the storage commitment push model; the report follows on an association of its own."""
        return commitment.request(event, self._peer(event.assoc), self._spool, self._log), None

    def _heard(self, event: Any) -> None:
        """A request for release, noted at once: its end is told by two threads, and not always in this order."""
        if isinstance(event.pdu, A_RELEASE_RQ):
            self._released.add(event.assoc)

    def _ended(self, event: Any) -> None:
        self._end(event.assoc)

    def _end(self, assoc: Any) -> None:
        assoc.dimse.discard()
        with self._ending:
            first = assoc in self._live
            self._live.discard(assoc)
            released = assoc in self._released
            self._released.discard(assoc)
        if not first:
            return
        self._spool.closed(assoc, released=released)
        stored, refused = self._counts.pop(assoc, (0, 0))
        if stored or refused:
            how = "released" if released else "aborted"
            self._log("received", peer=assoc.requestor.ae_title, images=stored, refused=refused, association=how)


def addresses(peer: Peer) -> list[Any]:
    """IP networks of a peer.

    Raises:
        InputError: if its name cannot be resolved.
    """
    try:
        return [ipaddress.ip_network(peer.address, strict=False)]
    except ValueError:
        pass
    try:
        return [ipaddress.ip_network(found[4][0]) for found in socket.getaddrinfo(peer.address, None)]
    except OSError as error:
        raise InputError(f"settings: peers: address {peer.address} of {peer.ae_title} cannot be resolved") from error


def identifiers(path: Path) -> tuple[str, ...] | None:
    """SOP class, instance, study and series of a file; None if its header cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_IDENTIFIERS))
            return tuple(str(ds.get(keyword, "") or "") for keyword in _IDENTIFIERS)
    except Exception:  # pydicom raises what its parser happens to meet in foreign bytes
        return None
