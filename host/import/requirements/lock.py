"""Writes NAME.txt from NAME.in for each environment: every package pinned, every wheel with its digest.

For maintainers only; the host never runs this file. Run it as
`python3 host/import/requirements/lock.py [NAME...]` (needs pip 23 or newer and the network; nothing
is installed). pip itself resolves and names the digests.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

# A wheel for another interpreter or machine is refused by pip when it is installed; `--python` with
# an environment of one's own is the way there.
PYTHONS = {"tabular": ["3.11", "3.12", "3.13", "3.14"], "tensorflow": ["3.11", "3.12", "3.13"], "torch": ["3.11", "3.12", "3.13"]}
MACHINES = {
    f"Linux {machine}": [f"manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)] + [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"linux_{machine}"]
    for machine in ("x86_64", "aarch64")
}
# Environments for which one machine only has all wheels.
ONLY = {"tensorflow": ["Linux x86_64"], "torch": ["Linux x86_64"]}


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


def lock(name):
    """Resolves once, for the oldest interpreter, then asks for the same versions everywhere."""
    wanted, locked = HERE / f"{name}.in", HERE / f"{name}.txt"
    pythons = PYTHONS[name]
    machines = {machine: tags for machine, tags in MACHINES.items() if machine in ONLY.get(name, MACHINES)}
    versions = {package: version for package, version, _ in report(wanted, pythons[0], MACHINES["Linux x86_64"])}
    digests = {package: set() for package in versions}
    with tempfile.TemporaryDirectory() as scratch:
        pins = pathlib.Path(scratch) / "pins.txt"
        pins.write_text("".join(f"{package}=={version}\n" for package, version in sorted(versions.items())))
        for machine, platforms in machines.items():
            for python in pythons:
                print(f"lock: {name}, {machine}, Python {python}", flush=True)
                for package, _, digest in report(pins, python, platforms, "--no-deps"):
                    digests[package].add(digest)
    lines = [
        f"# Written by host/import/requirements/lock.py from {name}.in: do not edit by hand.",
        f"# Wheels of CPython {pythons[0]} to {pythons[-1]} for {', '.join(machines)}.",
    ]
    for package in sorted(versions):
        lines.append(f"{package}=={versions[package]} \\")
        lines.append(" \\\n".join(f"    --hash=sha256:{digest}" for digest in sorted(digests[package])))
    locked.write_text("\n".join(lines) + "\n")
    print(f"lock: {len(versions)} packages, {sum(map(len, digests.values()))} wheels -> {locked.name}")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(PYTHONS):
        lock(name)
