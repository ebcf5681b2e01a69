"""Images of one's own: read as they are or made square, split without overlap, and refused in one line, with bounds."""

import io
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import images
from nas.data.places import DataError


def grey(value: int, height: int = 8, width: int = 8) -> Image.Image:
    return Image.fromarray(np.full((height, width), value, np.uint8))


def red(height: int = 8, width: int = 8) -> Image.Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 200
    return Image.fromarray(pixels)


def folder(root: Path, picture: Callable[[int], Image.Image] = grey, ending: str = "png", each: int = 3) -> Path:
    """Two classes; the pictures are of 0, 1, 2, …"""
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for n in range(each):
            picture(each * label + n).save(root / name / f"{n}.{ending}")
    return root


def archive(path: Path, x: Any = None, y: Any = None, **more: Any) -> Path:
    x = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8) if x is None else x
    y = np.array([5, 5, 5, 9, 9, 9]) if y is None else y
    np.savez(path, x=x, y=y, **more)
    return path


def refused(path: Path, size: int = 0) -> str:
    with pytest.raises(DataError) as caught:
        images.load(path, size)
    said = str(caught.value)
    assert said.count("\n") == 0
    assert str(path) in said
    return said


def arrays(root: Path, x: Any, y: Any) -> Path:
    root.mkdir(parents=True)
    np.save(root / "x.npy", x)
    np.save(root / "y.npy", y)
    return root


# ------------------------------------------------------------------ what stays on the disk


def mixed(n: int) -> Image.Image:
    return red(9, 8 + n) if n == 4 else grey(30 * n, 9, 8 + n)


@pytest.mark.parametrize("picture", [lambda n: grey(30 * n, 9, 8 + n), mixed])
def test_images_left_on_the_disk_are_those_in_memory(tmp_path: Path, picture: Callable[[int], Image.Image]) -> None:
    held, left = (images.load(path, 8, disk) for path, disk in ((folder(tmp_path, picture), False), (tmp_path, True)))
    assert left.pixels.shape == held.pixels.shape
    assert (left.pixels[:] == held.pixels).all()
    chosen = np.array([4, 0, 5])
    assert (left.part(chosen).pixels[np.array([1, 0])] == held.pixels[[0, 4]]).all()
    assert (left.part(chosen).labels == held.labels[chosen]).all()
    assert (left.classes, left.labels.tolist()) == (held.classes, held.labels.tolist())
    assert str(left) == f"{held}, left on the disk"


@pytest.mark.parametrize("colours", [(), (1,), (3,)])
@pytest.mark.parametrize("size", [0, 4])
def test_arrays_in_a_folder_are_those_of_an_archive(tmp_path: Path, colours: tuple[int, ...], size: int) -> None:
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 12, *colours), np.uint8)
    y = np.array([5, 9, 5, 9, 5, 9])
    whole = images.load(archive(tmp_path / "a.npz", x, y), size)
    for disk in (False, True):
        found = images.load(arrays(tmp_path / str(disk), x, y), size, disk)
        assert (found.pixels[:] == whole.pixels).all()
        assert found.pixels.shape == whole.pixels.shape
        assert found.pixels[:].flags.writeable  # as PyTorch wants it
        assert found.labels.tolist() == whole.labels.tolist()
        assert found.classes == whole.classes


def test_the_digest_names_what_is_on_the_disk_wherever_it_lies(tmp_path: Path) -> None:
    x, y = np.zeros((6, 8, 8), np.uint8), np.array([0, 0, 0, 1, 1, 1])
    one, same = (images.load(arrays(tmp_path / name, x, y), disk=True) for name in ("one", "same"))
    x[5, 7, 7] = 1
    other = images.load(arrays(tmp_path / "other", x, y), disk=True)
    assert one.digest == same.digest != other.digest
    files = [images.load(folder(tmp_path / name, lambda n: grey(9 * n)), disk=True) for name in ("a", "b")]
    assert files[0].digest == files[1].digest != images.load(folder(tmp_path / "c"), disk=True).digest


def test_more_than_memory_holds_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 100)
    x, y = np.zeros((6, 8, 8), np.uint8), np.array([0, 0, 0, 1, 1, 1])
    for path in (folder(tmp_path / "files"), arrays(tmp_path / "arrays", x, y)):
        assert "set network.disk=true or a smaller network.size" in refused(path)
        assert len(images.load(path, disk=True).pixels) == 6


