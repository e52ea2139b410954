"""What the documents show exists: commands and their options, paths, links, Python names; marked snippets run."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml

from mri_denoise import __version__
from mri_denoise.bundles.registry import SHORT_NAMES
from mri_denoise.cli.main import app

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parent.parent for path in ROOT.glob("bundles/*/configs/metadata.json"))
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "data/README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *(bundle / "docs" / "README.md" for bundle in BUNDLES),
]
PLACES = ("mri_denoise", "bundles", "data", "docs", "pipelines", "tests")
FOREIGN = ("nipype",)  # what pipelines are for, and nothing of ours needs
PIPELINES = {path.stem: path.read_text(encoding="utf-8") for path in ROOT.glob("pipelines/*/mri_denoise_*.py")}
FENCE = re.compile(r"(?P<mark><!-- run -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
RUNS_FILES = ("--meta_file", "--ckpt_file")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def blocks(document: Path, *languages: str) -> list[tuple[str, bool]]:
    """Bodies of the fenced blocks in these languages, and whether they are marked to be run."""
    found = FENCE.finditer(document.read_text(encoding="utf-8"))
    return [(match["body"], bool(match["mark"])) for match in found if match["language"] in languages]


def commands(document: Path) -> Iterator[list[str]]:
    """Words of each command in the shell blocks; comments are left out, continued lines joined."""
    for body, _ in blocks(document, "bash", "sh", "shell", "console"):
        for line in body.replace("\\\n", " ").splitlines():
            yield from split_commands(line.removeprefix("$ "))


def split_commands(line: str) -> Iterator[list[str]]:
    """Words of each command of a line of the shell: pipes and lists are cut, and redirections left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if not set(word) <= set("|&;<>"):
            words.append(word)
        elif set(word) & set("<>"):
            next(lexer, None)  # the file
        else:
            yield from [words] if words else []
            words = []
    yield from [words] if words else []


def prose(document: Path) -> str:
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def code_spans(document: Path) -> list[str]:
    """What stands between backticks, also over the end of a line."""
    paragraphs = re.split(r"\n\s*\n", FENCE.sub("\n\n", document.read_text(encoding="utf-8")))
    return [" ".join(span.split()) for text in paragraphs for span in re.findall(r"`([^`]+)`", text)]


@cache
def main_command() -> typer.core.TyperGroup:
    return typer.main.get_command(app)  # type: ignore[return-value]


@cache
def keys_of(config: Path) -> frozenset[str]:
    """The keys of a bundle's config."""
    return frozenset(yaml.safe_load(config.read_text(encoding="utf-8")))


def leaf(words: list[str]) -> tuple[typer.core.TyperCommand | typer.core.TyperGroup, list[str]]:
    """The (sub)command that `mri-denoise` and these words name, and the words that are left."""
    command: typer.core.TyperCommand | typer.core.TyperGroup = main_command()
    rest = list(words)
    while rest and isinstance(command, typer.core.TyperGroup) and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"mri-denoise has no subcommand {rest[0]}"
        command = command.commands[rest.pop(0)]  # type: ignore[assignment]
    return command, rest


def options(command: typer.core.TyperCommand | typer.core.TyperGroup) -> set[str]:
    return {"--help"}.union(*([*p.opts, *p.secondary_opts] for p in command.params if p.param_type_name == "option"))


@cache
def all_options() -> set[str]:
    """Options of every subcommand, and of the bundles' verbs: keys of their configs."""
    group = main_command()
    found = options(group)
    for command in group.commands.values():
        for one in (command, *getattr(command, "commands", {}).values()):
            found |= options(one)
    for bundle in BUNDLES:
        for config in sorted(bundle.glob("configs/*.yaml")):
            found |= {f"--{key}" for key in keys_of(config)}
    return found


def ours(words: list[str]) -> list[str] | None:
    """What follows `mri-denoise` in a command that runs it, by itself or by another program (uvx, torchrun)."""
    for place, word in enumerate(words):
        rest = words[place + 1 :]
        if word == "mri-denoise" and (place == 0 or (rest and rest[0] in main_command().commands)):
            return rest
    return None


