"""What is kept to go on from: exact, refused where it is another model's, damage found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import AdapterError

torch = pytest.importorskip("torch")

from bactrian.train.keep import (  # noqa: E402
    BEST,
    WHOLE,
    damage,
    keep_beside,
    mark,
    put_back,
    read_learning,
    told_by,
    write_learning,
)


def model(width: int = 3) -> Any:
    layers = torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.Linear(width, 2))
    layers[0].bias.requires_grad_(False)
    return layers


def test_what_learns_comes_back_exactly(tmp_path: Path) -> None:
    one, other = model(), model()
    held = other[0].bias.clone()
    write_learning(one, tmp_path / "learning.safetensors")
    read_learning(other, tmp_path / "learning.safetensors")
    for name, weights in one.named_parameters():
        assert torch.equal(other.get_parameter(name), weights) == (name != "0.bias"), name
    assert torch.equal(other[0].bias, held)
    assert [path.name for path in tmp_path.iterdir()] == ["learning.safetensors"]


def test_a_process_that_does_not_write_leaves_nothing(tmp_path: Path) -> None:
    write_learning(model(), tmp_path / "learning.safetensors", write=False)
    assert not list(tmp_path.iterdir())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def of_another_width(path: Path) -> None:
    write_learning(model(width=1), path)


def with_more(path: Path) -> None:
    more = model().append(torch.nn.Linear(1, 1))
    write_learning(more, path)


@pytest.mark.parametrize("change", [Path.unlink, cut, of_another_width, with_more])
def test_what_is_not_this_model_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A width of one would be spread over all values by copy_ without a word."""
    path = tmp_path / "checkpoint-2" / "learning.safetensors"
    path.parent.mkdir()
    write_learning(model(), path)
    change(path)
    with pytest.raises(AdapterError, match=r"learning\.safetensors") as caught:
        read_learning(model(), path)
    assert "checkpoint-2" in caught.value.hint


def flipped(folder: Path) -> None:
    bytes_ = bytearray((folder / "optimizer.pt").read_bytes())
    bytes_[3] ^= 1
    (folder / "optimizer.pt").write_bytes(bytes_)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "optimizer.pt is missing": lambda folder: (folder / "optimizer.pt").unlink(),
    "optimizer.pt has 50 of 100 bytes": lambda folder: cut(folder / "optimizer.pt"),
    "optimizer.pt has other bytes": flipped,
    "it cannot be read": lambda folder: (folder / WHOLE).write_text('{"tally": ['),
}


@pytest.mark.parametrize("why", DAMAGE)
def test_damage_is_found(tmp_path: Path, why: str) -> None:
    (tmp_path / "optimizer.pt").write_bytes(bytes(range(100)))
    (tmp_path / "rng_state.pth").write_bytes(b"")
    mark(tmp_path, {"tally": [[1.0], [2.0]]})
    assert damage(tmp_path) == ""
    assert told_by(tmp_path)["tally"] == [[1.0], [2.0]]
    DAMAGE[why](tmp_path)
    assert damage(tmp_path).startswith(why)


@pytest.mark.parametrize("links", [True, False])
def test_a_checkpoint_has_the_best_weights_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("this file system has no links")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    checkpoint = tmp_path / "checkpoint-2"
    checkpoint.mkdir()
    first, second = model(), model()
    write_learning(first, tmp_path / BEST)
    keep_beside(tmp_path / BEST, checkpoint)
    before = (checkpoint / BEST).read_bytes()
    write_learning(second, tmp_path / BEST)
    assert (checkpoint / BEST).read_bytes() == before, "a later best does not reach into it"
    put_back(BEST, checkpoint, tmp_path)
    assert (tmp_path / BEST).read_bytes() == before
    write_learning(second, tmp_path / BEST)
    assert (checkpoint / BEST).read_bytes() == before
    put_back(BEST, None, tmp_path)
    assert not (tmp_path / BEST).exists()
