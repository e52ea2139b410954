"""Names of files: parsed, changed, written in the order that BIDS wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_denoise.bids.names import ENTITIES, BidsName, belongs_to, parse, same_label

labels = st.text("abcXYZ0189+", min_size=1, max_size=4)
names = st.builds(
    BidsName,
    entities=st.dictionaries(st.sampled_from(list(ENTITIES)), labels, max_size=6),
    suffix=st.sampled_from(["T1w", "bold", "dwi"]),
    extension=st.sampled_from([".nii", ".nii.gz", ".json", ".bval"]),
)


@given(name=names)
def test_a_name_is_read_as_it_is_written_with_its_entities_in_order(name: BidsName) -> None:
    assert parse(str(name)) == name
    places = [list(ENTITIES).index(word.partition("-")[0]) for word in name.stem.split("_")[:-1]]
    assert places == sorted(places)


@given(name=names, label=labels)
def test_an_entity_is_replaced_and_taken_away(name: BidsName, label: str) -> None:
    with_desc = name.with_entities(desc=label)
    assert str(with_desc).endswith(f"desc-{label}_{name.suffix}{name.extension}")
    assert with_desc.without("desc") == name.without("desc")


@pytest.mark.parametrize(
    "text", ["notes.txt.", "sub-01_sub-02_T1w.nii", "sub-0 1_T1w.nii", "sub-01_T1w", "a_b_c.nii", ""]
)
def test_other_names_are_none(text: str) -> None:
    assert parse(text) is None


def test_a_sidecar_higher_up_applies_if_it_has_no_entity_of_its_own() -> None:
    image = parse("sub-01_task-rest_run-1_bold.nii.gz")
    for name, applies in {"task-rest_bold.json": True, "bold.json": True, "task-other_bold.json": False}.items():
        assert belongs_to(parse(name), image) is applies
    assert not belongs_to(parse("sub-01_acq-x_bold.json"), image)


@pytest.mark.parametrize(("held", "wanted", "same"), [("01", "1", True), ("1", "2", False), ("a1", "a01", False)])
def test_numbers_are_compared_as_numbers(held: str, wanted: str, same: bool) -> None:
    assert same_label(held, wanted) is same
