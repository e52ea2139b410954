"""Storage commitment, push model (DICOM PS3.4 annex J): reports to a peer which images lie in the queue.

A request is kept as a file until the peer has taken its report or does not for too long, also when the node stops
meanwhile.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, build_role
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # named at run time
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from mri_denoise.node import records
from mri_denoise.node.endpoints import Peer
from mri_denoise.node.pauses import Pauses
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import COMMITMENTS, Spool, is_uid

_SUCCESS, _INVALID_ARGUMENT, _PROCESSING_FAILURE, _NO_SUCH_ACTION = 0x0000, 0x0115, 0x0110, 0x0123
_REQUEST, _ALL_HELD, _SOME_MISSING = 1, 1, 2
_NO_SUCH_OBJECT_INSTANCE = 0x0112
_MAX_REFERENCES = 20000
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An image that a peer asks about.

    Args:
        sop_class: its SOP Class UID.
        instance: its SOP Instance UID.
        is_held: whether it lay in the queue when the peer asked.
    """

    sop_class: str
    instance: str
    is_held: bool


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """A request that waits for its report.

    Args:
        ae_title: of the peer.
        host: its address as the settings name it, which its certificate is checked against.
        address: the IP address that it asked from, which the report goes to.
        port: where it listens.
        transaction: Transaction UID.
        references: what it asked about.
        asked: when, in seconds since 1970.
    """

    ae_title: str
    host: str
    address: str
    port: int
    transaction: str
    references: tuple[Reference, ...]
    asked: float


def request(event: Event, peer: Peer | None, spool: Spool) -> int:
    """Accept a request, to be reported later.

    Args:
        event: N-ACTION.
        peer: who asks. The report goes to its port; without one the request is refused.
        spool: the queue.

    Returns:
        the status for the response.
    """
    if event.action_type != _REQUEST:
        return _NO_SUCH_ACTION
    if peer is None or peer.port is None:
        reason = "storage commitment: no port set for this peer"
        logger.warning("refused", extra={"peer": event.assoc.requestor.ae_title, "reason": reason})
        return _PROCESSING_FAILURE
    try:
        information = event.action_information
        transaction = str(information.TransactionUID)
        named = information.ReferencedSOPSequence
        items = [(str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)) for one in named]
    except Exception:  # pydicom raises what its parser happens to meet in foreign bytes
        return _INVALID_ARGUMENT
    if not is_uid(transaction) or len(items) > _MAX_REFERENCES or not all(is_uid(uid) for _, uid in items):
        return _INVALID_ARGUMENT
    held = spool.held()
    found = Commitment(
        ae_title=peer.ae_title,
        host=peer.address,
        address=event.assoc.requestor.address,
        port=peer.port,
        transaction=transaction,
        references=tuple(Reference(sop_class=one, instance=uid, is_held=uid in held) for one, uid in items),
        asked=time.time(),
    )
    records.write(spool.root / COMMITMENTS / f"{transaction}.json", found)
    return _SUCCESS


class Reporter:
    """Sends the reports that wait.

    Args:
        settings: the peers, pauses between attempts.
        spool: the queue.
    """

    def __init__(self, settings: NodeSettings, spool: Spool) -> None:
        self._settings, self._spool = settings, spool
        self._pauses = Pauses(settings.retry)

    def step(self) -> bool:
        """Try to send one report that is due; False if there is none."""
        for path in sorted((self._spool.root / COMMITMENTS).glob("[0-9]*.json")):
            if self._pauses.is_due(path.name):
                self._attempt(path)
                return True
        return False

    def _attempt(self, path: Path) -> None:
        found = records.read(path, Commitment)
        if found is None:
            path.unlink()
            return
        held = sum(one.is_held for one in found.references)
        said = {"peer": found.ae_title, "images": held, "missing": len(found.references) - held}
        if _send(self._settings, found):
            logger.info("committed", extra=said)
        elif time.time() - found.asked < self._settings.retry.give_up_hours * 3600:
            logger.warning("not reported", extra={**said, "again_in_seconds": self._pauses.begin(path.name)})
            return
        else:
            logger.error("not reported", extra={**said, "next": "given up"})
        self._pauses.forget(path.name)
        path.unlink()


def _send(settings: NodeSettings, found: Commitment) -> bool:
    """N-EVENT-REPORT on an association of its own, in which this node keeps the role of the SCP."""
    who = (found.ae_title, found.host)
    peer = next((one for one in settings.peers if (one.ae_title, one.address) == who), None)
    if peer is None:  # taken out of the settings meanwhile; without them the report would go out unsecured
        return False
    ae = AE(ae_title=settings.listen.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = settings.limits.timeout_seconds
    ae.connection_timeout = settings.limits.timeout_seconds
    ae.add_requested_context(StorageCommitmentPushModel)
    secured = None if peer.tls is None else (peer.tls.context(server=False), found.host)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    assoc = ae.associate(found.address, found.port, ae_title=found.ae_title, ext_neg=[role], tls_args=secured)
    if not assoc.is_established:
        return False
    try:
        kind = _ALL_HELD if all(one.is_held for one in found.references) else _SOME_MISSING
        status, _ = assoc.send_n_event_report(
            _information(found), kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        return "Status" in status and status.Status == _SUCCESS
    except (RuntimeError, ValueError):  # the association broke, or the peer does not take the context
        return False
    finally:
        assoc.release()


def _information(found: Commitment) -> Dataset:
    """The data set of a report (DICOM PS3.4 J.3.3)."""
    ds = Dataset()
    ds.TransactionUID = found.transaction
    held, missing = Sequence(), Sequence()
    for one in found.references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class, one.instance
        if not one.is_held:
            item.FailureReason = _NO_SUCH_OBJECT_INSTANCE
        (held if one.is_held else missing).append(item)
    if held:
        ds.ReferencedSOPSequence = held
    if missing:
        ds.FailedSOPSequence = missing
    return ds
