"""A receiver in this process, and peers that send to it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE

from mri_denoise.node.incoming import Incoming
from mri_denoise.node.log import logging_to
from mri_denoise.node.receiver import SUCCESS, Receiver
from mri_denoise.node.settings import NodeSettings, load
from mri_denoise.node.spool import Spool
from tests.node.servers import tiny_series


class Listening:
    """A receiver with its queue and what it said."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        basic = {"spool": str(folder / "spool"), "destination": {"dicomweb": {"url": "http://localhost"}}}
        limits = {"limits.free_gb": 0.0, "limits.timeout_seconds": 5.0}
        self.settings: NodeSettings = load(None, {**basic, "listen.port": 0, **limits, **changes})
        self.spool = Spool(self.settings.spool)
        self.incoming = Incoming(self.spool, queue_gb=self.settings.limits.queue_gb)
        self.text = StringIO()
        self.receiver = Receiver(self.settings, self.spool, self.incoming)
        self.receiver.start()
        self._logging = logging_to(self.text)
        self._logging.__enter__()

    def stop(self) -> None:
        self.receiver.stop()
        self._logging.__exit__(None, None, None)

    @property
    def port(self) -> int:
        return self.receiver.port

    def images(self) -> list[Path]:
        return sorted(self.spool.root.glob("incoming/*/source/*.dcm"))

    def partial(self) -> list[Path]:
        return list((self.spool.root / "receiving").iterdir())

    def is_up(self) -> bool:
        """Whether a well-behaved peer gets its images in."""
        before = len(self.images())
        ds = tiny_series(generate_uid(), 1)[0]
        return send(self.port, ds) == SUCCESS and len(self.images()) == before + 1


def associate(
    port: int,
    title: str = "SCANNER",
    called: str = "MRI_DENOISE",
    sop_class: str = MRImageStorage,
    source: str = "127.0.0.1",
) -> Any:
    ae = AE(ae_title=title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    return ae.associate("127.0.0.1", port, ae_title=called, bind_address=(source, 0))


def send(port: int, ds: Dataset, **options: str) -> int | None:
    """Status of a C-STORE; None without an answer."""
    assoc = associate(port, **options)
    if not assoc.is_established:
        return None
    status = assoc.send_c_store(ds)
    assoc.release()
    return int(status.Status) if "Status" in status else None
