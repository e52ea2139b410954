"""Storage commitment, push model (DICOM PS3.4 annex J): which images lie in the queue, reported to the peer.

A request is kept as a file until its report has been taken, so that it survives the node.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # named at run time
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from mri_denoise.node import disk
from mri_denoise.node.endpoints import Peer
from mri_denoise.node.log import Log
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import COMMITMENTS, Spool, is_uid

_SUCCESS, _INVALID_ARGUMENT, _PROCESSING_FAILURE, _NO_SUCH_ACTION = 0x0000, 0x0115, 0x0110, 0x0123
_REQUEST, _ALL_HELD, _SOME_MISSING = 1, 1, 2
_NO_SUCH_OBJECT_INSTANCE = 0x0112
_MAX_REFERENCES = 20000


def request(event: Any, peer: Peer | None, spool: Spool, log: Log) -> int:
    """Take a request.

    Args:
        event: N-ACTION.
        peer: who asks; the report goes to its address and port, without which nothing is promised.
        spool: the queue.
        log: for the reason of a refusal.

    Returns:
        the status for the response.
    """
    if event.action_type != _REQUEST:
        return _NO_SUCH_ACTION
    if peer is None or peer.port is None:
        log("refused", peer=event.assoc.requestor.ae_title, reason="storage commitment: no port set for this peer")
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
    record = {
        "peer": {
            **{"ae_title": peer.ae_title, "host": peer.address, "port": peer.port},
            "address": event.assoc.requestor.address,
        },
        "transaction": transaction,
        "items": [[sop_class, uid, uid in held] for sop_class, uid in items],
    }
    disk.write_json(spool.root / COMMITMENTS / f"{transaction}.json", record)
    return _SUCCESS


def report(settings: NodeSettings, spool: Spool, log: Log) -> bool:
    """Send the reports that wait; those that cannot be sent stay.

    Returns:
        whether none is left.
    """
    left = False
    for path in sorted((spool.root / COMMITMENTS).glob("*.json")):
        record = disk.read_json(path)
        if not record or _send(settings, record):
            path.unlink()
            if record:
                held = sum(bool(item[2]) for item in record["items"])
                log("committed", peer=record["peer"]["ae_title"], images=held, missing=len(record["items"]) - held)
        else:
            left = True
    return not left


def _send(settings: NodeSettings, record: dict[str, Any]) -> bool:
    """N-EVENT-REPORT on an association of its own, in which this node keeps the role of the SCP."""
    ae = AE(ae_title=settings.listen.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = settings.limits.timeout_seconds
    ae.connection_timeout = settings.limits.timeout_seconds
    ae.add_requested_context(StorageCommitmentPushModel)
    peer = record["peer"]
    tls = next((one.tls for one in settings.peers if one.ae_title == peer["ae_title"]), None)
    secured = None if tls is None else (tls.context(server=False), peer["host"])
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    assoc = ae.associate(peer["address"], peer["port"], ae_title=peer["ae_title"], ext_neg=[role], tls_args=secured)
    if not assoc.is_established:
        return False
    try:
        missing = any(not item[2] for item in record["items"])
        kind = _SOME_MISSING if missing else _ALL_HELD
        status, _ = assoc.send_n_event_report(
            _information(record), kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        return "Status" in status and status.Status == _SUCCESS
    except (RuntimeError, ValueError):  # the association broke, or the peer does not take the context
        return False
    finally:
        assoc.release()


def _information(record: dict[str, Any]) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = record["transaction"]
    ds.ReferencedSOPSequence, ds.FailedSOPSequence = Sequence(), Sequence()
    for sop_class, uid, held in record["items"]:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        if held:
            ds.ReferencedSOPSequence.append(item)
        else:
            item.FailureReason = _NO_SUCH_OBJECT_INSTANCE
            ds.FailedSOPSequence.append(item)
    for keyword in ("ReferencedSOPSequence", "FailedSOPSequence"):
        if not ds[keyword].value:
            del ds[keyword]
    return ds
