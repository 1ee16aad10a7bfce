"""Which releases lie between two ends, as a folder of hand-made wheels and a hand-made index list them."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix import pip_config
from matrix.bisect import indexes, releases
from matrix.bisect.indexes import Indexes
from matrix.errors import SpecError
from tests.matrix.builders import write_wheel


def _index(folder: Path, *files: tuple[str, str]) -> str:
    """A simple index (PEP 503) of one package: file names and further attributes of their links."""
    page = folder / "alpha" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("".join(f'<a href="{name}" {attributes}>{name}</a>' for name, attributes in files))
    return folder.as_uri()


def _at(*urls: str, links: tuple[str, ...] = ()) -> Indexes:
    return Indexes(urls=urls, links=links, trusted=(), certificates=None)


def test_releases_are_listed_in_the_order_of_their_versions_from_every_place(tmp_path: Path) -> None:
    for version in ("10.0", "9.0"):
        write_wheel(tmp_path / "links", "alpha", version)
    url = _index(tmp_path / "index", ("alpha-2.0-py3-none-any.whl", ""), ("alpha-9.0.tar.gz", ""))
    assert releases.published("alpha", _at(url, links=(str(tmp_path / "links"),))) == ["2.0", "9.0", "10.0"]


def test_yanked_releases_and_those_for_another_python_are_left_out(tmp_path: Path) -> None:
    files = [
        ("alpha-1.0-py3-none-any.whl", ""),
        ("alpha-2.0-py3-none-any.whl", 'data-yanked="broken"'),
        ("alpha-3.0-py3-none-any.whl", 'data-requires-python="&gt;=99"'),
        ("alpha-4.0-cp27-cp27m-manylinux1_x86_64.whl", ""),
        ("alpha-5.0-py3-none-any.whl", ""),
    ]
    assert releases.published("alpha", _at(_index(tmp_path, *files))) == ["1.0", "5.0"]


def test_builds_of_one_release_are_one_release(tmp_path: Path) -> None:
    url = _index(tmp_path, ("alpha-1.0-py3-none-any.whl", ""), ("alpha-1.0+cpu-py3-none-any.whl", ""))
    assert releases.published("alpha", _at(url)) == ["1.0"]


@pytest.mark.parametrize("places", [_at(), _at("file:///nowhere/simple"), _at("http://127.0.0.1:9/simple")])
def test_when_nothing_can_be_listed_the_places_are_named(places: Indexes) -> None:
    with pytest.raises(SpecError, match="no release of alpha can be listed") as caught:
        releases.published("alpha", places)
    assert places.places in str(caught.value)


LISTED = ["1.0", "1.1", "2.0rc1", "2.0", "2.1", "3.0.dev1", "3.0", "junk"]


def test_an_index_that_does_not_answer_leaves_no_list_with_holes(tmp_path: Path) -> None:
    url = _index(tmp_path, ("alpha-1.0-py3-none-any.whl", ""))
    with pytest.raises(SpecError, match="cannot all be listed") as caught:
        releases.published("alpha", _at("http://127.0.0.1:9/simple", url))
    assert "http://127.0.0.1:9/simple does not answer" in str(caught.value)


def test_an_index_without_the_package_is_no_trouble(tmp_path: Path) -> None:
    url = _index(tmp_path / "one", ("alpha-1.0-py3-none-any.whl", ""))
    (tmp_path / "other").mkdir()
    assert releases.published("alpha", _at((tmp_path / "other").as_uri(), url)) == ["1.0"]


@pytest.mark.parametrize(
    ("good", "bad", "pre", "found"),
    [
        ("1.0", "2.1", False, ("1.0", "1.1", "2.0", "2.1")),
        ("1.0", "2.1", True, ("1.0", "1.1", "2.0rc1", "2.0", "2.1")),
        ("2.1", "1.0", False, ("2.1", "2.0", "1.1", "1.0")),
        ("1.1", "2.0rc1", False, ("1.1", "2.0rc1")),
        ("0.9", "4.0", False, ("0.9", "1.0", "1.1", "2.0", "2.1", "3.0", "4.0")),
        ("1.0.0", "1.1.0", False, ("1.0.0", "1.1.0")),
    ],
)
def test_both_ends_are_included_as_they_were_written(good: str, bad: str, pre: bool, found: tuple[str, ...]) -> None:  # noqa: FBT001
    assert releases.between(LISTED, good, bad, pre=pre) == found


def test_an_end_must_be_a_release() -> None:
    with pytest.raises(SpecError, match="an end is not a release"):
        releases.between(LISTED, "1.0", "newest", pre=False)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheels: Path) -> pytest.MonkeyPatch:
    """No settings at all; `wheels` has taken away the person's own."""
    assert wheels.is_dir()
    for name in ("FIND_LINKS", "OFFLINE", "NO_INDEX", "NO_CONFIG"):
        monkeypatch.delenv(f"UV_{name}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return monkeypatch


def test_a_persons_variables_are_understood_as_uv_understands_them(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("UV_INDEX", "mine=https://user:secret@one/simple https://two/simple")
    variables.setenv("UV_DEFAULT_INDEX", "https://three/simple?a=b")
    variables.setenv("UV_FIND_LINKS", "/four,/five")
    pip_config.uv_environment.cache_clear()
    found = indexes.configured()
    assert found.urls == ("https://user:secret@one/simple", "https://two/simple", "https://three/simple?a=b")
    assert found.links == ("/four", "/five")
    assert "secret" not in found.places


def test_without_an_index_only_links_count(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("UV_NO_INDEX", "1")
    variables.setenv("UV_FIND_LINKS", "/four")
    assert (indexes.configured().urls, indexes.configured().links) == ((), ("/four",))


def test_uvs_own_file_counts(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "uv.toml"
    file.write_text(
        '[[index]]\nurl = "https://one/simple"\n[[index]]\nurl = "https://two/simple"\ndefault = true\n'
        '[[index]]\nurl = "https://torch/simple"\nexplicit = true\n[pip]\nfind-links = ["/links"]\n'
    )
    variables.setenv("UV_CONFIG_FILE", str(file))
    found = indexes.configured()
    assert (found.urls, found.links) == (("https://one/simple", "https://two/simple"), ("/links",))
    file.write_text("[[")
    with pytest.raises(SpecError, match="uv's configuration file cannot be read"):
        indexes.configured()


def test_pips_configuration_counts_where_uv_has_none(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("PIP_CONFIG_FILE", "/dev/null")
    variables.setenv("PIP_EXTRA_INDEX_URL", "file:///more")
    pip_config.uv_environment.cache_clear()
    assert indexes.configured().urls == (indexes.PYPI, "file:///more")
