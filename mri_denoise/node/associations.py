"""The associations that are open: how many there may be, what each has done, and how it ended."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from pynetdicom.association import Association

from mri_denoise.node.arrival import SpoolingDimse
from mri_denoise.node.incoming import Incoming
from mri_denoise.node.peers import Peers
from mri_denoise.node.settings import Limits

_CALLING_AE_NOT_RECOGNISED = (0x01, 0x01, 0x03)
_LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)
logger = logging.getLogger(__name__)


@dataclass
class _Account:
    """What an association has done so far."""

    stored: int = 0
    refused: int = 0
    is_released: bool = False


class Associations:
    """Accepts or rejects associations, and keeps their accounts; safe to call from several threads.

    Args:
        peers: who may have one.
        limits: how many at the same time.
        incoming: told when one ends, since that is when its series may be complete.
    """

    def __init__(self, peers: Peers, limits: Limits, incoming: Incoming) -> None:
        self._peers, self._limits, self._incoming = peers, limits, incoming
        self._open: dict[Association, _Account] = {}
        self._lock = threading.Lock()

    def request(self, assoc: Association) -> None:
        """Open an account for an association that is asked for, or reject it."""
        title, address = calling_title(assoc), assoc.requestor.address
        if not self._peers.accept(title, address):
            _reject(assoc, _CALLING_AE_NOT_RECOGNISED, "not among peers")
            return
        with self._lock:
            alive = [one for one in self._open if one.is_alive()]
            of_address = sum(one.requestor.address == address for one in alive)
            if len(alive) < self._limits.associations and of_address < self._limits.associations_per_address:
                self._open[assoc] = _Account()
                return
        _reject(assoc, _LOCAL_LIMIT_EXCEEDED, "too many associations")

    def is_open(self, assoc: Association) -> bool:
        """Whether an association has an account."""
        return assoc in self._open

    def count(self, assoc: Association, *, stored: bool) -> None:
        """Count an image that was stored or refused."""
        account = self._open.get(assoc)
        if account is not None:
            account.stored += stored
            account.refused += not stored

    def release(self, assoc: Association) -> None:
        """Note that the peer has asked for the release: it has sent all it wanted."""
        account = self._open.get(assoc)
        if account is not None:
            account.is_released = True

    def end(self, assoc: Association) -> None:
        """Close the account, once, however often and by whichever thread this is called."""
        if isinstance(assoc.dimse, SpoolingDimse):
            assoc.dimse.discard()
        with self._lock:
            account = self._open.pop(assoc, None)
        if account is None:
            return
        self._incoming.closed(assoc, released=account.is_released)
        if account.stored or account.refused:
            how = "released" if account.is_released else "aborted"
            counts = {"images": account.stored, "refused": account.refused}
            peer = {"peer": calling_title(assoc), "address": assoc.requestor.address}
            logger.info("received", extra={**peer, **counts, "association": how})

    def prune(self) -> None:
        """Close the accounts of associations whose thread ended without a word."""
        for assoc in [one for one in list(self._open) if not one.is_alive()]:
            self.end(assoc)


def calling_title(assoc: Association) -> str:
    """The AE title by which a peer calls."""
    primitive = assoc.requestor.primitive
    return str(primitive.calling_ae_title).strip() if primitive is not None else ""


def _reject(assoc: Association, answer: tuple[int, int, int], reason: str) -> None:
    address = assoc.requestor.address
    logger.warning("rejected", extra={"peer": calling_title(assoc), "address": address, "reason": reason})
    assoc.acse.send_reject(*answer)
    assoc.kill()
