"""The receiving side against dcmtk and against peers that break the rules: it answers, refuses, and stays up."""

from __future__ import annotations

import resource
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from mri_denoise.errors import InputError
from mri_denoise.node import commitment
from mri_denoise.node.receiver import CANNOT_UNDERSTAND, MISMATCH, OUT_OF_RESOURCES, SUCCESS
from tests.node.receiving import Listening, associate, send
from tests.node.servers import ROOT, Certificate, free_port, save_tiny, storescu, tiny_series, until
from tests.programs import need


def test_dcmtk_sends_a_series(listening: Listening, tmp_path: Path) -> None:
    echo = [need("echoscu"), "-aec", "MRI_DENOISE", "127.0.0.1", str(listening.port)]
    assert subprocess.run(echo, timeout=60, check=False).returncode == 0
    paths = save_tiny(tmp_path / "in", "one")
    result = storescu(listening.port, tmp_path / "in")
    assert result.returncode == 0, result.stderr
    assert len(listening.images()) == len(paths) == 4 and listening.partial() == []
    until(lambda: "association=released" in listening.text.getvalue(), 60)
    assert "images=4 refused=0" in listening.text.getvalue()
    assert {path.stat().st_mode & 0o777 for path in listening.images()} == {0o600}
    # nothing of the patient but identifiers is said
    assert not any(word in listening.text.getvalue() for word in ("Phantom", "P1", "t2_tse"))


def test_every_transfer_syntax_arrives_as_it_was_sent(listening: Listening, tmp_path: Path) -> None:
    sent = save_tiny(tmp_path / "plain", "one")
    made = tmp_path / "rle"
    made.mkdir()
    for path in sent:
        subprocess.run([need("dcmcrle"), path, made / path.name], check=True, timeout=60)
    assert storescu(listening.port, made, options=("-xr",)).returncode == 0
    before = {pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path) for path in made.iterdir()}
    for path in listening.images():
        after = pydicom.dcmread(path)
        assert after == before[after.SOPInstanceUID]
        assert after.file_meta.TransferSyntaxUID == before[after.SOPInstanceUID].file_meta.TransferSyntaxUID


PEERS = {"peers": [{"ae_title": "SCANNER", "address": "127.0.0.1"}, {"ae_title": "OTHER", "address": "10.0.0.0/8"}]}


@pytest.mark.parametrize("listening", [PEERS], indirect=True)
def test_only_peers_by_title_and_address_together(listening: Listening) -> None:
    ds = tiny_series("one", 1)[0]
    assert send(listening.port, ds) == SUCCESS
    for wrong in ({"title": "STRANGER"}, {"title": "OTHER"}, {"called": "SOMEONE"}):
        assoc = associate(listening.port, **wrong)
        assert assoc.is_rejected and not assoc.is_established
    assert "rejected peer=STRANGER" in listening.text.getvalue()
    assert listening.is_up()


@pytest.mark.parametrize("listening", [{"peers": [{"ae_title": "A", "address": "10.1.2.3"}]}], indirect=True)
def test_an_unknown_address_gets_no_word(listening: Listening) -> None:
    with socket.create_connection(("127.0.0.1", listening.port), timeout=10) as connection:
        connection.settimeout(10)
        assert connection.recv(100) == b""


def test_what_is_no_mr_image_or_not_what_it_says_is_refused(listening: Listening) -> None:
    ds = tiny_series("ct", 1)[0]
    assert associate(listening.port, sop_class=CTImageStorage).rejected_contexts
    # the request names another class or instance than the data set
    ds = tiny_series("odd", 1)[0]
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        assoc = associate(listening.port)
        assert store_raw(assoc, ds, **{keyword: CTImageStorage if "Class" in keyword else "1.2.3"}) == MISMATCH
        assoc.release()
    assert listening.images() == [] and listening.partial() == []
    assert listening.is_up()


@pytest.mark.parametrize("series", ["../../../../etc", "..", ""])
def test_identifiers_that_are_paths_are_refused(listening: Listening, series: str) -> None:
    ds = tiny_series("one", 1)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says that these are no UIDs
        ds.SeriesInstanceUID = series
        assert send(listening.port, ds) == CANNOT_UNDERSTAND
    assert listening.images() == [] and listening.partial() == []
    assert listening.is_up()


def test_bytes_that_are_no_data_set_are_refused(listening: Listening) -> None:
    assoc = associate(listening.port)
    for content in (b"", b"\0" * 3000, bytes(range(256)) * 20):
        assert store_raw(assoc, tiny_series("one", 1)[0], content) == CANNOT_UNDERSTAND
    assoc.release()
    assert listening.images() == [] and listening.is_up()


