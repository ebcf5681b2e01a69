"""What are a user's own images? A folder of class folders, or an .npz with x and y; nothing in them is run.

    photos/cat/1.jpg  photos/cat/2.png  photos/dog/a.jpg …     images.npz: x (N, H, W[, 1 or 3]) uint8, y (N,) integer
    arrays/x.npy  arrays/y.npy, the same two

What does not fit in memory stays on the disk (nas/data/stored.py). Read with bounds: sizes of files, of images before
they are made smaller, and of all together. Whatever is wrong is one line that names the file.
"""

import hashlib
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from nas.data import places
from nas.data.places import DataError
from nas.data.stored import NO_HEAD, Stored, mapped_array

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "PPM": (".ppm", ".pgm"),
}
ENDINGS = tuple(ending for endings in FORMATS.values() for ending in endings)
GREY, COLOURED = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # Pillow's modes of 8 bits and fewer

MOST_FILE = 64 << 20  # bytes of an image file
MOST_PIXELS = 1 << 26  # of an image file, before it is made smaller
MOST_BYTES = 4 << 30  # of all images as they are held, one byte a pixel and colour
MOST_SIDE, MOST_CLASSES = 1024, 1000

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImages:
    """pixels (N, colours, H, W) uint8, of 1 or 3 colours; labels (N,) int64, the index into `classes`; where from.

    pixels may be on the disk: asked for by their numbers or a slice, they are bytes in memory either way.
    """

    pixels: Bytes | Stored
    labels: Numbers
    classes: tuple[str, ...]
    name: str

    def part(self, chosen: Numbers) -> "LabelledImages":
        """The images with these numbers, in their order."""
        pixels = self.pixels.part(chosen) if isinstance(self.pixels, Stored) else self.pixels[chosen]
        return LabelledImages(pixels, self.labels[chosen], self.classes, self.name)

    @property
    def digest(self) -> str:
        """Ten hexadecimal digits that name the pixels and labels."""
        total = hashlib.sha256(repr(self.pixels.shape).encode())
        pixels = self.pixels
        total.update(pixels.digest.encode() if isinstance(pixels, Stored) else np.ascontiguousarray(pixels).data)
        total.update(np.ascontiguousarray(self.labels).data)
        return total.hexdigest()[:10]

    def __str__(self) -> str:
        count, colours, height, width = self.pixels.shape
        kind = "grey" if colours == 1 else "colour"
        where = ", left on the disk" if isinstance(self.pixels, Stored) else ""
        return f"{self.name}: {count:,} {kind} images of {height} × {width} in {len(self.classes)} classes{where}"


def load(path: Path, size: int = 0, disk: bool = False) -> LabelledImages:
    """The images of a folder of class folders, of a folder with x.npy and y.npy, or of an .npz file.

    Args: size: 0 takes images as they are, all of one size; else the largest square in the middle of each is made
    size × size (bilinear, antialiased). Images are grey if all of them are; transparency is dropped; a photograph is
    turned upright as its camera noted; of an animation, the first image counts. disk: whether they stay there, and are
    read when asked for; all are read once now, so that a broken one is known before a search.
    Raises: DataError in one line: which file, what is wrong, what to do.
    """
    if path.is_dir():
        return _arrays(path, size, disk) if (path / "x.npy").is_file() else _folder(path, size, disk)
    if path.suffix == ".npz":
        if disk:
            raise DataError(
                f"images {path}: an .npz is read whole; for network.disk=true save its arrays as "
                "x.npy and y.npy in a folder"
            )
        return _archive(path, size)
    what = "is neither a folder with images nor an .npz file" if path.exists() else "does not exist"
    raise DataError(f"images {path}: it {what}; set network.path to one with images")


