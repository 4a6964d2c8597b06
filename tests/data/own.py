"""Small data of one's own for tests: folders of pictures, tables with everything in them."""

import numpy as np
from PIL import Image

from handgrad.data import make_shapes
from handgrad.data.shapes import CLASS_NAMES

FORMATS = ("png", "jpg", "bmp", "gif", "tiff", "webp")


def picture_folder(root, count=40, classes=2, size=(16, 30), damaged=True):
    """Class folders of pictures of every kind and of several sizes, one of them damaged."""
    images, labels = make_shapes(count * 10 // classes, seed=1)
    random = np.random.default_rng(0)
    number = 0
    for image, label in zip(images, labels, strict=True):
        if label >= classes:
            continue
        folder = root / CLASS_NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image.transpose(1, 2, 0))
        picture = picture.resize(tuple(int(n) for n in random.integers(*size, 2)))
        suffix = FORMATS[number % 6]
        mode = {1: "L", 2: "RGBA", 3: "P", 4: "CMYK"}.get(number % 10)
        if mode is not None:
            picture = picture.convert(mode)
            suffix = {"RGBA": "png", "P": "png", "CMYK": "jpg"}.get(mode, suffix)
        picture.save(folder / f"{number}.{suffix}")
        number += 1
    if damaged:
        (root / CLASS_NAMES[0] / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nonsense")
    return root


def table_text(rows=120, seed=0):
    """A CSV with gaps, texts, a constant, dates, booleans and a column that gives the label away."""
    random = np.random.default_rng(seed)
    lines = ["id,age,town,member,since,constant,leak,label"]
    for row in range(rows):
        age = random.integers(18, 80)
        town = random.choice(["Ulm", "Bonn", "Köln"])
        member = random.choice(["true", "false"])
        label = "yes" if age + random.normal(0, 3) > 50 else "no"
        since = f"20{random.integers(10, 24)}-0{random.integers(1, 10)}-1{random.integers(0, 10)}"
        shown = "" if row % 11 == 5 else age
        lines.append(
            f"{row + 1},{shown},{town},{member},{since},7,{2 if label == 'yes' else 1},{label}"
        )
    return "\n".join(lines) + "\n"