@pytest.mark.parametrize("listening", [{"limits.file_mb": 0.02}], indirect=True)
def test_an_image_that_is_too_large_is_refused_and_the_next_one_taken(listening: Listening) -> None:
    large, small = tiny_series("large", 1)[0], tiny_series("small", 1)[0]
    large.PixelData = bytes(30000)
    assoc = associate(listening.port)
    assert assoc.send_c_store(large).Status == OUT_OF_RESOURCES
    assert assoc.send_c_store(small).Status == SUCCESS
    # one that does not end is cut off
    large.PixelData = bytes(2_000_000)
    assert "Status" not in assoc.send_c_store(large)
    assert len(listening.images()) == 1
    until(lambda: listening.partial() == [], 60)
    assert "larger than limits.file_mb" in listening.text.getvalue() and listening.is_up()


@pytest.mark.parametrize("listening", [{"limits.queue_gb": 5e-6}], indirect=True)
def test_a_full_queue_is_out_of_resources(listening: Listening) -> None:
    first, second = tiny_series("one", 2)
    assert send(listening.port, first) == SUCCESS
    assert send(listening.port, second) == OUT_OF_RESOURCES
    assert "queue is full" in listening.text.getvalue() and len(listening.images()) == 1


def test_a_disk_that_takes_no_more_is_out_of_resources(tmp_path: Path) -> None:
    """A real write error in the middle of an image, from the limit that the system sets on the size of files."""
    program = (
        "import sys, time\nsys.path[:0] = sys.argv[2:]\nfrom pathlib import Path\n"
        "from tests.node.receiving import Listening\n"
        "found = Listening(Path(sys.argv[1]))\nprint(found.port, flush=True)\n"
        "sys.stdin.read()\nprint(found.text.getvalue(), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(ROOT), str(ROOT / "tests")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)),
    )
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        large, small = tiny_series("large", 1)[0], tiny_series("small", 1)[0]
        large.PixelData = bytes(50000)
        assoc = associate(port)
        assert assoc.send_c_store(large).Status == OUT_OF_RESOURCES
        assert assoc.send_c_store(small).Status == SUCCESS
        assoc.release()
        said, _ = process.communicate("", timeout=60)
    assert "cannot be written (File too large)" in said
    assert len(list((tmp_path / "spool").glob("incoming/*/source/*"))) == 1
    assert list((tmp_path / "spool" / "receiving").iterdir()) == []


def test_an_association_broken_off_half_way_leaves_whole_images_only(listening: Listening) -> None:
    whole, half = tiny_series("one", 2)
    assoc = associate(listening.port)
    assert assoc.send_c_store(whole).Status == SUCCESS
    begin_store(assoc, half)
    until(listening.partial, 60)
    assoc.abort()
    until(lambda: "association=aborted" in listening.text.getvalue(), 60)
    assert len(listening.images()) == 1 and listening.partial() == []
    assert listening.incoming.promote(0.0, 1000.0) == [], "the rest may still come"
    assert listening.is_up()


def test_a_connection_cut_half_way_leaves_whole_images_only(listening: Listening) -> None:
    assoc = associate(listening.port)
    begin_store(assoc, tiny_series("one", 1)[0])
    until(listening.partial, 60)
    assoc.dul.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assoc.dul.socket.socket.close()
    until(lambda: listening.partial() == [], 60)
    assert listening.images() == [] and listening.is_up()


COMMITMENT = {"listen.storage_commitment": True}


def test_storage_commitment_on_request(tmp_path: Path) -> None:
    port, reports = free_port(), []
    arrived = threading.Event()

    def report(event: Any) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        arrived.set()
        return 0x0000, None

    peers = [
        {"ae_title": "SCANNER", "address": "127.0.0.1", "port": port},
        {"ae_title": "DEAF", "address": "127.0.0.1"},
    ]
    changes = {**COMMITMENT, "peers": peers, "retry.first_seconds": 1.0}
    listening = Listening(tmp_path, **changes)
    held = tiny_series("one", 1)[0]
    assert send(listening.port, held) == SUCCESS
    listening.stop()  # commitment holds for what was received before a restart
    listening = Listening(tmp_path, **changes)
    assert request_commitment(listening.port, "DEAF", [held.SOPInstanceUID]) == 0x0110, "no port to report to"
    assert request_commitment(listening.port, "SCANNER", ["../x"]) == 0x0115
    assert request_commitment(listening.port, "SCANNER", [held.SOPInstanceUID, "1.2.3"]) == SUCCESS
    reporter = commitment.Reporter(listening.settings, listening.spool)
    assert reporter.step() and "not reported peer=SCANNER" in listening.text.getvalue(), "nobody listens for it yet"
    assert not reporter.step(), "it is tried again after a pause, not at once"
    scanner = AE(ae_title="SCANNER")
    scanner.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = scanner.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    assert server is not None
    try:
        until(reporter.step, 10)
        assert arrived.wait(10)
    finally:
        server.shutdown()
        listening.stop()
    [(kind, information)] = reports
    assert kind == 2
    assert [one.ReferencedSOPInstanceUID for one in information.ReferencedSOPSequence] == [held.SOPInstanceUID]
    assert [one.ReferencedSOPInstanceUID for one in information.FailedSOPSequence] == ["1.2.3"]
    assert "committed peer=SCANNER images=1 missing=1" in listening.text.getvalue()


