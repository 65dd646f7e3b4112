"""Writes the fixtures of the crate's tests with OpenCV (opencv-python-headless) and NumPy.

    python plugins/pixels/reference/make.py plugins/pixels/tests/fixtures/opencv.txt

A line is a case: what is done, the numbers that it takes, and the bytes that come out, in
hexadecimal digits. The images it is done to are not stored: both sides make them alike.
"""

import sys

import cv2
import numpy as np

SIZES = [
    (16, 16, 8, 8), (12, 18, 4, 6), (17, 13, 9, 7), (31, 20, 13, 11), (9, 7, 22, 15),
    (5, 4, 20, 4), (1, 1, 6, 3), (3, 1, 7, 5), (40, 9, 11, 9), (23, 23, 23, 8), (8, 30, 16, 10),
    (2, 2, 1, 1), (10, 3, 32, 32), (33, 21, 32, 20),
]

QUADS = [
    (24, 16, [(3, 2), (20, 2), (20, 12), (3, 12)]),
    (24, 16, [(2, 4), (20, 1), (22, 10), (4, 13)]),
    (24, 16, [(0, 0), (23, 0), (23, 15), (0, 15)]),
    (30, 20, [(5, 0), (29, 9), (24, 19), (0, 10)]),
    (12, 30, [(2, 1), (9, 3), (10, 27), (1, 26)]),
    (9, 9, [(0, 3), (8, 0), (8, 8), (2, 7)]),
]


def image(width, height):
    """The same numbers as `image` in the tests: steps of a linear congruential generator."""
    state, levels = (width * 1000 + height), []
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        levels.append(state >> 24)
    return np.array(levels, np.uint8).reshape(height, width, 3)


def crop_size(quad):
    quad = np.array(quad, np.float32)
    width = max(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[2] - quad[3]))
    height = max(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2]))
    return quad, int(width), int(height)


def main(path):
    lines = []
    for width, height, to_width, to_height in SIZES:
        for name, way in (("linear", cv2.INTER_LINEAR), ("area", cv2.INTER_AREA)):
            resized = cv2.resize(image(width, height), (to_width, to_height), interpolation=way)
            numbers = f"{width} {height} {to_width} {to_height}"
            lines.append(f"{name} {numbers} {resized.tobytes().hex()}")
    for width, height, corners in QUADS:
        quad, to_width, to_height = crop_size(corners)
        target = np.array(
            [[0, 0], [to_width, 0], [to_width, to_height], [0, to_height]], np.float32
        )
        crop = cv2.warpPerspective(
            image(width, height),
            cv2.getPerspectiveTransform(quad, target),
            (to_width, to_height),
            borderMode=cv2.BORDER_REPLICATE,
            flags=cv2.INTER_CUBIC,
        )
        numbers = f"{width} {height} {to_width} {to_height}"
        corners = " ".join(str(number) for corner in corners for number in corner)
        lines.append(f"perspective {numbers} {corners} {crop.tobytes().hex()}")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