def test_what_cannot_be_left_on_the_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"an \.npz is read whole; for network\.disk=true save its arrays as x\.npy"):
        images.load(archive(tmp_path / "a.npz"), disk=True)
    x, y = np.zeros((6, 8, 8), np.uint8), np.array([0, 0, 0, 1, 1, 1])
    for name, content in (("cut", b"\x93NUMPY\x01\x00"), ("text", b"no array"), ("pickle", pickle.dumps([1, 2]))):
        bad = arrays(tmp_path / name, x, y)
        (bad / "y.npy").write_bytes(content)
        assert "y.npy is damaged or no .npy file" in refused(bad)
    objects = arrays(tmp_path / "objects", x, np.array([None] * 6, dtype=object))
    assert "y.npy is damaged" in refused(objects)
    short = arrays(tmp_path / "short", x, y)
    (short / "x.npy").write_bytes((short / "x.npy").read_bytes()[:-1])
    assert "x.npy is damaged" in refused(short)
    lonely = arrays(tmp_path / "lonely", x, y)
    (lonely / "y.npy").unlink()
    assert "y.npy" in refused(lonely)


@pytest.mark.parametrize("picture", [red(), grey(9, 12, 8)])
def test_a_file_that_changes_on_the_way_is_named(tmp_path: Path, picture: Image.Image) -> None:
    left = images.load(folder(tmp_path), disk=True)
    assert left.pixels[2:3].max() == 2
    picture.save(tmp_path / "cat" / "2.png")
    with pytest.raises(DataError, match=r"cat/2\.png is not the image that it was"):
        left.pixels[np.array([0, 2])]
    assert left.pixels[np.array([0, 1])].shape == (2, 1, 8, 8)  # the others are


# ------------------------------------------------------------------ what is read


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    found = images.load(folder(tmp_path))
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.pixels.shape == (6, 1, 8, 8)
    assert (found.pixels == np.arange(6).reshape(6, 1, 1, 1)).all()
    assert str(found).endswith(": 6 grey images of 8 × 8 in 2 classes")


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "ppm", "webp"])
def test_formats_and_colours(tmp_path: Path, ending: str) -> None:
    """One red picture makes all of them colours; grey ones have three equal."""
    folder(tmp_path, lambda n: red() if n == 0 else grey(40 * n).convert("RGB" if ending == "ppm" else "L"), ending)
    pixels = images.load(tmp_path).pixels.astype(int)
    assert pixels.shape == (6, 3, 8, 8)
    assert abs(pixels[0, 0] - 200).max() < 8  # JPEG and WebP round
    assert pixels[0, 1:].max() < 8
    assert (abs(pixels[1:] - pixels[1:, :1]) < 8).all()
    assert abs(pixels[3] - 120).max() < 8


def test_palettes_transparency_and_hidden_files(tmp_path: Path) -> None:
    folder(tmp_path, lambda n: red().quantize(4) if n else red().convert("RGBA"))
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "README.txt").write_text("about these pictures")
    pixels = images.load(tmp_path).pixels
    assert (pixels[:, 0] == 200).all()
    assert (pixels[:, 1:] == 0).all()


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    half = np.zeros((8, 8), np.uint8)
    half[:, 4:] = 255  # bright on the right; the camera notes: turn by 90° to the right
    folder(tmp_path)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(half).save(tmp_path / "cat" / "0.png", exif=turned)
    pixels = images.load(tmp_path).pixels[0, 0]
    assert pixels[4:].min() == 255
    assert pixels[:4].max() == 0
    Image.fromarray(half).save(tmp_path / "cat" / "0.png")  # the control: without the note it stays
    assert (images.load(tmp_path).pixels[0, 0] == half).all()


def test_size_takes_the_middle_square(tmp_path: Path) -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 100
    folder(tmp_path, lambda n: Image.fromarray(wide) if n % 2 else grey(100, 16, 16))
    found = images.load(tmp_path, 4)
    assert found.pixels.shape == (6, 1, 4, 4)
    assert (found.pixels == 100).all()
    assert "differ in size: 0.png has 16 × 16 pixels, 1.png 8 × 24; set network.size=32" in refused(tmp_path)


