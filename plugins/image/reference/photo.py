"""Draws the photo of the benches with OpenCV (opencv-python-headless) and NumPy.

    python plugins/image/reference/photo.py plugins/image/tests/fixtures/photo.jpg

Soft shapes, edges and the noise of a sensor, so that decoding costs what it does for a photo.
"""

import sys

import cv2
import numpy as np


def main(path):
    random = np.random.default_rng(1)
    y, x = np.mgrid[0:600, 0:800].astype(np.float32)
    levels = [120 + 60 * np.sin(x / (40 + 9 * c)) + 50 * np.cos(y / (30 + 7 * c)) for c in range(3)]
    photo = np.stack(levels, axis=2)
    for _ in range(40):
        centre = int(random.integers(800)), int(random.integers(600))
        colour = [int(level) for level in random.integers(0, 255, 3)]
        cv2.circle(photo, centre, int(random.integers(10, 60)), colour, -1)
    photo += random.normal(0, 4, photo.shape)
    photo = np.clip(photo, 0, 255).astype(np.uint8)
    cv2.imwrite(path, photo, [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main(sys.argv[1])
