"""Log lines: their form, and that a peer cannot forge them or fill them with text of its own."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import warnings
from io import StringIO

import pytest

from mri_denoise.node.log import LONGEST, logging_to
from mri_denoise.node.receiver import CANNOT_UNDERSTAND
from tests.node.receiving import Listening, send
from tests.node.servers import tiny_series, until

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 [ -~]+")


def test_log_lines_cannot_be_forged() -> None:
    said = StringIO()
    logger = logging.getLogger("mri_denoise.node.test")
    with logging_to(said):
        logger.warning("rejected", extra={"peer": "EVIL\n2026 listening", "reason": ""})
    with logging_to(said, as_json=True):
        logger.info("sent", extra={"series": "1.2", "images": 3})
    logger.info("nobody listens any more")
    first, second = said.getvalue().splitlines()
    assert first.endswith('rejected peer="EVIL\\n2026 listening" reason=""')
    found = json.loads(second)
    assert found.pop("time") and found == {"event": "sent", "series": "1.2", "images": 3}


def test_fields_are_cut_short() -> None:
    said = StringIO()
    logger = logging.getLogger("mri_denoise.node.test")
    for as_json in (False, True):
        with logging_to(said, as_json=as_json):
            logger.info("refused", extra={"reason": ValueError("x" * 10000), "images": 10**20})
    for line in said.getvalue().splitlines():
        assert len(line) < LONGEST + 150 and "xxx..." in line and str(10**20) in line


def test_warnings_of_libraries_and_ends_of_threads_are_told_without_their_text() -> None:
    said = StringIO()

    def fail() -> None:
        raise ValueError("SECRET")

    with logging_to(said):
        for _ in range(2):
            warnings.warn("SECRET", stacklevel=1)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    first, second = said.getvalue().splitlines()
    assert re.search(r"warning of a library category=UserWarning where=test_log.py:\d+$", first)
    assert re.search(r"error where=test_log.py:\d+ reason=ValueError$", second)


@pytest.mark.parametrize("listening", [{"peers": [{"ae_title": "SCANNER", "address": "127.0.0.1"}]}], indirect=True)
def test_text_of_a_peer_stays_out_of_the_log(listening: Listening, capfd: pytest.CaptureFixture[str]) -> None:
    for title in (b"EVIL\n2026 \x1b[31mX", b"\xff\xfe\0" + bytes(13), b'A" sent images=9'):
        with socket.create_connection(("127.0.0.1", listening.port), timeout=10) as connection:
            connection.sendall(association_request(title))
            connection.settimeout(10)
            assert connection.recv(1) != b"\x02", "accepted"
    ds = tiny_series("one", 1)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says what is wrong with these
        ds.SeriesInstanceUID = "SECRET\x1b[31m"
        ds.StudyInstanceUID = "SECRET\n" + "9" * 1000
        ds.PatientBirthDate = "SECRET"
    assert send(listening.port, ds) == CANNOT_UNDERSTAND
    until(lambda: "association=released" in listening.text.getvalue(), 60)
    lines = listening.text.getvalue().split("\n")
    assert lines.pop() == ""
    assert all(LINE.fullmatch(line) and len(line) < 600 for line in lines), lines
    assert any(' rejected peer="A' in line for line in lines) and sum(" refused " in line for line in lines) == 1
    assert "SECRET" not in listening.text.getvalue()
    assert capfd.readouterr() == ("", ""), "nothing is written past the log"


def association_request(calling: bytes) -> bytes:
    """A-ASSOCIATE-RQ (DICOM PS3.8 9.3.2) with any bytes for the calling AE title."""

    def item(kind: int, content: bytes) -> bytes:
        return bytes([kind, 0]) + len(content).to_bytes(2, "big") + content

    syntaxes = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    items = item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, bytes([1, 0, 0, 0]) + syntaxes)
    items += item(0x50, item(0x51, (16384).to_bytes(4, "big")))
    body = bytes([0, 1, 0, 0]) + b"MRI_DENOISE".ljust(16) + calling[:16].ljust(16) + bytes(32) + items
    return bytes([1, 0]) + len(body).to_bytes(4, "big") + body