def test_a_report_of_commitment_that_nobody_takes_is_given_up(tmp_path: Path) -> None:
    peers = [{"ae_title": "SCANNER", "address": "127.0.0.1", "port": free_port()}]
    listening = Listening(tmp_path, **COMMITMENT, peers=peers, **{"retry.give_up_hours": 0.0})
    try:
        assert request_commitment(listening.port, "SCANNER", ["1.2.3"]) == SUCCESS
        reporter = commitment.Reporter(listening.settings, listening.spool)
        assert reporter.step() and not reporter.step()
        assert list((listening.spool.root / "commitments").iterdir()) == []
        assert "given up" in listening.text.getvalue()
    finally:
        listening.stop()


def request_commitment(port: int, title: str, uids: list[str]) -> int:
    ds = Dataset()
    ds.TransactionUID = generate_uid()
    ds.ReferencedSOPSequence = Sequence()
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = MRImageStorage
        item.add_new("ReferencedSOPInstanceUID", "UI", uid)
        ds.ReferencedSOPSequence.append(item)
    ae = AE(ae_title=title)
    ae.add_requested_context(StorageCommitmentPushModel)
    assoc = ae.associate("127.0.0.1", port, ae_title="MRI_DENOISE")
    status, _ = assoc.send_n_action(ds, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    assoc.release()
    return int(status.Status)


def test_tls_and_nothing_else(tmp_path: Path, certificate: Certificate) -> None:
    chain, key = str(certificate.chain), str(certificate.key)
    files = {"certificate": chain, "key": key, "ca": chain}
    listening = Listening(tmp_path, **{"listen.tls": files})
    ds = tiny_series("one", 1)[0]
    try:
        # a peer that never starts the handshake holds up nobody
        with socket.create_connection(("127.0.0.1", listening.port)):
            context = ssl.create_default_context(cafile=chain)
            context.load_cert_chain(chain, key)
            ae = AE(ae_title="SCANNER")
            ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
            assoc = ae.associate("127.0.0.1", listening.port, ae_title="MRI_DENOISE", tls_args=(context, "127.0.0.1"))
            assert assoc.is_established and assoc.send_c_store(ds).Status == SUCCESS
            assoc.release()
        assert not associate(listening.port).is_established, "without TLS"
        anonymous = ssl.create_default_context(cafile=chain)
        assoc = ae.associate("127.0.0.1", listening.port, ae_title="MRI_DENOISE", tls_args=(anonymous, "127.0.0.1"))
        assert not assoc.is_established, "without a certificate"
    finally:
        listening.stop()
    with pytest.raises(InputError, match=r"nowhere.pem.*cannot be used"):
        Listening(tmp_path, **{"listen.tls": {"certificate": str(tmp_path / "nowhere.pem")}})


def test_a_port_that_is_taken_is_one_line(listening: Listening, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with pytest.raises(InputError, match="listen.port.*cannot be had"):
        Listening(tmp_path / "second", **{"listen.port": listening.port})


def store_raw(assoc: Any, ds: Dataset, content: bytes | None = None, **command: str) -> int | None:
    """C-STORE with a request that does not fit its data set, or with any bytes for a data set."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = command.get("SOPClassUID", ds.SOPClassUID)
    request.AffectedSOPInstanceUID = command.get("SOPInstanceUID", ds.SOPInstanceUID)
    request.DataSet = BytesIO(encode(ds, False, True) if content is None else content or b"\0")
    context = assoc.accepted_contexts[0].context_id
    assoc._reactor_checkpoint.clear()
    assoc.dimse.send_msg(request, context)
    _, answer = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    return None if answer is None else int(answer.Status)


def begin_store(assoc: Any, ds: Dataset) -> None:
    """The request and half of the data set, and no more."""
    request = C_STORE()
    request.MessageID, request.Priority = 2, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    request.DataSet = BytesIO(encode(ds, False, True))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    parts = list(message.encode_msg(assoc.accepted_contexts[0].context_id, 1000))
    for part in parts[: len(parts) // 2]:
        assoc.dul.send_pdu(part)


def test_a_queue_that_vanishes_is_out_of_resources(listening: Listening, tmp_path: Path) -> None:
    shutil.rmtree(listening.spool.root)
    assert send(listening.port, tiny_series("one", 1)[0]) == OUT_OF_RESOURCES