def find(path: str, data: Path | None = None) -> Path:
    """Where images named `path` are: a whole path there or, if they have moved, under their name in `data` (--data).

    Any other path is looked for in `data` alone if that is given, else here and then where other data is.
    Raises: DataError: the places.
    """
    asked = Path(path).expanduser()
    if asked.is_absolute():
        tried = [asked, *([] if data is None else [data / asked.name])]
    else:
        tried = [folder / asked for folder in ([Path(), *places.folders()] if data is None else [data])]
    for place in tried:
        if place.exists():
            return place
    raise DataError(
        f"images {path} not found: looked for {', '.join(map(str, tried))}; set network.path, or --data DIR"
    )


def split(labels: Numbers, test: float) -> tuple[Numbers, Numbers, Numbers]:
    """Numbers of the images for the weights, for the architecture and for the test, the same each time.

    A share `test` of each class, at least one image, is for the test, and of the rest one half each; in mixed order.
    Every class needs at least three.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    place = np.empty(len(labels), np.int64)  # of what its image is for
    extra = 0  # the odd image of a class goes to one half, that of the next to the other
    for label in np.unique(labels):
        own = order[labels[order] == label]
        tested = min(max(1, round(test * len(own))), len(own) - 2)
        half = (len(own) - tested + extra) // 2
        extra ^= (len(own) - tested) % 2
        place[own] = np.repeat([2, 0, 1], [tested, half, len(own) - tested - half])
    weights, architecture, tests = (order[place[order] == use] for use in range(3))
    return weights, architecture, tests


# ------------------------------------------------------------------ a folder of class folders


def _folder(path: Path, size: int, disk: bool) -> LabelledImages:
    inside = _listed(path)
    if stray := [entry for entry in inside if entry.suffix.lower() in ENDINGS and not entry.is_dir()]:
        raise DataError(f"{stray[0]} is in no class: images lie in a folder for each class, {path}/CLASS/IMAGE")
    folders = [entry for entry in inside if entry.is_dir()]
    if len(folders) > MOST_CLASSES:
        raise DataError(f"{path} has {len(folders):,} class folders; at most {MOST_CLASSES:,} are searched")
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        own = _listed(folder)
        for file in own:
            if file.is_dir() or file.suffix.lower() not in ENDINGS:
                raise DataError(f"{file} is no image: a class folder holds {', '.join(ENDINGS)} alone; move it away")
        files += own
        labels += [label] * len(own)
    names = tuple(folder.name for folder in folders)
    _check_classes(path, names, np.array(labels, np.int64))
    pixels, coloured, total = np.empty(0, np.uint8), False, hashlib.sha256()
    first = (0, 0)
    for place, file in enumerate(tqdm(files, disable=None, unit="image", desc="reading")):
        image = read(file, size)
        if not place:
            first = (image.shape[0], image.shape[1])
            _check_size(path, len(files), *first, 3, held=not disk)
            pixels = np.empty((0 if disk else len(files), 3, *first), np.uint8)
        if image.shape[:2] != first:
            two = f"{files[0].name} has {_sides(first)} pixels, {file.name} {_sides(image.shape)}"
            raise DataError(f"{path}: images differ in size: {two}; set network.size=32, or another side, for all")
        coloured |= image.ndim == 3
        if disk:
            total.update(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes())
        else:
            pixels[place] = _planes(image, 3)
    numbers = np.array(labels, np.int64)
    if not disk:
        return LabelledImages(pixels if coloured else pixels[:, :1].copy(), numbers, names, str(path))
    shape = (len(files), 3 if coloured else 1, *first)

    def decoded(chosen: Numbers) -> Bytes:
        found = np.empty((len(chosen), *shape[1:]), np.uint8)
        for place, number in enumerate(chosen):
            image = read(files[number], size)
            if image.shape[:2] != first or (image.ndim == 3 and not coloured):
                raise DataError(f"{files[number]} is not the image that it was when it was first read; begin again")
            found[place] = _planes(image, shape[1])
        return found

    return LabelledImages(Stored(decoded, shape, total.hexdigest()[:10]), numbers, names, str(path))


def _planes(image: Bytes, colours: int) -> Bytes:
    """An image (H, W) or (H, W, 3) as (colours, H, W)."""
    return image.transpose(2, 0, 1) if image.ndim == 3 else np.broadcast_to(image, (colours, *image.shape))


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, in order of names, without what is hidden."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error


def read(file: Path, size: int = 0) -> Bytes:
    """An image (H, W) if it is grey, else (H, W, 3); size as in `load`. Raises: DataError in one line."""
    content = places.read(file, most=MOST_FILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own bound, which is above ours, and of odd notes in a file
            with Image.open(io.BytesIO(content), formats=tuple(FORMATS)) as image:
                if image.width * image.height > MOST_PIXELS:
                    sides = _sides((image.height, image.width))
                    raise DataError(
                        f"{file} has {sides} pixels, more than the {MOST_PIXELS:,} of an image that is read"
                    )
                if image.mode not in (*GREY, *COLOURED):
                    raise DataError(f"{file} has pixels of the kind {image.mode}: save it with 8 bits a colour")
                upright = ImageOps.exif_transpose(image).convert("L" if image.mode in GREY else "RGB")
                return np.asarray(_fitted(upright, size), np.uint8)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{file} has more than the {MOST_PIXELS:,} pixels of an image that is read") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{file} is damaged, or no image of the formats {', '.join(FORMATS)}") from error
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{file} is damaged: {reason}") from error


# What Pillow raises on damaged files beside its own kinds, as its readers meet it.
_DAMAGED = (
    *(OSError, ValueError, SyntaxError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    *(struct.error, zlib.error, NotImplementedError),
)


def _fitted(image: Image.Image, size: int) -> Image.Image:
    if not size:
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))  # first, or its border would see what lies outside
    return square.resize((size, size), Image.Resampling.BILINEAR)


# ------------------------------------------------------------------ arrays


def _archive(path: Path, size: int) -> LabelledImages:
    try:
        with zipfile.ZipFile(path) as archive:
            held = sorted(name.removesuffix(".npy") for name in archive.namelist())
            if not {"x", "y"} <= set(held):
                raise DataError(
                    f"{path} holds {' '.join(', '.join(held).split())[:200] or 'nothing'}: it needs the arrays x and y"
                )
            x = _array(archive, "x", path)
            y = _array(archive, "y", path)
    except DataError:
        raise
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError) as error:
        raise DataError(f"{path} is damaged or no .npz file: {' '.join(str(error).split())[:200]}") from error
    except RuntimeError as error:  # a password
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    return _labelled(path, x, y, size, disk=False)


def _arrays(path: Path, size: int, disk: bool) -> LabelledImages:
    """Of a folder with x.npy and y.npy, which are mapped into memory."""
    x, y = (mapped_array(path / f"{name}.npy") for name in ("x", "y"))
    return _labelled(path, x, y, size, disk)


def _labelled(path: Path, x: npt.NDArray[Any], y: npt.NDArray[Any], size: int, disk: bool) -> LabelledImages:
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)):
        raise DataError(f"{path}: x is {x.dtype} {x.shape}; it must be uint8, (N, H, W) or (N, H, W, 3)")
    if not np.issubdtype(y.dtype, np.integer) or y.shape != x.shape[:1]:
        raise DataError(f"{path}: y is {y.dtype} {y.shape}; it must be one integer for each of the {len(x):,} images")
    known, labels = np.unique(y, return_inverse=True)
    if len(known) > MOST_CLASSES:
        raise DataError(f"{path} has {len(known):,} different labels; at most {MOST_CLASSES:,} are searched")
    names = tuple(map(str, known.tolist()))
    _check_classes(path, names, labels.astype(np.int64))
    images = x[..., None] if x.ndim == 3 else x
    count, colours = images.shape[0], images.shape[3]
    height, width = (size, size) if size else images.shape[1:3]
    _check_size(path, count, height, width, colours, held=not disk)
    if not disk:
        pixels = _sized(images, size, None)
        held = pixels if pixels.flags.writeable else pixels.copy()  # not the file, where it is only mapped
        return LabelledImages(held, labels.astype(np.int64), names, str(path))
    total = hashlib.sha256()
    for start in range(0, count, 128):
        total.update(np.ascontiguousarray(images[start : start + 128]).data)
    shape = (count, colours, height, width)
    stored = Stored(lambda chosen: _sized(images[chosen], size, True), shape, total.hexdigest()[:10])
    return LabelledImages(stored, labels.astype(np.int64), names, str(path))


def _sized(images: Bytes, size: int, quiet: bool | None) -> Bytes:
    """(B, H, W, colours) as (B, colours, H, W), made size × size if that is given."""
    if size:
        count, colours = images.shape[0], images.shape[3]
        small = np.empty((count, size, size, colours), np.uint8)
        for place, image in enumerate(tqdm(images, disable=quiet, unit="image", desc="resizing")):
            fitted = _fitted(Image.fromarray(image[..., 0] if colours == 1 else image), size)
            small[place] = np.asarray(fitted, np.uint8).reshape(size, size, colours)
        images = small
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _array(archive: zipfile.ZipFile, name: str, path: Path) -> npt.NDArray[Any]:
    """One array, whose head is held against what the archive says before anything of its size is made."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        try:
            major, _ = np.lib.format.read_magic(file)
            read_head = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[major]
            shape, _, kind = read_head(file)
        except NO_HEAD as error:
            raise DataError(f"{path}: {name} is no NumPy array: {' '.join(str(error).split())[:200]}") from error
        if kind.hasobject:
            raise DataError(f"{path}: {name} holds Python objects, which a file could run code by; save plain numbers")
        bytes_ = int(np.prod([int(side) for side in shape], dtype=object)) * kind.itemsize
        if bytes_ > MOST_BYTES:
            raise DataError(f"{path}: {name} has {bytes_:,} bytes, more than the {MOST_BYTES:,} that are read")
        if file.tell() + bytes_ != member.file_size:
            raise DataError(f"{path} is damaged: {name} says {shape} {kind}, and has {member.file_size:,} bytes")
    with archive.open(member) as file:
        try:
            return np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise DataError(f"{path} is damaged: {name}: {' '.join(str(error).split())[:200]}") from error