def parse(words: list[str], *, in_text: bool = False) -> None:
    """Let Click parse the words after `mri-denoise`, without running them; it raises what a user would be told.

    A placeholder in capitals (`DATASET`) stands for any value. What a command that is shortened by `...` requires need
    not be there, nor in the text what a command requires that is only named, as `mri-denoise denoise --quality best`.
    """
    command, rest = leaf(words)
    if isinstance(command, typer.core.TyperGroup) or "--help" in rest:
        assert {word for word in rest if word.startswith("-")} <= options(command), words
        return
    if in_text and not rest:
        return
    flags = {name for p in command.params if getattr(p, "is_flag", False) for name in (*p.opts, *p.secondary_opts)}
    shortened = "..." in rest
    if in_text and rest and rest[-1] in options(command) - flags:  # names an option, without a value
        rest, shortened = rest[:-1], True
    rest = [re.sub(r"(?<![^=])[A-Z][A-Z_]*(\.\.\.)?$", "1", word) for word in rest if word != "..."]
    context = command.context_class(command, info_name="mri-denoise")
    given, _, _ = command.make_parser(context).parse_args(list(rest))
    missing = [p for p in command.params if p.required and not given.get(p.name or "")]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    named = in_text and not any(given.get(p.name or "") for p in arguments)
    if shortened or (named and any(p.param_type_name == "argument" for p in missing)):
        rest += [word for p in missing for word in (*p.opts[: p.param_type_name == "option"], "1")]
    command.make_context("mri-denoise", rest)  # raises for a missing or unknown argument or option, or a wrong value


@each_document
def test_commands_of_mri_denoise_parse(document: Path) -> None:
    for words in commands(document):
        rest = ours(words)
        if rest is not None:
            parse(rest)


@each_document
def test_commands_and_options_in_the_text_parse(document: Path) -> None:
    for span in code_spans(document):
        if "mri-denoise " in span:
            for words in split_commands(span):
                rest = ours(words)
                if rest is not None:
                    parse(rest, in_text=True)
        elif span.startswith("--"):
            assert re.split("[ =]", span)[0] in all_options(), f"{span}: no such option"


@pytest.mark.parametrize(
    ("line", "in_text", "right"),
    [
        ("mri-denoise benchmark scans SCANS... --output folder", False, True),
        ("mri-denoise benchmark scans scan.nii.gz", False, False),
        ("mri-denoise benchmark scans scan.nii.gz", True, False),
        ("mri-denoise benchmark safety --quick", True, False),
        ("mri-denoise benchmark scans", False, False),
        ("mri-denoise benchmark scans", True, True),
        ("mri-denoise denoise --quality", True, True),
        ("mri-denoise denoise --quality best", True, True),
        ("mri-denoise denoise --quality better", True, False),
        ("mri-denoise denoise ... --quality best", False, True),
        ("mri-denoise denoise ... --quality better", False, False),
        ("mri-denoise denoise a.nii.gz b.nii.gz c.nii.gz", True, False),
        ("mri-denoise simulate VOLUME noisy.nii.gz --level LEVEL", True, True),
        ("mri-denoise simulate volume.nii.gz noisy.nii.gz --level high", True, False),
        ("uvx --from . mri-denoise demo --colour", False, False),
        ("ls folder | mri-denoise denoise --qualty best > log.txt && true", False, False),
        ("nipoppy process --pipeline mri-denoise --pipeline-version 0.1.0", False, True),
    ],
)
def test_a_command_that_would_be_refused_is_found(line: str, in_text: bool, right: bool) -> None:
    found = [rest for words in split_commands(line) if (rest := ours(words)) is not None]
    with nullcontext() if right else pytest.raises((typer.BadParameter.__base__, AssertionError)):
        for rest in found:
            parse(rest, in_text=in_text)


@each_document
def test_commands_of_monai_bundle_name_verbs_options_and_files_that_exist(document: Path) -> None:
    verbs = importlib.import_module("monai.bundle.scripts")
    own = document.parent.parent
    folders = [own] if own in BUNDLES else [ROOT / "bundles" / name for name in SHORT_NAMES.values()]
    for words in commands(document):
        if "monai.bundle" not in words:
            continue
        verb, *rest = words[words.index("monai.bundle") + 1 :]
        given = dict(zip(rest, rest[1:], strict=False))
        configs = ast.literal_eval(given["--config_file"]) if "[" in given.get("--config_file", "") else None
        configs = configs or [value for key, value in given.items() if key == "--config_file"]
        files = [*configs, *(value for key, value in given.items() if key in RUNS_FILES)]
        files += [given["--filepath"]] if verb == "verify_metadata" else []
        for folder in folders:
            for name in files:
                assert (folder / name).is_file(), f"{folder / name}: named by a command, but not there"
            known = set(inspect.signature(getattr(verbs, verb)).parameters)
            known.update(*(keys_of(folder / name) for name in configs))
            unknown = {word[2:] for word in rest if word.startswith("--")} - known
            assert not unknown, f"monai.bundle {verb}: no such option or key"


