"""Writes requirements.txt from requirements.in: every package pinned, every wheel with its digest.

For maintainers only: `cargo xtask setup` reads the result and never runs this file.
Run it as `python3 host/xtask/lock.py` (needs pip 23 or newer and the network; nothing is installed);
with the folder of another requirements.in behind it for that one.
pip itself resolves and names the digests, so what is written is what pip would have chosen.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
WANTED = FOLDER / "requirements.in"
LOCKED = FOLDER / "requirements.txt"

# The interpreters and machines whose wheels are accepted. A wheel for another one is refused by
# pip when it is installed, so a machine that is missing here gets an error and not a surprise.
# (macOS is missing because not every package here publishes wheels for it.)
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
MACHINES = {
    "Linux x86_64": ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
    "Linux aarch64": ["manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"],
}


def report(requirements, python, platforms, *more):
    """What pip would install: a list of (name, version, sha256)."""
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
        command += [word for platform in platforms for word in ("--platform", platform)]
        command += ["--target", scratch, "--report", str(out), "--requirement", str(requirements), *more]
        subprocess.run(command, check=True)
        installs = json.loads(out.read_text())["install"]
    return [
        (
            install["metadata"]["name"].lower().replace("_", "-").replace(".", "-"),
            install["metadata"]["version"],
            install["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for install in installs
    ]


def main():
    """Resolves once, for the oldest interpreter, then asks for the same versions everywhere."""
    versions = {name: version for name, version, _ in report(WANTED, PYTHONS[0], MACHINES["Linux x86_64"])}
    digests = {name: set() for name in versions}
    with tempfile.TemporaryDirectory() as scratch:
        pins = pathlib.Path(scratch) / "pins.txt"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))
        for machine, platforms in MACHINES.items():
            for python in PYTHONS:
                print(f"lock: {machine}, Python {python}", flush=True)
                for name, _, digest in report(pins, python, platforms, "--no-deps"):
                    digests[name].add(digest)
    lines = [
        "# Written by host/xtask/lock.py from requirements.in: do not edit by hand.",
        f"# Wheels of CPython {PYTHONS[0]} to {PYTHONS[-1]} for {', '.join(MACHINES)}.",
    ]
    for name in sorted(versions):
        lines.append(f"{name}=={versions[name]} \\")
        hashes = [f"    --hash=sha256:{digest}" for digest in sorted(digests[name])]
        lines.append(" \\\n".join(hashes))
    LOCKED.write_text("\n".join(lines) + "\n")
    print(f"lock: {len(versions)} packages, {sum(map(len, digests.values()))} wheels -> {LOCKED.name}")


if __name__ == "__main__":
    main()