# ------------------------------------------------------------------ what both must be


def _check_classes(path: Path, names: Sequence[str], labels: Numbers) -> None:
    if len(names) < 2:
        found = f"one class alone, {names[0]}" if names else "no class folder"
        raise DataError(f"{path} has {found}: a search needs two classes or more")
    counts = np.bincount(labels, minlength=len(names))
    few = int(counts.argmin())
    if counts[few] < 3:
        has = "no image" if not counts[few] else f"{counts[few]} image{'s' if counts[few] > 1 else ''}"
        uses = "for the weights, for the architecture and for the test"
        raise DataError(f"{path}: class {names[few]} has {has}; each needs at least 3, {uses}")


def _check_size(path: Path, count: int, height: int, width: int, colours: int, held: bool) -> None:
    """held: whether all are held in memory."""
    if height % 4 or width % 4:
        raise DataError(
            f"{path}: images have {_sides((height, width))} pixels, and both sides must be multiples of 4; "
            f"set network.size={max(4, min(height, width) // 4 * 4)}"
        )
    if not 4 <= min(height, width) <= max(height, width) <= MOST_SIDE:
        raise DataError(
            f"{path}: images have {_sides((height, width))} pixels, and sides must be 4 to {MOST_SIDE:,}; "
            "set network.size"
        )
    if held and count * height * width * colours > MOST_BYTES:
        raise DataError(
            f"{path}: {count:,} images of {_sides((height, width))} pixels are more than the {MOST_BYTES >> 30} GiB "
            "that are held in memory; set network.disk=true or a smaller network.size, or take fewer"
        )


def _sides(shape: Sequence[int]) -> str:
    """Height × width, as arrays have them."""
    return f"{shape[0]} × {shape[1]}"
