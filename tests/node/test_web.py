"""The DICOMweb client against servers that break the rules: one line, exit code 1, soon, and nothing half written."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from mri_denoise.cli.main import app
from mri_denoise.node.web import WebServer
from mri_denoise.node.web_limits import WebLimits
from tests.node.servers import Certificate, save_tiny, tiny_series

STUDY, SERIES = "1.2.3", "1.2.3.4"
DICOM_JSON = "application/dicom+json"
MULTIPART = 'multipart/related; type="application/dicom"; boundary="b"'
INSTANCE = str(tiny_series("web", 1)[0].SOPInstanceUID)
Answer = Callable[["Rude"], None]


class Rude(BaseHTTPRequestHandler):
    """Answers each kind of request as the test says.

    Attributes:
        answers: by ``search`` (series), ``instances``, ``fetch`` and ``store``.
        requests: the paths asked for so far.
        body: what was sent to be stored.
    """

    protocol_version = "HTTP/1.1"
    answers: dict[str, Answer]
    requests: list[str]
    body: bytes

    def do_GET(self) -> None:
        self.requests.append(self.path)
        last = urlsplit(self.path).path.rpartition("/")[2]
        self.answers[{"series": "search", "instances": "instances"}.get(last, "fetch")](self)

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answers["store"](self)

    def log_message(self, *_: Any) -> None:
        pass

    def query(self) -> dict[str, int]:
        return {key: int(value[0]) for key, value in parse_qs(urlsplit(self.path).query).items() if value[0].isdigit()}


@contextmanager
def rude_server(tls: ssl.SSLContext | None = None, /, **answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """The URL of a server, and the requests that it has had."""
    requests: list[str] = []
    usual = {"search": found(SERIES), "instances": answer(as_json([INSTANCE], "00080018"))}
    handler = type("Handler", (Rude,), {"answers": {**usual, **answers}, "requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that go away
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}/dicom-web", requests
        finally:
            server.shutdown()


def answer(content: bytes, kind: str | None = DICOM_JSON, code: int = 200) -> Answer:
    def give(handler: Rude) -> None:
        handler.send_response(code)
        if kind is not None:
            handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return give


def as_json(uids: list[str], tag: str = "0020000E") -> bytes:
    return json.dumps([{tag: {"vr": "UI", "Value": [uid]}} for uid in uids]).encode()


def found(*uids: str) -> Answer:
    return answer(as_json(list(uids)))


def multipart(*parts: bytes) -> bytes:
    head = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + part for part in parts) + b"\r\n--b--"


def encoded(ds: Dataset) -> bytes:
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def image(**attributes: object) -> bytes:
    [ds] = tiny_series("web", 1)
    ds.SeriesInstanceUID = SERIES
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return encoded(ds)


def command(*arguments: object, code: int) -> str:
    """What a subcommand says; held to its exit code and to messages without a traceback."""
    result = CliRunner().invoke(app, ["dicomweb", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code and "Traceback" not in result.output, result.output
    return result.output.strip()


def pull(url: str, output: Path, *options: object, code: int = 1) -> str:
    """What the command says, in one line."""
    said = command("pull", url, output, "--study", STUDY, *options, code=code)
    assert "\n" not in said and len(said) < 500, said
    return said


def test_what_the_server_does_not_have_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    with rude_server(search=found()) as (url, _):
        assert f"no such study on the server: {STUDY}" in pull(url, tmp_path / "out")
        assert f"no such series on the server: {SERIES}" in pull(url, tmp_path / "out", "--series", SERIES)


def test_a_server_that_ignores_the_offset_is_asked_twice(tmp_path: Path) -> None:
    give = answer(multipart(image()), MULTIPART)
    with rude_server(search=found(SERIES, "1.2.3.5"), fetch=give) as (url, requests):
        assert "2 images of 2 series" in pull(url, tmp_path, code=0)
        assert sum("/series?" in path for path in requests) == 2
        assert sum("/instances?" in path for path in requests) == 2 * 2
        assert WebServer(url).instances(STUDY, SERIES) == {INSTANCE}


def test_a_part_of_a_series_is_not_taken_for_all_of_it(tmp_path: Path) -> None:
    listed = answer(as_json([INSTANCE, "1.2.3.9"], "00080018"))
    with rude_server(instances=listed, fetch=answer(multipart(image()), MULTIPART)) as (url, _):
        assert "1 of the 2 images listed did not come; try again" in pull(url, tmp_path)
    assert [path.stem for path in tmp_path.rglob("*.dcm")] == [INSTANCE]


def test_pages_are_asked_for_until_there_are_no_more(tmp_path: Path) -> None:
    every = [f"1.2.3.{k}" for k in range(7)]

    def page(handler: Rude) -> None:
        offset = handler.query()["offset"]
        found(*every[offset : offset + 3])(handler)

    with rude_server(search=page) as (url, _):
        assert WebServer(url).series(STUDY) == every


@pytest.mark.parametrize(
    "give",
    [
        answer(b"<html>Welcome</html>", "text/html"),
        answer(b"\xff\xfe\x00", None),
        answer(b"5"),
        answer(b"[1, 2]"),
        answer(b"null"),
        answer(b"[" * 100000),
        answer(b'[{"0020000E": 5}]'),
        answer(b'[{"0020000E": {"Value": {"a": 1}}}]'),
        answer(b'{"error": "no"}'),
        answer(as_json(["../../up"])),
        answer(as_json(["9" * 500])),
        answer(b"", code=500),
        answer(b"", code=302),
        answer(b""),
    ],
)
def test_a_list_that_is_none_is_one_line(tmp_path: Path, give: Answer) -> None:
    with rude_server(search=give) as (url, _):
        assert pull(url, tmp_path / "out").startswith("mri-denoise: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "give",
    [
        answer(b"<html>Welcome</html>", "text/html"),
        answer(image(), None),
        answer(b"no boundary", "multipart/related"),
        answer(multipart(b"no DICOM"), MULTIPART),
        answer(multipart(b""), MULTIPART),
        answer(multipart(image()[:140]), MULTIPART),
        answer(b"\r\n--b\r\nno end of the head\r\n--b--", MULTIPART),
        answer(b"no DICOM", "application/dicom"),
        answer(multipart(image(SOPInstanceUID="not.a.uid")), MULTIPART),
        answer(
            multipart(image(PatientName="A" * 40).replace(b"A" * 40, b"\x1b\xff" * 20).replace(b"PN", b"\0\0")),
            MULTIPART,
        ),
        answer(b"", code=404),
    ],
)
def test_an_image_that_is_none_is_one_line(tmp_path: Path, give: Answer) -> None:
    with rude_server(fetch=give) as (url, _):
        assert pull(url, tmp_path / "out").startswith("mri-denoise: ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "give",
    [
        answer(b"<html>Thank you</html>", "text/html"),
        answer(b"{", DICOM_JSON),
        answer(b"[]", DICOM_JSON),
        answer(b"{}", DICOM_JSON),
        answer(b'{"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}', DICOM_JSON),
        answer(b'{"00081198": {"vr": "SQ", "Value": [5]}}', DICOM_JSON),
        answer(b"<broken", "application/dicom+xml"),
        answer(b"stored", None),
    ],
)
def test_an_answer_to_storing_that_is_none_is_one_line_a_file(tmp_path: Path, give: Answer) -> None:
    save_tiny(tmp_path, "in", slices=1)
    with rude_server(store=give) as (url, _):
        said = command("push", url, tmp_path / "in", code=1)
    failed, counts = said.splitlines()
    assert failed.startswith("failed ") and counts == "0 images stored, 1 refused."


def test_an_answer_to_storing_with_a_character_set_is_understood(tmp_path: Path) -> None:
    [path] = save_tiny(tmp_path, "in", slices=1)
    item = {"00081155": {"vr": "UI", "Value": [str(pydicom.dcmread(path).SOPInstanceUID)]}}
    body = json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode()
    with rude_server(store=answer(body, "application/dicom+json; charset=utf-8")) as (url, _):
        assert command("push", url, path, code=0) == "1 images stored, 0 refused."


def test_hidden_files_are_not_stored(tmp_path: Path) -> None:
    """A run that was killed leaves hidden folders of series that are not complete."""
    [path] = save_tiny(tmp_path, "in", slices=1)
    save_tiny(tmp_path / "in", ".partial", slices=2)
    with rude_server(store=answer(b"", None)) as (url, _):
        assert command("push", url, tmp_path / "in", code=0) == "1 images stored, 0 refused."
        assert command("push", url, tmp_path / "in" / ".partial", code=0) == "2 images stored, 0 refused."


def test_a_bare_data_set_is_stored_as_a_file(tmp_path: Path) -> None:
    """A server keeps what it gets, and could not give it back."""
    [ds] = tiny_series("web", 1)
    del ds.file_meta
    ds.save_as(tmp_path / "bare.dcm", implicit_vr=True, little_endian=True)
    sent: list[pydicom.Dataset] = []

    def store(handler: Rude) -> None:
        part = handler.body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
        sent.append(pydicom.dcmread(BytesIO(part)))
        answer(b"", None)(handler)

    with rude_server(store=store) as (url, _):
        assert command("push", url, tmp_path, code=0) == "1 images stored, 0 refused."
    meta = sent[0].file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (ds.SOPClassUID, ds.SOPInstanceUID)
    assert sent[0].PixelData == ds.PixelData


def test_links_are_followed_and_broken_ones_are_failures(tmp_path: Path) -> None:
    save_tiny(tmp_path, "elsewhere", slices=2)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(folder)
    with rude_server(store=answer(b"", None)) as (url, _):
        assert command("push", url, folder, code=0) == "2 images stored, 0 refused."
        (folder / "broken.dcm").symlink_to("nowhere")
        said = command("push", url, folder, code=1)
    assert "broken.dcm: cannot be read" in said and said.endswith("2 images stored, 1 refused.")


def test_a_server_that_is_not_there_is_said_in_the_systems_words(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/dicom-web"
        assert pull(url, tmp_path) == "mri-denoise: the server cannot be reached (Connection refused)"


def test_a_page_to_log_in_is_no_storage(tmp_path: Path) -> None:
    [path] = save_tiny(tmp_path, "in", slices=1)

    def redirect(handler: Rude) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/login")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    for page in (answer(b"<html>Log in</html>", "text/html"), answer(b"", "text/html")):
        with rude_server(store=redirect, fetch=page) as (url, _):
            assert "1 refused" in command("push", url, path, code=1)


def test_over_tls_as_well(tmp_path: Path, certificate: Certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    ca = ("--ca", certificate.chain)
    with rude_server(context, fetch=answer(multipart(image()), MULTIPART)) as (url, _):
        assert "1 images of 1 series" in pull(url, tmp_path, *ca, code=0)
        assert "cannot be reached" in pull(url, tmp_path / "unchecked")
    for rude in (dripping_head, endless(b" ", MULTIPART, 0.02)):
        with rude_server(context, fetch=rude) as (url, _):
            assert "took longer than" in pull(url, tmp_path / "slow", *ca, "--max-minutes", 0.01)


def endless(part: bytes, kind: str, pause: float = 0.0) -> Answer:
    """The same bytes again and again until the client has had enough."""

    def give(handler: Rude) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        handler.close_connection = True
        end = time.monotonic() + 60
        while time.monotonic() < end:
            handler.wfile.write(part)
            time.sleep(pause)

    return give


def dripping_head(handler: Rude) -> None:
    end = time.monotonic() + 60
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-")
    while time.monotonic() < end:
        handler.wfile.write(b"a")
        time.sleep(0.02)


def always_new(handler: Rude) -> None:
    found(*(f"1.2.3.{time.time_ns()}.{k}" for k in range(3)))(handler)


@pytest.mark.parametrize("kind", ["search", "fetch"])
@pytest.mark.parametrize("give", [endless(b" ", MULTIPART, 0.02), dripping_head], ids=["body", "head"])
def test_a_server_that_drips_is_given_up_after_a_time(tmp_path: Path, kind: str, give: Answer) -> None:
    started = time.monotonic()
    with rude_server(**{kind: give}) as (url, _):
        assert "took longer than 0.01 minutes" in pull(url, tmp_path, "--max-minutes", 0.01)
    assert time.monotonic() - started < 40


def test_a_server_that_always_has_more_is_given_up_after_a_time(tmp_path: Path) -> None:
    with rude_server(search=always_new) as (url, _):
        assert "took longer than" in pull(url, tmp_path, "--max-minutes", 0.01)


def test_an_answer_without_end_is_given_up_after_a_size(tmp_path: Path) -> None:
    whole = multipart(image())
    with rude_server(fetch=endless(whole, MULTIPART)) as (url, _):
        assert "sent more than 0.002 GB;" in pull(url, tmp_path, "--max-gb", 0.002)
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path.read_bytes(), "what was whole stays"
    limits = WebLimits(image_gb=0.003, list_gb=0.001)
    with rude_server(search=endless(b"[" * 10000, DICOM_JSON), fetch=endless(bytes(10000), MULTIPART)) as (url, _):
        with pytest.raises(ConnectionError, match=r"more than 0\.001 GB in one answer"):
            WebServer(url, limits=limits).series(STUDY)
        with pytest.raises(ConnectionError, match=r"more than 0\.003 GB in one answer"):
            list(WebServer(url, limits=limits).fetch(STUDY, SERIES))