@pytest.mark.parametrize("shape", [(6, 8, 12), (6, 8, 12, 1), (6, 8, 12, 3)])
def test_an_archive(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = images.load(archive(tmp_path / "a.npz", np.asfortranarray(x), more=np.arange(3)))
    assert found.classes == ("5", "9")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (found.pixels == x.reshape(6, 8, 12, -1).transpose(0, 3, 1, 2)).all()
    assert found.pixels.flags["C_CONTIGUOUS"]
    small = images.load(tmp_path / "a.npz", 4).pixels
    assert small.shape == (6, found.pixels.shape[1], 4, 4)
    assert abs(small.mean() - found.pixels[..., 2:10].mean()) < 15


def test_a_packed_archive_is_the_same(tmp_path: Path) -> None:
    plain = images.load(archive(tmp_path / "a.npz"))
    np.savez_compressed(tmp_path / "b.npz", x=plain.pixels[:, 0], y=plain.labels)
    assert images.load(tmp_path / "b.npz").digest == plain.digest


def test_the_digest_names_pixels_and_labels(tmp_path: Path) -> None:
    x, y = np.zeros((6, 8, 8), np.uint8), np.array([0, 0, 0, 1, 1, 1])
    one = images.load(archive(tmp_path / "a.npz", x, y)).digest
    assert images.load(archive(tmp_path / "b.npz", x.copy(), y)).digest == one
    changed = x.copy()
    changed[5, 7, 7] = 1
    assert images.load(archive(tmp_path / "c.npz", changed, y)).digest != one
    assert images.load(archive(tmp_path / "d.npz", x, y[::-1])).digest != one


def test_memory_is_about_that_of_the_images(tmp_path: Path) -> None:
    """An archive is held about twice while its axes are turned."""
    archive(tmp_path / "a.npz", np.zeros((300, 64, 64, 3), np.uint8), np.arange(300) % 3)
    tracemalloc.start()
    found = images.load(tmp_path / "a.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.pixels.nbytes <= peak < 2.5 * found.pixels.nbytes


def test_where_a_name_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert images.find("photos") == Path("data/photos")
    (tmp_path / "photos").mkdir()
    assert images.find("photos") == Path("photos")
    assert images.find("photos", tmp_path / "data") == tmp_path / "data" / "photos"
    gone = tmp_path / "gone" / "photos"
    assert images.find(str(gone), tmp_path / "data") == tmp_path / "data" / "photos"  # it has moved
    gone.mkdir(parents=True)
    assert images.find(str(gone), tmp_path / "data") == gone
    with pytest.raises(DataError, match=r"images none not found: looked for .*; set network\.path, or --data DIR"):
        images.find("none", tmp_path / "data")


# ------------------------------------------------------------------ the split


def test_every_image_has_one_use_and_every_class_all_three() -> None:
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2, 3], [3, 4, 101, 40]))
    parts = images.split(labels, 0.2)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for label, count in enumerate((3, 4, 101, 40)):
        weights, architecture, tests = (int((labels[part] == label).sum()) for part in parts)
        assert tests == max(1, round(0.2 * count))
        assert abs(weights - architecture) <= 1
        assert min(weights, architecture) >= 1
    assert abs(len(parts[0]) - len(parts[1])) <= 1  # odd ones alternate
    assert len(np.unique(labels[parts[1]][:20])) > 1  # mixed: minibatches in order hold several classes
    assert all((one == two).all() for one, two in zip(parts, images.split(labels, 0.2), strict=True))


# ------------------------------------------------------------------ what is refused


def test_what_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none")
    (tmp_path / "x.zip").write_bytes(b"")
    assert "neither a folder with images nor an .npz file" in refused(tmp_path / "x.zip")


