"""The worker with its denoising process, where results cannot be written."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path

import psutil
import pytest
from pydicom.uid import RLELossless

from mri_denoise.node.incoming import Incoming
from mri_denoise.node.lock import locked
from mri_denoise.node.log import logging_to
from mri_denoise.node.settings import load
from mri_denoise.node.spool import Spool
from mri_denoise.node.worker import Worker
from tests.io.dicom.phantom import Phantom, series, set_stored
from tests.node.servers import until

LIMIT = 20_000  # bytes: more than the compressed sources, less than a result


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="limits of another process are Linux's")
def test_a_series_whose_results_cannot_be_written_is_denoised_later(tmp_path: Path) -> None:
    destination = {"dicom": {"ae_title": "A", "host": "127.0.0.1"}}
    settings = load(None, {"spool": str(tmp_path), "destination": destination, "retry.first_seconds": 1.0})
    spool = Spool(tmp_path)
    uid = receive(spool)
    said = StringIO()
    with locked(spool.root) as lock, logging_to(said):
        worker = Worker(settings, spool, lock)
        worker.start()
        try:
            [child] = [one for one in psutil.Process().children() if "mri_denoise.node.child" in one.cmdline()]
            # a limit on the size of a file meets every writer, as a full disk does, and needs no rights
            child.rlimit(psutil.RLIMIT_FSIZE, (LIMIT, psutil.RLIM_INFINITY))
            assert worker.step()
            assert spool.series("ready") == [uid] and spool.series("working") == []
            assert "File too large" in said.getvalue() and "derived/" in said.getvalue()
            assert "SMITH" not in said.getvalue(), "logs hold no text of a header"
            assert "again_in_seconds=1.0" in said.getvalue()
            assert not worker.step(), "it waits, and holds up no other series"
            child.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
            until(worker.step, 30)
        finally:
            worker.stop()
    assert spool.series("outgoing") == [uid]
    assert len(list(tmp_path.glob("outgoing/*/derived/**/*.dcm"))) == 2


def receive(spool: Spool) -> str:
    """Put a compressed series into the queue."""
    incoming = Incoming(spool)
    images = series(Phantom(slices=2, rows=128, columns=128))
    for ds in images:
        ds.SeriesDescription = "T1 SMITH JOHN 1961"
        pixels = ds.pixel_array // 1024 * 1024  # four values, which compress well
        pixels[16:-16, 16:-16] = 900
        pixels[::8] = 0
        pixels[64, 64] = 901
        set_stored(ds, pixels)
        ds.compress(RLELossless, encoding_plugin="pydicom")
        file = BytesIO()
        ds.save_as(file, enforce_file_format=True)
        assert len(file.getvalue()) < LIMIT
        partial = incoming.new_partial()
        partial.write_bytes(file.getvalue())
        incoming.store(partial, ds.SeriesInstanceUID, ds.SOPInstanceUID, "association")
    incoming.closed("association", released=True)
    incoming.promote(0.0, 0.0)
    return str(images[0].SeriesInstanceUID)
