"""Settings that name the wrong key, rules, and what the command refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from typer.testing import CliRunner

from mri_denoise.cli.main import app
from mri_denoise.errors import InputError
from mri_denoise.node import rules
from mri_denoise.node.peers import networks
from mri_denoise.node.section import Section
from mri_denoise.node.settings import NodeSettings, Rule, load
from mri_denoise.node.web import WebServer
from tests.node.servers import tiny_series

GOOD: dict[str, Any] = {"spool": "q", "destination": {"dicom": {"ae_title": "A", "host": "h"}}}


def test_defaults_are_safe() -> None:
    found = load(None, GOOD)
    assert found.listen.host == "127.0.0.1"
    assert found.destination.query and not found.listen.storage_commitment
    assert found.series.not_eligible == "keep" and found.listen.ae_title == "MRI_DENOISE"
    assert [uid.name for uid in found.listen.sop_classes()] == [
        "MR Image Storage", "Enhanced MR Image Storage", "Legacy Converted Enhanced MR Image Storage"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"spol": "x"}, "spol: no such key; there are spool"),
        ({"listen": 5}, "listen: must be a mapping"),
        ({"listen.port": "high"}, "listen.port: must be a whole number"),
        ({"listen.port": True}, "listen.port: must be a whole number"),
        ({"listen.port": 70000}, "listen.port: must be 0 to 65535"),
        ({"listen.ae_title": "MUCH TOO LONG A TITLE"}, "listen.ae_title: must be 1 to 16"),
        ({"listen.ae_title": "A\\B"}, "listen.ae_title: must be 1 to 16"),
        ({"listen.accept": ["MagicStorage"]}, "listen.accept: MagicStorage"),
        ({"listen.accept": "MRImageStorage"}, "listen.accept: must be a list"),
        ({"listen.host": "0.0.0.0"}, "peers: must say who may send"),
        ({"listen.tls": {"keys": "x"}}, "listen.tls.keys: no such key"),
        ({"peers": [{"ae_title": "A"}]}, r"peers\[0\].address: is missing"),
        ({"peers": [{"ae_title": "A", "address": "h", "port": 0}]}, r"peers\[0\].port: must be 1"),
        (
            {"peers": [{"ae_title": "A", "address": "10.0.0.0/8", "tls": {}}]},
            r"peers\[0\].address: must be one address",
        ),
        ({"destination": {}}, "destination.dicom, dicomweb: exactly one"),
        ({"destination.dicomweb": {"url": "https://x"}}, "destination.dicom, dicomweb: exactly one"),
        ({"series.not_eligible": "drop"}, "series.not_eligible: must be one of keep, forward"),
        ({"series.quiet_seconds": -1}, "series.quiet_seconds: must be 0 to"),
        ({"limits.file_mb": float("nan")}, "limits.file_mb: must be"),
        ({"rules": [{}, {"strength": 2}]}, r"rules\[1\].strength: must be 0 to 1"),
        ({"rules": [{"sigma": "loud"}]}, r"rules\[0\].sigma: must be auto"),
        ({"rules": [{"quality": "good"}]}, r"rules\[0\].quality: must be one of fast, balanced, best"),
        ({"rules": [{"model": "nonsense"}]}, r"rules\[0\].model: model nonsense"),
        ({"rules": [{"match": {"SeriesDescripton": "x"}}]}, r"rules\[0\].match.SeriesDescripton: no such DICOM"),
        ({"rules": [{"match": {"SeriesDescription": "("}}]}, r"rules\[0\].match.SeriesDescription: not a regular"),
        ({"rules": [{"match": {"SeriesDescription": 5}}]}, r"rules\[0\].match.SeriesDescription: must be text"),
        ({"device": "gpu"}, "device: must be auto, cpu, cuda or mps"),
        ({"rules": [{"skip": "yes"}]}, r"rules\[0\].skip: must be true or false"),
    ],
)
def test_an_error_names_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=f"^settings: {key}") as error:
        load(None, json.loads(json.dumps(GOOD)) | changes)
    assert "\n" not in str(error.value)


def test_the_page_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "node.md").read_text(encoding="utf-8")

    def keys(section: type[Section], before: str = "") -> Iterator[str]:
        for name, field in section.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                yield from keys(field.annotation, f"{before}{name}.")
            else:
                yield f"{before}{name}"

    assert [key for key in keys(NodeSettings) if f"`{key}`" not in page] == []
    assert [key for key in Rule.model_fields if f"`{key}`" not in page and f"`{key}: " not in page] == []


def test_a_file_and_options_that_replace_its_values(tmp_path: Path) -> None:
    path = tmp_path / "node.yml"
    path.write_text(yaml.safe_dump({**GOOD, "listen": {"port": 104, "ae_title": "FILE"}}))
    found = load(path, {"listen.port": 4000, "spool": tmp_path})
    assert (found.listen.port, found.listen.ae_title, found.spool) == (4000, "FILE", tmp_path)
    for content in ("a: [", "- 1", "\x00"):
        path.write_text(content)
        with pytest.raises(InputError, match="node.yml: (not YAML|must be a mapping)"):
            load(path)
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "none.yml")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="one of the devices is here")
def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mps.yml").write_text(yaml.safe_dump({**GOOD, "spool": str(tmp_path / "q"), "device": "mps"}))
    tiny_series("x", 1)[0].save_as(tmp_path / "mr.dcm")
    for arguments, words in (
        (["node"], "spool: is missing"),
        (["node", "--spool", str(tmp_path)], "destination: is missing"),
        (["node", "--spool", str(tmp_path), "--send-to", "ARCHIVE"], "--send-to ARCHIVE: must be AE@HOST:PORT"),
        (["node", "--spool", str(tmp_path / "x"), "--send-to", "A@b:104", "--status"], "no queue of a node"),
        (["node", "--spool", str(tmp_path / "x"), "--status"], "no queue of a node"),
        (["node", "--spool", str(tmp_path), "--send-to", "A@b:104", "--host", "0.0.0.0"], "peers: must say who"),
        (["node", "--spool", str(tmp_path), "--send-to", "A@b:104", "--peer", "SCANNER"], "peers[0].ae_title: must be"),
        (["node", "--spool", str(tmp_path), "--send-to", "A@b:104", "--port", "-1"], "listen.port: must be 0"),
        (["node", "--spool", str(tmp_path), "--send-to", "A@b:104", "--ae-title", "A\\B"], "listen.ae_title: must be"),
        (["node", "--spool", str(tmp_path), "--send-to", "https://u:p@x/dicom-web"], "must not hold access data"),
        (["node", str(tmp_path / "none.yml")], "cannot be read"),
        (["node", str(tmp_path / "mps.yml")], "device mps: not available"),
        (["dicomweb", "pull", "ftp://x", "out", "--study", "1.2"], "not the URL"),
        (["dicomweb", "push", "http://[::1", str(tmp_path / "mr.dcm")], "not the URL"),
        (
            ["dicomweb", "push", "http://x", str(tmp_path / "mr.dcm"), "--ca", "none.pem"],
            "no such file of certificates",
        ),
        (["dicomweb", "pull", "http://x", "out", "--series", "../.."], "not a UID"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2 and words in result.output and "Traceback" not in result.output, result.output


def test_the_first_rule_that_matches_holds() -> None:
    ds = tiny_series("x", 1, SeriesDescription="Ax T2 FLAIR", BodyPartExamined="BRAIN")[0]
    found = [
        Rule(match={"SeriesDescription": "^t2"}),
        Rule(match={"SeriesDescription": "t2", "BodyPartExamined": "knee"}),
        Rule(match={"SeriesDescription": "t2", "ImageType": r"ORIGINAL\\PRIMARY"}, strength=0.5),
        Rule(match={"ContrastBolusAgent": "^$"}, strength=0.7),
    ]
    assert rules.choose(found, ds) == (found[2], 2)
    assert rules.choose(found[3:], ds) == (found[3], 0), "an attribute that is missing is empty"
    assert rules.choose(found[:2], ds) == (Rule(), None)
    assert rules.choose([Rule(skip=True)], Dataset()) == (Rule(skip=True), 0)


def test_own_images_are_known_by_their_equipment(tmp_path: Path) -> None:
    ds = tiny_series("x", 1)[0]
    assert not rules.is_own(ds)
    item = Dataset()
    item.Manufacturer = "mri-denoise"
    ds.ContributingEquipmentSequence = Sequence([Dataset(), item])
    assert rules.is_own(ds)
    (tmp_path / "junk").write_bytes(b"no DICOM")
    assert not rules.is_own(rules.header(tmp_path / "junk"))


def test_addresses_of_peers() -> None:
    def of(address: str) -> list[str]:
        [peer] = load(None, {**GOOD, "peers": [{"ae_title": "A", "address": address}]}).peers
        return [str(network) for network in networks(peer)]

    assert of("10.1.2.3") == ["10.1.2.3/32"] and of("10.1.2.0/24") == ["10.1.2.0/24"]
    assert "127.0.0.1/32" in of("localhost")
    with pytest.raises(InputError, match=r"address no\.such\.host\.invalid of A cannot be resolved"):
        of("no.such.host.invalid")


def test_access_data_only_over_encrypted_or_local_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRI_DENOISE_DICOMWEB_TOKEN", "secret")
    WebServer("https://pacs.example.org/dicom-web")
    for local in ("localhost", "127.0.0.2", "[::1]"):
        WebServer(f"http://{local}:8042/dicom-web")
    with pytest.raises(InputError, match="unencrypted"):
        WebServer("http://pacs.example.org/dicom-web")
    for wrong in ("ftp://x", "pacs", "https://"):
        with pytest.raises(InputError, match="not the URL"):
            WebServer(wrong)
    with pytest.raises(InputError, match="no such file"):
        WebServer("https://x", Path("none.pem"))
