"""Makes what a release consists of. Names, version and description are Cargo.toml's, and stand nowhere else.

    python3 pack.py version [TAG]                     print the version; fail if the tag or the changelog has another
    python3 pack.py notes                             print what the changelog says of this version
    python3 pack.py words PROGRAM FOLDER              write completions and the manual page, which are the same everywhere
    python3 pack.py licences [TARGET]                 print the licence texts of the crates in the program; fail if one has none
    python3 pack.py archive TARGET PROGRAM WORDS OUT  make OUT/telecmi-cdr-VERSION-TARGET.tar.gz (.zip for Windows) and its sum
    python3 pack.py wheel OUT [WORD...]               make a wheel in OUT with maturin, which is given the words, too (--profile dev)
    python3 pack.py npm OUT ARCHIVE...                make the npm packages: one for each archive, and the one that people install

With GITHUB_REPOSITORY in the environment, the npm packages name it as their repository, as npm's provenance wants it.
"""
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHELLS = {"bash": "telecmi-cdr.bash", "zsh": "_telecmi-cdr", "fish": "telecmi-cdr.fish", "powershell": "_telecmi-cdr.ps1",
          "elvish": "telecmi-cdr.elv"}
# Node's names for platforms, and the target whose program their package holds. The two for Linux run with any libc, since they need none.
THIRD_PARTY = "THIRD-PARTY-LICENCES.txt"
PLATFORMS = {
    "darwin-arm64": "aarch64-apple-darwin",
    "darwin-x64": "x86_64-apple-darwin",
    "linux-arm64": "aarch64-unknown-linux-musl",
    "linux-x64": "x86_64-unknown-linux-musl",
    "win32-x64": "x86_64-pc-windows-msvc",
}


@functools.cache
def crate():
    """What Cargo.toml says of the package."""
    said = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1", "--manifest-path", ROOT / "Cargo.toml"],
                          check=True, capture_output=True, text=True).stdout
    return json.loads(said)["packages"][0]


def notes():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## \[{re.escape(crate()['version'])}\][^\n]*\n(.*?)(?=^## |^\[[^\]]+\]: |\Z)", changelog, re.M | re.S)
    if section is None or not section[1].strip():
        sys.exit(f"CHANGELOG.md says nothing of {crate()['version']}, which Cargo.toml has")
    return section[1].strip()


def version(tag=None):
    if tag not in (None, "v" + crate()["version"]):
        sys.exit(f"the tag is {tag}, and Cargo.toml has {crate()['version']}")
    notes()
    return crate()["version"]


def words(program, folder):
    def said(what):
        return subprocess.run([program, "--generate", what], check=True, capture_output=True).stdout

    for place in ["completions", "man"]:
        (Path(folder) / place).mkdir(parents=True, exist_ok=True)
    for shell, name in SHELLS.items():
        (Path(folder) / "completions" / name).write_bytes(said(shell))
    (Path(folder) / "man" / "telecmi-cdr.1").write_bytes(said("man"))


