"""Makes what the example listens to: three recordings of two seconds, and their chunks.

    recordings.py FOLDER

Writes NAME.wav for each (16 kHz, one channel, 16 bits) and `chunks.jsonl`, in which the chunks
of all three arrive in turn, as from three microphones. Nobody's voice was recorded: a buzz
goes through three resonators that are tuned like a mouth that says vowels.
"""

import json
import pathlib
import sys
import wave

import numpy as np

RATE = 16000
CHUNK = 512
SECONDS = 2
# The frequencies at which a mouth resounds that says a vowel, in hertz.
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
WIDTHS = (80, 100, 140)


def resonate(sound, frequencies, width):
    """One resonance, whose frequency moves with the sound."""
    radius = np.exp(-np.pi * width / RATE)
    turns = 2 * radius * np.cos(2 * np.pi * frequencies / RATE)
    damping = -radius * radius
    out = np.zeros_like(sound)
    last, before = 0.0, 0.0
    for at, turn in enumerate(turns):
        value = (1 - turn - damping) * sound[at] + turn * last + damping * before
        out[at], before, last = value, last, value
    return out


def speak(vowels, pitch, random):
    """A syllable for each vowel: a hiss, then the voice."""
    sounds, mouths = [], []
    for vowel in vowels:
        hiss = RATE // 20
        voice = int(RATE * random.uniform(0.11, 0.18))
        melody = pitch * random.uniform(0.9, 1.1) * (1 + 0.15 * np.sin(np.linspace(0, np.pi, voice)))
        buzz = np.diff(np.floor(np.cumsum(melody) / RATE), prepend=0)
        swell = np.minimum(1, np.minimum(np.arange(voice), np.arange(voice)[::-1]) / (0.03 * RATE))
        sounds.append(0.05 * random.standard_normal(hiss) * np.hanning(hiss))
        sounds.append((buzz + 0.01 * random.standard_normal(voice)) * swell)
        mouths.append(np.tile(VOWELS[vowel], (hiss + voice, 1)))
    sound, mouth = np.concatenate(sounds), np.concatenate(mouths).astype(float)
    glide = np.ones(801) / 801
    for resonance, width in enumerate(WIDTHS):
        padded = np.pad(mouth[:, resonance], 400, "edge")
        sound = resonate(sound, np.convolve(padded, glide, "valid"), width)
    return 0.5 * sound / np.abs(sound).max()


def mix(*parts):
    """Sounds over one another, each with the second at which it begins."""
    whole = np.zeros(RATE * SECONDS)
    for begin, sound in parts:
        begin = int(RATE * begin)
        sound = sound[: len(whole) - begin]
        whole[begin : begin + len(sound)] += sound
    return whole


def recordings():
    """Each by its name."""
    random = np.random.default_rng(7)
    time = np.arange(RATE * SECONDS) / RATE

    def noise(loudness):
        return loudness * random.standard_normal(len(time))

    hum = sum(0.03 / harmonic * np.sin(2 * np.pi * 50 * harmonic * time) for harmonic in (1, 2, 3, 5))
    return {
        "kitchen": mix((0.0, noise(0.001)), (0.5, speak("aeio", 120, random))),
        "hall": mix((0.0, noise(0.01)), (0.1, speak("uo", 190, random)), (1.2, speak("iea", 200, random))),
        "garage": mix((0.0, noise(0.05)), (0.0, hum)),
    }


def chunks(samples):
    """The chunks of a recording as numbers from -1 to 1; the last is filled up with silence."""
    padded = np.pad(samples, (0, -len(samples) % CHUNK))
    return (padded.astype(np.float32) / 32768).reshape(-1, CHUNK)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    streams = {}
    for name, sound in recordings().items():
        samples = np.round(np.clip(sound, -1, 1) * 32767).astype("<i2")
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(samples.tobytes())
        streams[name] = chunks(samples)
    with open(folder / "chunks.jsonl", "w", encoding="utf-8") as lines:
        for turn in zip(*streams.values()):
            for name, chunk in zip(streams, turn):
                audio = [round(float(sample), 9) for sample in chunk]
                lines.write(json.dumps({"key": name, "inputs": {"audio": audio}}) + "\n")


if __name__ == "__main__":
    main()
