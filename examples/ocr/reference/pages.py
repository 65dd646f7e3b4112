"""Renders test pages: `python pages.py FOLDER`. The same pages every time.

Several faces and sizes, dark on light and light on dark, slight rotations, lines upside down,
a page with no text, a page wider than the detector takes, and PNG, JPEG and WebP.
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FACES = Path("/usr/share/fonts/truetype/dejavu")
WORDS = (
    "the quick brown fox jumps over a lazy dog while seven wizards brew potions in Quebec "
    "Invoice number total amount paid customer order shipped address street Berlin Paris "
    "Tokyo model batch queue tensor plugin sandbox request answer deadline 2026 1984 42 3.14"
).split()


def face(size, name="DejaVuSans"):
    """A face of the system, or the one that Pillow brings along."""
    path = FACES / f"{name}.ttf"
    return ImageFont.truetype(str(path), size) if path.exists() else ImageFont.load_default(size)


def text(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def page(rng, width, height, sizes, name, ink=(20, 20, 20), paper=(250, 250, 245)):
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    y = 30
    while y < height - 60:
        size = rng.choice(sizes)
        font = face(size, name)
        line = text(rng, rng.randint(1, 6))
        while draw.textlength(line, font=font) > width - 80 and " " in line:
            line = line.rsplit(" ", 1)[0]
        draw.text((rng.randint(20, 50), y), line, fill=ink, font=font)
        y += int(size * 1.9)
    return image


def upside_down(image, boxes):
    """Turns the given stripes of a page by half a circle."""
    for top, bottom in boxes:
        stripe = image.crop((0, top, image.width, bottom)).rotate(180)
        image.paste(stripe, (0, top))
    return image


def pages():
    rng = random.Random(4)
    names = ["DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold"]
    for index in range(8):
        image = page(rng, 800, 600, [18, 22, 28, 36], names[index % 4])
        yield f"plain-{index}.png", image
    for index, angle in enumerate((-4, -2, 1.5, 3, 6)):
        image = page(rng, 900, 700, [20, 26, 32], names[index % 4])
        turned = image.rotate(angle, resample=Image.BICUBIC, fillcolor=(250, 250, 245))
        yield f"turned-{index}.png", turned
    for index in range(3):
        image = Image.new("RGB", (800, 400), "white")
        draw = ImageDraw.Draw(image)
        for row in range(5):
            draw.text((40, 20 + row * 76), text(rng, 4), fill="black", font=face(30))
        yield f"upside-{index}.png", upside_down(image, [(0, 76), (228, 304)])
    yield "dark.png", page(rng, 700, 500, [24, 30], "DejaVuSans", (240, 240, 90), (15, 30, 60))
    yield "grey.png", page(rng, 700, 500, [24, 30], "DejaVuSerif").convert("L")
    yield "large.png", page(rng, 2600, 1900, [40, 60, 90], "DejaVuSans")
    yield "small.png", page(rng, 300, 160, [18], "DejaVuSans")
    yield "strip.png", page(rng, 1400, 120, [40], "DejaVuSans")
    yield "photo.jpg", page(rng, 900, 700, [24, 34], "DejaVuSans")
    yield "lossless.webp", page(rng, 800, 500, [24, 34], "DejaVuSerif")
    yield "blank.png", Image.new("RGB", (640, 480), "white")


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in pages():
        extra = {"quality": 92} if name.endswith(".jpg") else {}
        extra |= {"lossless": True} if name.endswith(".webp") else {}
        image.save(folder / name, **extra)


if __name__ == "__main__":
    main(sys.argv[1])
