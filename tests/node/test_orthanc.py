"""The node as a process, between real servers: Orthanc with DICOMweb, dcmtk; killed, restarted, and by the recipe."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from mri_denoise.cli.main import app
from mri_denoise.node.destinations import QueryError, SendError, make, read_image
from mri_denoise.node.settings import load
from tests.commands import cli
from tests.io.dicom.frames_phantom import enhanced, frames
from tests.io.dicom.phantom import Phantom
from tests.node.servers import (
    ROOT,
    Certificate,
    Node,
    Orthanc,
    StoreScp,
    free_port,
    running,
    save_tiny,
    storescu,
    tiny_series,
    until,
)
from tests.programs import need, outside_path
from tests.threads import pytorch_threads

DOCUMENT = ROOT / "docs" / "node.md"
RULES = [
    {"match": {"SeriesDescription": "scout"}, "skip": True},
    {"match": {"BodyPartExamined": "^brain$"}, "strength": 0.5},
]


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(content))


def dicom(server: Orthanc) -> dict[str, Any]:
    return {"dicom": {"ae_title": server.title, "host": "127.0.0.1", "port": server.port}}


def derived(node: Node, series: str = "*") -> dict[str, Dataset]:
    """What the node made, of one series or of all, by SOP Instance UID."""
    found = [pydicom.dcmread(path) for path in node.spool.glob(f"done/{series}/derived/**/*.dcm")]
    return {str(ds.SOPInstanceUID): ds for ds in found}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    server = Orthanc(tmp_path_factory.mktemp("orthanc") / "archive", "ARCHIVE", {})
    with running(server):
        yield server


def test_dicomweb_pull_and_push(tmp_path: Path, archive: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save_tiny(tmp_path / "in", "web")
    images = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, paths)}
    first = next(iter(images.values()))
    study, series = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
    url = f"{archive.url}/dicom-web"

    def web(*arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["dicomweb", *map(str, arguments)])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.output

    assert "no such series" in web("pull", url, tmp_path / "none", "--series", series, code=1)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    assert "4 images stored, 0 refused" in web("push", url, tmp_path / "in")
    again = json.loads(web("push", url, tmp_path / "in", "--json"))
    assert again == {"images": 4, "refused": []}, "once more is harmless"
    assert "4 images of 1 series" in web("pull", url, tmp_path / "one", "--series", series)
    fetched = [pydicom.dcmread(path) for path in (tmp_path / "one").rglob("*.dcm")]
    assert {str(ds.SOPInstanceUID): ds for ds in fetched} == images
    assert "0 images of 1 series" in web("pull", url, tmp_path / "one", "--series", series), "what is there stays"
    assert json.loads(web("pull", url, tmp_path / "all", "--study", study, "--json")) == {"images": 4, "series": 1}
    assert (tmp_path / "all" / series).is_dir()
    web("pull", url, tmp_path / "x", code=2)
    assert "not a UID" in web("pull", url, tmp_path / "x", "--series", "../..", code=2)
    assert "cannot be reached" in web("push", f"http://127.0.0.1:{free_port()}", tmp_path / "in", code=1)
    assert "answers 404" in web("pull", f"{archive.url}/nowhere", tmp_path / "x", "--series", series, code=1)
    monkeypatch.setenv("MRI_DENOISE_DICOMWEB_TOKEN", "secret")
    assert "unencrypted" in web("push", "http://pacs.example.org", tmp_path / "in", code=2)


def test_access_data_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny(tmp_path / "in", "closed")
    closed = {"AuthenticationEnabled": True, "RegisteredUsers": {"reader": "word"}}
    server = Orthanc(tmp_path / "closed", "CLOSED", {}, **closed)
    push = ["dicomweb", "push", f"{server.url}/dicom-web", str(tmp_path / "in")]
    with running(server):
        refused = CliRunner().invoke(app, push)
        assert refused.exit_code == 1 and "401" in refused.output and "MRI_DENOISE_DICOMWEB_USER" in refused.output
        monkeypatch.setenv("MRI_DENOISE_DICOMWEB_USER", "reader")
        monkeypatch.setenv("MRI_DENOISE_DICOMWEB_PASSWORD", "word")
        assert CliRunner().invoke(app, push).exit_code == 0


@dataclass
class Router:
    """A node that tests share, since it takes seconds before it can denoise, and the archive that it sends to.

    Attributes:
        node: forwards what it does not denoise, which scouts are never.
        archive: of the test that runs; it is not there before the test starts it.
    """

    node: Node
    port: int
    archive: StoreScp | Orthanc | None = None

    def start_archive(self, folder: Path) -> StoreScp:
        self.archive = StoreScp(folder, self.port)
        return self.archive

    def start_orthanc(self, folder: Path) -> Orthanc:
        self.archive = Orthanc(folder, "ARCHIVE", {}, self.port)
        return self.archive

    def is_in(self, state: str, *names: str) -> bool:
        """Whether the series of these names are in a state."""
        return {tiny_series(name, 1)[0].SeriesInstanceUID for name in names} <= set(self.node.state(state))


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    port = free_port()
    node = Node(
        tmp_path_factory.mktemp("router") / "node",
        {"dicom": {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port}},
        series={"not_eligible": "forward"},
        rules=RULES,
        limits={"denoise_minutes": 5},
    )
    with running(node.start()):
        yield Router(node, port)
        assert node.stop() == 0
    assert "Traceback" not in node.said()
    again = CliRunner().invoke(app, ["node", str(node.file), "--status"])
    assert again.stdout.startswith("not running: 0 incoming")


@pytest.fixture
def router(shared_node: Router) -> Iterator[Router]:
    try:
        yield shared_node
    finally:
        if shared_node.archive is not None:
            shared_node.archive.stop()
            shared_node.archive = None


def test_a_series_in_and_the_derived_one_out_by_both_ways(router: Router, tmp_path: Path) -> None:
    paths = save_tiny(tmp_path / "in", "original")
    series = pydicom.dcmread(paths[0]).SeriesInstanceUID
    node, archive = router.node, router.start_orthanc(tmp_path / "archive")
    archive.upload(paths)
    web = Node(tmp_path / "web", {"dicomweb": {"url": f"{archive.url}/dicom-web"}}, rules=RULES)
    with running(web.start()):  # both at once, since each is ready to denoise only after seconds
        assert storescu(node.port, tmp_path / "in" / "original").returncode == 0
        until(lambda: router.is_in("done", "original"), 120)
        made = derived(node, series)
        assert len(made) == 4
        stored = {uid: read(content) for uid, content in archive.images().items()}
        assert {uid for uid in stored if uid in made} == set(made)
        for uid, ds in made.items():
            assert stored[uid] == ds
        [study] = archive.find("Study", StudyInstanceUID=str(next(iter(made.values())).StudyInstanceUID))
        assert len(archive.get(f"/studies/{study}")["Series"]) == 2
        # by STOW-RS from a second queue: the archive keeps one copy of each
        count = len(archive.images())
        assert storescu(web.port, tmp_path / "in" / "original").returncode == 0
        web.wait_done(1)
        assert set(derived(web)) == set(made) and len(archive.images()) == count
        assert web.stop() == 0
    # the command line gives the same pixels and identifiers (with as many threads: their number moves the last bits)
    with pytorch_threads(1):
        cli("denoise", tmp_path / "in" / "original", tmp_path / "out", "--strength", 0.5)
    by_command = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("IM*")]
    assert len(by_command) == 4
    for ds in by_command:
        np.testing.assert_array_equal(ds.pixel_array, made[str(ds.SOPInstanceUID)].pixel_array)
        assert ds.SeriesInstanceUID == made[str(ds.SOPInstanceUID)].SeriesInstanceUID


def test_a_crash_of_the_denoising_process_costs_one_series(router: Router, tmp_path: Path) -> None:
    node, server = router.node, router.start_archive(tmp_path / "archive")
    save_tiny(tmp_path / "in", "victim")
    save_tiny(tmp_path / "in", "other")

    def children() -> list[int]:
        assert node.process is not None
        lists = Path(f"/proc/{node.process.pid}/task").glob("*/children")
        return [int(child) for one in lists for child in one.read_text().split()]

    storescu(node.port, tmp_path / "in" / "victim")
    for word in ("crashed", "failed"):
        [child] = until(lambda: children() if router.is_in("working", "victim") else [], 60)
        os.kill(child, 9)
        until(lambda: f" {word} series" in node.said(), 60)  # noqa: B023
    assert router.is_in("failed", "victim")
    storescu(node.port, tmp_path / "in" / "other")
    until(lambda: router.is_in("done", "other"), 120)
    # the one that failed is done when it is sent again
    storescu(node.port, tmp_path / "in" / "victim")
    until(lambda: router.is_in("done", "victim"), 120)
    assert len(server.files()) == 8 and not router.is_in("failed", "victim")


def test_a_mixed_folder_and_a_destination_that_comes_late(router: Router, tmp_path: Path) -> None:
    node = router.node
    save_tiny(tmp_path / "in", "good")
    save_tiny(tmp_path / "in", "phase", ImageType=["ORIGINAL", "PRIMARY", "P"])
    save_tiny(tmp_path / "in", "scout", SeriesDescription="a scout")
    broken = save_tiny(tmp_path / "in", "broken")
    for path in broken[:1]:
        ds = pydicom.dcmread(path)
        ds.PixelData = ds.PixelData[:100]
        ds.save_as(path)
    assert storescu(node.port, tmp_path / "in").returncode == 0
    sent = ("good", "phase", "scout")
    until(lambda: router.is_in("outgoing", *sent) and router.is_in("failed", "broken"), 120, "denoised")
    until(lambda: "not sent" in node.said(), 60)
    status = CliRunner().invoke(app, ["node", str(node.file), "--status", "--json"])
    found = json.loads(status.stdout)
    assert found["running"] and found["series"]["outgoing"] == 3
    assert "truncated" in found["failed"][0]["reasons"][0]
    server = router.start_archive(tmp_path / "late")
    until(lambda: router.is_in("done", *sent), 60)
    until(lambda: len(server.files()) == 12, 60)
    images = [pydicom.dcmread(path, force=True) for path in server.files()]
    kinds = Counter((str(ds.SeriesDescription), ds.ImageType[0]) for ds in images)
    assert kinds == {
        ("t2_tse_cor (denoised)", "DERIVED"): 4,
        ("t2_tse_cor", "ORIGINAL"): 4,
        ("a scout", "ORIGINAL"): 4,
    }
    again = CliRunner().invoke(app, ["node", str(node.file), "--status"])
    assert again.stdout.startswith("running: 0 incoming") and "failed 1.2.826" in again.stdout


def test_an_instance_that_is_denoised_in_part_is_sent_once(router: Router, tmp_path: Path) -> None:
    plan = [*frames(2), *frames(2, kind=("T2", "FIELD_MAP"), component="REAL"), *frames(2, component="PHASE")]
    enhanced(plan, Phantom(slices=2, rows=32, columns=32, uid="part")).save_as(tmp_path / "in.dcm")
    server = router.start_archive(tmp_path / "archive")
    assert storescu(router.node.port, tmp_path / "in.dcm").returncode == 0
    until(lambda: router.is_in("done", "part"), 120)
    [stored] = [pydicom.dcmread(path, force=True) for path in server.files()]
    assert stored.ImageType[0] == "MIXED" and stored.NumberOfFrames == 6


def test_own_images_are_not_denoised_again(router: Router, tmp_path: Path) -> None:
    node, server = router.node, router.start_archive(tmp_path / "archive")
    [path, *_] = save_tiny(tmp_path / "in", "one")
    storescu(node.port, tmp_path / "in")
    until(lambda: router.is_in("done", "one"), 120)
    series = pydicom.dcmread(path).SeriesInstanceUID
    before = len(node.state("done"))
    storescu(node.port, *node.spool.glob(f"done/{series}/derived/*/"))
    until(lambda: len(node.state("done")) == before + 1, 120)
    assert len(server.files()) == 4
    until(lambda: "made by mri-denoise, not denoised again" in node.said(), 60)


def test_destinations_say_what_they_hold_or_that_they_do_not(tmp_path: Path, archive: Orthanc) -> None:
    images = [read_image(path) for path in save_tiny(tmp_path / "in", "held")]
    uids = {image.instance for image in images}
    study, series = images[0].study, images[0].series

    def target(to: dict[str, Any]) -> Any:
        return make(load(None, {"spool": "x", "destination": to, "limits.timeout_seconds": 5}))

    known = Orthanc(tmp_path / "known", "KNOWN", {"node": ("MRI_DENOISE", 11112)})
    plain = StoreScp(tmp_path / "plain")
    with running(known, plain):
        for to in (dicom(known), {"dicomweb": {"url": f"{known.url}/dicom-web"}}):
            taken: list[tuple[str, str]] = []
            assert target(to).held(study, "1.2.3") == set()
            assert target(to).send(images, lambda *one: taken.append(one)) == []  # noqa: B023
            assert taken == [(image.instance, "0000") for image in images]
            assert target(to).held(study, series) == uids
        with pytest.raises(QueryError, match="among those that may query"):
            target(dicom(archive)).held(study, series)
        with pytest.raises(QueryError, match="no C-FIND"):
            target(plain.destination).held(study, series)
        assert target(plain.destination).send(images, lambda *one: None) == []
    for to in (plain.destination, {"dicomweb": {"url": f"{known.url}/dicom-web"}}):
        for call in (lambda to=to: target(to).held(study, series), lambda to=to: target(to).send(images, print)):
            with pytest.raises(SendError, match="cannot be reached"):
                call()


def carry(
    tmp_path: Path,
    count: int,
    kills: list[Callable[[Node], Any]],
    *,
    quiet: float = 15.0,
    certificate: Certificate | None = None,
) -> None:
    """Series from one Orthanc through the node to another, the node killed whenever a condition has come true.

    Args:
        tmp_path: for everything.
        count: of the series.
        kills: the conditions, one after the other.
        quiet: seconds after a broken association after which a series counts as complete.
        certificate: of all three, which then speak TLS alone.
    """
    secure, files = {}, {}
    if certificate is not None:
        chain, key = str(certificate.chain), str(certificate.key)
        files = {"tls": {"certificate": chain, "key": key, "ca": chain}}
        secure = {"DicomTlsEnabled": True, "DicomTlsCertificate": chain, "DicomTlsPrivateKey": key}
        secure["DicomTlsTrustedCertificates"] = chain
    # which lets the node query
    archive = Orthanc(tmp_path / "archive", "ARCHIVE", {"node": ("MRI_DENOISE", 11112)}, **secure)
    to = {"dicom": {**dicom(archive)["dicom"], **files}}
    # long enough for the other Orthanc to send the rest of a series again, so that none is denoised in two parts
    node = Node(tmp_path / "node", to, series={"quiet_after_abort_seconds": quiet}, listen=files)
    peer = {"AET": "MRI_DENOISE", "Host": "127.0.0.1", "Port": node.port, "UseDicomTls": bool(secure)}
    source = Orthanc(tmp_path / "source", "SOURCE", {}, **{**secure, "DicomModalities": {"node": peer}})
    chance = random.Random(count)
    with running(archive, source, node):
        for number in range(count):
            source.upload(save_tiny(tmp_path / "in", f"series {number}"))
        node.start()
        jobs = [
            source.post("/modalities/node/store", {"Resources": [one], "Synchronous": False})["ID"]
            for one in source.get("/series")
        ]
        assert len(jobs) == count
        for condition in kills:
            until(lambda: (resubmit(source, jobs), condition(node))[1], 300, "the next kill")  # noqa: B023
            time.sleep(chance.random() / 10)
            node.kill()
            node.start()
        until(lambda: resubmit(source, jobs) == 0, 300, "all sent to the node")
        node.wait_done(count, 600)
        time.sleep(1.0)
        made = derived(node)
        assert len(made) == 4 * count and len({ds.SeriesInstanceUID for ds in made.values()}) == count
        assert Counter(archive.arrivals()) == dict.fromkeys(made, 1), "each derived image exactly once"
        stored = {uid: read(content) for uid, content in archive.images().items()}
        assert stored == made
        assert node.state("incoming") == node.state("ready") == node.state("working") == node.state("outgoing") == []


def resubmit(source: Orthanc, jobs: list[str]) -> int:
    """Send again what could not be sent; how many jobs are not through."""
    states = {job: source.get(f"/jobs/{job}")["State"] for job in jobs}
    for job, state in states.items():
        if state == "Failure":
            source.post(f"/jobs/{job}/resubmit", {})
    return sum(state != "Success" for state in states.values())


def received(node: Node) -> int:
    """Images that the node has taken, in any state."""
    return len(list(node.spool.glob("*/*/source/*.dcm")))


def acknowledged(node: Node) -> int:
    """Images that the destination has taken, of series still being sent or done."""
    return sum(path.read_text().count("sent ") for path in node.spool.glob("*/*/sent.log"))


def test_killed_while_receiving_and_while_sending_every_image_arrives_once(tmp_path: Path) -> None:
    carry(tmp_path, 3, [lambda node: received(node) >= 2, lambda node: acknowledged(node) >= 2])


@pytest.mark.slow
def test_twenty_series_at_once_a_full_disk_tls_and_five_kills(tmp_path: Path, certificate: Certificate) -> None:
    spool = tmp_path / "node" / "spool"
    spool.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "none", spool], check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    filler = spool / "filler"

    def filled(node: Node) -> bool:
        """Fill the disk; whether the node has met that."""
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        return "No space left" in node.said()

    def emptied(node: Node) -> bool:
        """Make room again; whether the node goes on."""
        filler.unlink(missing_ok=True)
        return acknowledged(node) >= 3

    kills = [
        lambda node: received(node) >= 20,
        filled,
        emptied,
        lambda node: acknowledged(node) >= 21,
        lambda node: acknowledged(node) >= 50,
    ]
    try:
        carry(
            tmp_path, 20, kills, quiet=600.0, certificate=certificate
        )  # while the disk is full, nothing can be sent again
    finally:
        subprocess.run(["umount", spool], check=True)


def recipe(language: str) -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split("## Recipe: router beside Orthanc\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_the_recipe_of_the_document(tmp_path: Path) -> None:
    for program in ("Orthanc", "echoscu", "storescu", "curl"):
        need(program)
    places = {
        "4242": str(free_port()),
        "8042": str(free_port()),
        "11112": str(free_port()),
        "/etc/mri-denoise": f"{tmp_path}/node",
        "/etc/orthanc": f"{tmp_path}/orthanc",
        "/var/lib/mri-denoise": f"{tmp_path}/spool",
        "/var/lib/orthanc/db": f"{tmp_path}/db",
    }

    def here(text: str) -> str:
        """The recipe at this test's ports and folders."""
        return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)

    [settings], [orthanc], [lua] = recipe("yaml"), recipe("json"), recipe("lua")
    starts, first, later = recipe("bash")
    assert '"StableAge": 30' in orthanc
    for folder in ("node", "orthanc", "bin"):
        (tmp_path / folder).mkdir()
    # as documented, but for the waiting
    (tmp_path / "node" / "node.yml").write_text(here(settings) + "series: {quiet_seconds: 1}\n")
    (tmp_path / "orthanc" / "orthanc.json").write_text(here(orthanc).replace('"StableAge": 30', '"StableAge": 1'))
    (tmp_path / "orthanc" / "denoise.lua").write_text(here(lua))
    command = tmp_path / "bin" / "mri-denoise"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m mri_denoise.cli.main "$@"\n')
    command.chmod(0o755)
    save_tiny(tmp_path / "study", "brain")
    save_tiny(tmp_path / "study", "scout", SeriesDescription="scout")
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{outside_path()}"}

    def run(line: str) -> str:
        done = subprocess.run(
            shlex.split(here(line)), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    started = []
    try:
        for line in starts.splitlines():
            with (tmp_path / "log").open("ab") as log:
                started.append(subprocess.Popen(shlex.split(here(line)), env=environment, stdout=log, stderr=log))
        echo, send, status = first.splitlines()
        until(lambda: "listening ae_title" in (tmp_path / "log").read_text(), 120)
        run(echo)
        run(send)
        assert run(status).startswith("running: ")
        expand, as_json = later.splitlines()

        def in_orthanc(description: str) -> list[Any]:
            return [s for s in json.loads(run(expand)) if s["MainDicomTags"]["SeriesDescription"] == description]

        until(lambda: in_orthanc("t2_tse_cor (denoised)"), 120, "the derived series", every=0.2)
        until(lambda: len(list(tmp_path.glob("spool/done/*"))) == 2, 60)
        status_now = json.loads(run(as_json))
        assert status_now["series"]["done"] == 2 and status_now["failed"] == []
        [back] = in_orthanc("t2_tse_cor (denoised)")
        [original] = in_orthanc("t2_tse_cor")
        assert back["ParentStudy"] == original["ParentStudy"] and len(back["Instances"]) == 4
        until(lambda: all(s["IsStable"] for s in json.loads(run(expand))), 60, "a stable derived series", every=0.2)
        time.sleep(1)  # time to send it to the node: nothing goes round in circles
        assert len(json.loads(run(expand))) == 3
        assert len(json.loads(run("curl -s http://127.0.0.1:8042/jobs"))) == 2
        assert "rule" in (next(tmp_path.glob("spool/done/*/job.json"))).read_text()
    finally:
        for process in started:
            process.kill()
            process.wait(60)