def crates(target=None):
    """The crates whose code is in the program for a target, by default this machine's: no dev-dependencies, no macros, no build scripts."""
    host = re.search(r"host: (\S+)", subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout)[1]
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target or host, "--manifest-path", ROOT / "Cargo.toml"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    packages = {package["id"]: package for package in said["packages"]}
    needs = {node["id"]: [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
             for node in said["resolve"]["nodes"]}
    found, rest = set(), [said["resolve"]["root"]]
    while rest:
        if (one := rest.pop()) not in found:
            found.add(one)
            is_macro = any("proc-macro" in target["kind"] for target in packages[one]["targets"])
            rest += [] if is_macro else needs[one]
    found.discard(said["resolve"]["root"])
    return sorted((packages[one] for one in found), key=lambda package: (package["name"], package["version"]))


def licences(target=None):
    """The licence texts that must go with the program, each with the crates that have it."""
    texts, missing = {}, []
    for package in crates(target):
        folder = Path(package["manifest_path"]).parent
        files = {file for file in folder.iterdir() if re.match(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", file.name, re.I) and file.is_file()}
        files |= {folder / package["license_file"]} if package["license_file"] else set()
        if not files:
            missing.append(f"{package['name']} {package['version']} ({package['license']})")
        for file in sorted(files):
            text = file.read_text(encoding="utf-8", errors="replace").strip()
            names = texts.setdefault(" ".join(text.split()), (text, []))[1]
            names.append(f"{package['name']} {package['version']} ({package['license']})")
    if missing:
        sys.exit("no licence text: " + ", ".join(missing))
    parts = ["\n".join([*dict.fromkeys(names), "", text]) for text, names in sorted(texts.values(), key=lambda item: item[1])]
    return ("\n\n" + "-" * 80 + "\n\n").join(["Licences of the crates that are compiled into telecmi-cdr.", *parts]) + "\n"


def archive(target, program, texts, out):
    name = f"telecmi-cdr-{crate()['version']}-{target}"
    Path(out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        shutil.copytree(texts, folder)
        for file in [program, *(ROOT / text for text in ["LICENSE", "README.md", "CHANGELOG.md"])]:
            shutil.copy(file, folder)
        (folder / THIRD_PARTY).write_text(licences(target), encoding="utf-8")
        # Only the program is to be run, whatever the files were allowed on the way here.
        for file in folder.rglob("*"):
            file.chmod(0o755 if file.is_dir() or file.name == Path(program).name else 0o644)
        kind = "zip" if "windows" in target else "gztar"
        made = Path(shutil.make_archive(str(Path(out) / name), kind, place, name, owner="root", group="root"))
    # As `sha256sum --check` reads it, from the folder that both are in.
    Path(f"{made}.sha256").write_text(f"{hashlib.sha256(made.read_bytes()).hexdigest()}  {made.name}\n", encoding="ascii")
    return made


def wheel(out, *more):
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(HERE / "pypi", place, dirs_exist_ok=True)
        # The licence belongs into a wheel, and may only come from beside its pyproject.toml.
        for file in [ROOT / "LICENSE", HERE / "README.md"]:
            shutil.copy(file, place)
        target = more[more.index("--target") + 1] if "--target" in more else None
        (Path(place) / THIRD_PARTY).write_text(licences(target), encoding="utf-8")
        about = (HERE / "pypi" / "pyproject.toml").read_text(encoding="utf-8")
        about = about.replace('"../../Cargo.toml"', json.dumps(str(ROOT / "Cargo.toml"))).replace('"../README.md"', '"README.md"')
        (Path(place) / "pyproject.toml").write_text(about, encoding="utf-8")
        profile = [] if "--profile" in more else ["--profile", "dist"]
        subprocess.run(["maturin", "build", *profile, "--locked", "--quiet", "--out", Path(out).resolve(), *more], cwd=place, check=True)


def platform(target):
    """Node's name for the platform of a target."""
    return next(name for name, other in PLATFORMS.items() if other == target.replace("-linux-gnu", "-linux-musl"))


def taken(packed, folder):
    """Takes the program out of an archive, and tells Node's name for the platform it is for."""
    name = packed.name.removesuffix(".zip").removesuffix(".tar.gz")
    found = platform(name.removeprefix(f"telecmi-cdr-{crate()['version']}-"))
    program = folder / "bin" / ("telecmi-cdr.exe" if found.startswith("win32") else "telecmi-cdr")
    program.parent.mkdir(parents=True)
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as files:
            for file in (program, folder / THIRD_PARTY):
                file.write_bytes(files.read(f"{name}/{file.name}"))
    else:
        with tarfile.open(packed) as files:
            for file in (program, folder / THIRD_PARTY):
                file.write_bytes(files.extractfile(f"{name}/{file.name}").read())
    program.chmod(0o755)
    return found


def package(folder, out, **fields):
    """Packs a folder as npm would publish it."""
    about = {"version": crate()["version"], "description": crate()["description"], "license": crate()["license"], **fields}
    if "GITHUB_REPOSITORY" in os.environ:
        about["repository"] = {"type": "git", "url": f"git+https://github.com/{os.environ['GITHUB_REPOSITORY']}.git"}
    (folder / "package.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", folder)
    shutil.copy(HERE / "README.md", folder)
    said = subprocess.run([shutil.which("npm") or "npm", "pack", "--json", "--silent", "--pack-destination", str(Path(out).resolve())],
                          cwd=folder, check=True, capture_output=True, text=True).stdout
    return Path(out) / re.search(r'"filename": "([^"]+)"', said)[1]


def npm(out, *archives):
    Path(out).mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory() as place:
        for packed in archives:
            folder = Path(place) / str(len(made))
            found = taken(Path(packed), folder)
            system, processor = found.split("-")
            made.append(package(folder, out, name=f"@telecmi-cdr/{found}", os=[system], cpu=[processor], preferUnplugged=True,
                                publishConfig={"access": "public"}))
        main = Path(place) / "main"
        shutil.copytree(HERE / "npm", main)
        made.append(package(main, out, name="telecmi-cdr", keywords=crate()["keywords"], bin={"telecmi-cdr": "bin/telecmi-cdr.js"},
                            main="index.js", types="index.d.ts", engines={"node": ">=18"},
                            optionalDependencies={f"@telecmi-cdr/{name}": crate()["version"] for name in PLATFORMS}))
    return made


def main():
    commands = {"version": version, "notes": notes, "words": words, "licences": licences, "archive": archive, "wheel": wheel, "npm": npm}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    made = commands[sys.argv[1]](*sys.argv[2:])
    print(*(made if isinstance(made, list) else [made] if made else []), sep="\n")


if __name__ == "__main__":
    main()