@each_document
def test_paths_into_the_repository_exist(document: Path) -> None:
    words = [word for command in commands(document) for word in command]
    starts = [ROOT, ROOT / "mri_denoise", document.parent, *BUNDLES]
    top = {path.name for start in (ROOT, ROOT / "mri_denoise", *BUNDLES) for path in start.iterdir() if path.is_dir()}
    everything = [*ROOT.iterdir(), *(path for place in PLACES for path in (ROOT / place).rglob("*"))]
    names = {path.name for path in everything}
    for word in [*code_spans(document), *words]:
        if re.fullmatch(r"[\w.*/-]+", word) and word.partition("/")[0] in top and "/" in word:
            assert any(next(start.glob(word.rstrip("/")), None) for start in starts), f"{word}: no such path"
        elif re.fullmatch(r"[\w-]+\.(py|yaml|cff|toml)", word):
            assert word in names, f"{word}: no such file"


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        assert file.is_relative_to(ROOT) and file.exists(), f"{target}: leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{target}: no such heading"


@each_document
def test_python_snippets_compile_and_import_what_exists(document: Path) -> None:
    for body, _ in blocks(document, "python"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)
            elif isinstance(node, ast.ImportFrom) and node.module in PIPELINES:
                names = {found.name for found in ast.parse(PIPELINES[node.module]).body if hasattr(found, "name")}
                assert {alias.name for alias in node.names} <= names
            elif isinstance(node, ast.ImportFrom) and node.module and node.module not in FOREIGN:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"from {node.module} import {alias.name}"


@each_document
def test_json_and_yaml_blocks_are_valid(document: Path) -> None:
    for body, _ in blocks(document, "json"):
        json.loads(body)
    for body, _ in blocks(document, "yaml"):
        yaml.safe_load(body)


def marked_snippets() -> list[tuple[str, str]]:
    found = []
    for document in filter(Path.is_file, DOCUMENTS):
        for index, (body, marked) in enumerate(blocks(document, "python")):
            if marked:
                found.append((f"{document.name}:{index}", body))
    return found


@pytest.mark.parametrize(("name", "body"), marked_snippets(), ids=lambda value: value if ":" in value[:40] else "")
def test_marked_python_snippets_run(
    name: str, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mri_denoise.io import discover
    from mri_denoise.simulation import write_phantom_nifti
    from mri_denoise.simulation.noisy_copies import NoiseParameters, simulate_case
    from tests.phantoms import head

    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth").mkdir()
    clean = write_phantom_nifti(tmp_path / "truth" / "noisy.nii.gz", head((40, 48, 12)), (4.0, 4.0, 12.0))
    simulate_case(discover(clean)[0][0], tmp_path, NoiseParameters(level=5.0))
    exec(compile(body, name, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


def test_no_document_names_a_machine() -> None:
    texts = [*DOCUMENTS, ROOT / "CITATION.cff", *(bundle / "docs" / "data_license.txt" for bundle in BUNDLES)]
    for document in texts:
        assert not re.search(r"(?<![\w.])/(work|root|home|tmp|mnt)/", document.read_text(encoding="utf-8")), document


def test_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == __version__ and citation["license"] == "Apache-2.0"
    assert [author["family-names"] for author in citation["references"][0]["authors"]] == ["Umair", "Hamid"]


def subject_of(path: str) -> str:
    """The folder of a subject in a data set; ranges are written as `sub-01 to sub-06`."""
    subject = next(part for part in path.split("/") if re.match(r"sub-|patient", part))
    return "sub-01 to sub-06" if re.fullmatch("sub-0[1-6]", subject) else subject


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_data_license_covers_every_file_that_the_weights_saw(bundle: Path) -> None:
    text = (bundle / "docs" / "data_license.txt").read_text(encoding="utf-8")
    lists = json.loads((ROOT / "data" / "datalist.json").read_text(encoding="utf-8"))
    seen = {entry["image"] for split in ("training", "validation") for entry in lists[split]}
    listed = set()
    for manifest in sorted((ROOT / "data").glob("*.yaml")):
        content = yaml.safe_load(manifest.read_text(encoding="utf-8"))
        for file in content["files"]:
            if file["local"] in seen:
                listed.add(file["local"])
                assert file.get("source", content["homepage"]) in text, file["local"]
                assert re.sub("-1.0$", "", file["licence"]) in text, file["local"]
                assert (file["local"] if "source" in file else subject_of(file["path"])) in text, file["local"]
    assert listed == seen