def test_classes(tmp_path: Path) -> None:
    assert "no class folder" in refused(tmp_path)
    grey(0).save(tmp_path / "a.png")
    assert "is in no class: images lie in a folder for each class" in refused(tmp_path)
    (tmp_path / "a.png").unlink()
    folder(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "class empty has no image; each needs at least 3" in refused(tmp_path)
    grey(0).save(tmp_path / "empty" / "a.png")
    assert "class empty has 1 image; each" in refused(tmp_path)
    for n in range(3):
        (tmp_path / "empty" / f"{n}.png").write_bytes((tmp_path / "cat" / "0.png").read_bytes())
    assert images.load(tmp_path).classes == ("cat", "dog", "empty")  # the control
    for name in ("cat", "dog"):
        for file in (tmp_path / name).iterdir():
            file.unlink()
        (tmp_path / name).rmdir()
    assert "one class alone, empty" in refused(tmp_path)


def test_what_lies_in_a_class_folder_beside_images(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    assert "notes.txt is no image: a class folder holds .png, .jpg" in refused(tmp_path)
    (tmp_path / "cat" / "notes.txt").unlink()
    (tmp_path / "cat" / "more").mkdir()
    assert "more is no image" in refused(tmp_path)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(side: int) -> bytes:
    """A PNG that says that it has side × side pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packed = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_broken_images_and_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path)
    first = tmp_path / "cat" / "0.png"
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)).save(noise, "PNG")
    first.write_bytes(b"not an image")
    assert "0.png is damaged, or no image of the formats PNG, JPEG" in refused(tmp_path)
    first.write_bytes(noise.getvalue()[:60])
    assert "0.png is damaged: " in refused(tmp_path)
    for side in (9_000, 12_000, 100_000):  # above our bound, above Pillow's warning, above its refusal
        first.write_bytes(bomb(side))
        said = refused(tmp_path)
        assert "more than the 67,108,864 " in said
    first.write_bytes(bomb(64))  # the control: a picture that is cut short, not too large
    assert "67,108,864" not in refused(tmp_path)
    monkeypatch.setattr(images, "MOST_FILE", 20)
    assert "more than the 20 bytes" in refused(tmp_path)


def test_sixteen_bits(tmp_path: Path) -> None:
    folder(tmp_path)
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "cat" / "0.png")
    assert "0.png has pixels of the kind I;16: save it with 8 bits a colour" in refused(tmp_path)


def test_another_format_under_a_known_name(tmp_path: Path) -> None:
    """What reads GIF, TIFF or PostScript is never started."""
    folder(tmp_path)
    for kind in ("GIF", "TIFF"):
        content = io.BytesIO()
        grey(0).save(content, kind)
        (tmp_path / "cat" / "0.png").write_bytes(content.getvalue())
        assert "no image of the formats" in refused(tmp_path)


@pytest.mark.parametrize(("height", "width", "size"), [(30, 32, 28), (32, 6, 4)])
def test_sides(tmp_path: Path, height: int, width: int, size: int) -> None:
    folder(tmp_path, lambda n: grey(n, height, width))
    said = refused(tmp_path)
    assert (
        f"images have {height} × {width} pixels, and both sides must be multiples of 4; set network.size={size}" in said
    )
    assert images.load(tmp_path, size).pixels.shape == (6, 1, size, size)  # the control: what is told works


def test_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, lambda n: grey(n, 4, 2048))
    assert "sides must be 4 to 1,024" in refused(tmp_path)
    monkeypatch.setattr(images, "MOST_BYTES", 6 * 3 * 16 - 1)
    assert "6 images of 4 × 4 pixels are more than" in refused(tmp_path, 4)
    monkeypatch.setattr(images, "MOST_BYTES", 6 * 3 * 16)
    assert len(images.load(tmp_path, 4).labels) == 6  # the control
    monkeypatch.setattr(images, "MOST_CLASSES", 1)
    assert "has 2 class folders; at most 1" in refused(tmp_path)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.zeros((6, 8, 8)), None, r"x is float64 (6, 8, 8); it must be uint8"),
        (np.zeros((6, 8), np.uint8), None, "x is uint8 (6, 8)"),
        (
            np.zeros((6, 3, 8, 8), np.uint8),
            None,
            "x is uint8 (6, 3, 8, 8); it must be uint8, (N, H, W) or (N, H, W, 3)",
        ),
        (None, np.zeros(6), "y is float64 (6,); it must be one integer for each of the 6 images"),
        (None, np.zeros(5, int), "y is int64 (5,)"),
        (None, np.zeros((6, 1), int), "y is int64 (6, 1)"),
        (None, np.zeros(6, int), "one class alone, 0"),
        (None, np.array([0, 0, 0, 0, 1, 1]), "class 1 has 2 images; each needs at least 3"),
        (np.zeros((6, 9, 8), np.uint8), None, "9 × 8 pixels, and both sides must be multiples of 4"),
        (np.zeros((0, 8, 8), np.uint8), np.zeros(0, int), "no class"),
    ],
)
def test_arrays_of_another_form(tmp_path: Path, x: Any, y: Any, says: str) -> None:
    assert says in refused(archive(tmp_path / "a.npz", x, y))


def test_an_archive_with_a_pickle_runs_nothing(tmp_path: Path) -> None:
    class Loud:
        def __reduce__(self) -> Any:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w').close()",)

    labels = np.empty(6, object)
    labels[:] = Loud()
    said = refused(archive(tmp_path / "a.npz", None, labels))
    assert "y holds Python objects, which a file could run code by" in said
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(Loud()))  # the control: whoever unpickles it runs it
    assert (tmp_path / "ran").exists()


def test_damaged_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=np.zeros(3))
    assert "holds images: it needs the arrays x and y" in refused(path)
    path.write_bytes(b"PK not a zip")
    assert "is damaged or no .npz file" in refused(path)
    good = archive(tmp_path / "b.npz").read_bytes()
    place = good.index(bytes(range(60, 70)))  # among the pixels: the archive's checksum of them fails
    path.write_bytes(good[:place] + b"\0" + good[place + 1 :])
    assert "is damaged" in refused(path)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 64, 64)})
    for content, says in (
        (head.getvalue(), "x says (1048576, 64, 64) uint8, and has 128 bytes"),
        (b"\x93NUMPY\x01\x00\x10\x00((((((((((((((((", "x is no NumPy array"),
        (b"nothing", "x is no NumPy array"),
    ):
        with zipfile.ZipFile(path, "w") as written:
            written.writestr("x.npy", content)
            written.writestr("y.npy", content)
        assert says in refused(path)
    monkeypatch.setattr(images, "MOST_BYTES", 100)
    assert "x has 384 bytes, more than the 100 that are read" in refused(tmp_path / "b.npz")
