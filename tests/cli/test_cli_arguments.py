from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.cli.arguments import keys_of, read_args, spellings, split_args
from mltool.core.errors import ConfigError


def test_a_token_is_an_override_if_it_starts_with_a_key() -> None:
    tokens = ["digits@3", "scheme=bf16", "model.args.hidden=64", "./a=b.pt", "input=-", "=x", "3=4"]
    assert split_args(tokens) == (
        ["digits@3", "./a=b.pt", "=x", "3=4"],
        ["scheme=bf16", "model.args.hidden=64", "input=-"],
    )


@given(st.lists(st.text()))
def test_no_token_is_lost_and_the_order_is_kept(tokens: list[str]) -> None:
    positionals, overrides = split_args(tokens)
    assert sorted(positionals + overrides) == sorted(tokens)
    assert [token for token in tokens if token in positionals] == positionals
    assert all("=" in override for override in overrides)


def test_a_key_without_a_value_says_how_to_write_it() -> None:
    with pytest.raises(ConfigError, match="`epochs`") as caught:
        read_args(["epochs"], verb="train")
    assert caught.value.hint == "write `epochs=VALUE`"


def test_a_second_reference_is_named_as_one_too_many() -> None:
    with pytest.raises(ConfigError, match="`second` is one too many"):
        read_args(["first", "second", "split=test"], "[REF]", verb="evaluate")


def test_a_key_after_a_reference_is_recognised_without_its_value() -> None:
    with pytest.raises(ConfigError) as caught:
        read_args(["digits", "split"], "[REF]", verb="evaluate")
    assert caught.value.hint == "write `split=VALUE`"


def test_a_missing_positional_is_named() -> None:
    with pytest.raises(ConfigError, match="`B` is missing"):
        read_args(["one"], "A", "B")


def test_an_optional_positional_may_be_left_out() -> None:
    assert read_args(None, "[REF]", verb="evaluate") == ([], [])


def test_a_command_without_keys_refuses_an_override() -> None:
    with pytest.raises(ConfigError, match="`name=x` is a key"):
        read_args(["digits", "name=x"], "REF")


def test_keys_are_known_with_and_without_the_section_of_their_verb() -> None:
    assert spellings("train")["lr"] == spellings("train")["train.lr"]
    assert "source" not in spellings("train")
    assert "data.source" in spellings("train")
    assert "source" in spellings("data add")
    assert "split" in spellings("evaluate")


def test_a_command_without_a_config_has_no_keys() -> None:
    assert keys_of("models list") == ()


def test_a_reference_may_come_any_number_of_times_where_its_name_says_so() -> None:
    assert read_args(["a", "b@2", "threads=1", "c"], "[REF]...", verb="profile") == (["a", "b@2", "c"], ["threads=1"])
    assert read_args(None, "[REF]...", verb="profile") == ([], [])


def test_among_many_references_a_key_without_its_value_is_none_of_them() -> None:
    with pytest.raises(ConfigError, match="`threads` has no value"):
        read_args(["a", "b", "threads"], "[REF]...", verb="profile")
