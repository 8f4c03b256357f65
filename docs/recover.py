# ruff: noqa: BLE001, T201 - whatever damaged bytes raise, the next version is tried
# fmt: off
"""Take every payload out of an art repository, by FORMAT.md alone: python recover.py STORE TARGET

STORE is a `.art` folder, one that holds it, or a bare store; TARGET is a new folder. A version goes to
TARGET/KEY/vN/ or TARGET/_anonymous/UID/; a part of KEY that looks like vN gets a `!` in front. All is
verified: what is damaged is named and left out, and the exit code is then 1."""
import json
import os
import re
import struct
import sys
from bisect import bisect_left
from pathlib import Path

import yaml
import zstandard
from blake3 import blake3

HEAD, RECORD, LISTED = struct.Struct("<8s32s32s32s6I"), struct.Struct("<32s4I"), "<32sI"
ODD = set('\0\\:*?"<>|' if os.name == "nt" else "\0")  # what no path may hold

def need(right, what):
    if not right:
        raise ValueError(what)

def read_document(path):  # FORMAT §3
    data = path.read_bytes() if path.is_file() and path.stat().st_size <= 1 << 20 else b""
    need(data[-40:] == b"check: " + blake3(data[:-40]).hexdigest()[:32].encode() + b"\n", "it is damaged")
    tricks = [e for e in yaml.parse(data) if getattr(e, "anchor", None) or getattr(e, "tag", None)]
    document = {} if tricks else yaml.safe_load(data)
    need(document.get("art") == 1, "it is written by a newer art, or has an anchor, alias or tag")
    return document

def read_layouts(store, tree, names=()):  # FORMAT §8; a layout comes before the one it extends
    folder = store / "layouts" / tree[:2] / tree
    for name in names or sorted(path.name for path in folder.glob("*")):
        try:
            data = (folder / name).read_bytes()
            _, _, base_of, base, _, p, c, f, t, s = HEAD.unpack_from(data)
            first = 128 + 32 * p + 4 * 2 ** min(f, 17)
            pieces, table = range(first, first + 48 * t, 48), first + 52 * t + s
            listed = b"".join(data[at : at + 32] + data[at + 44 : at + 48] for at in pieces)
            need((blake3(data).hexdigest(), blake3(listed).hexdigest()) == (name, tree), "it is damaged")
            yield data, pieces, range(table, table + 48 * c, 48)
            yield from () if names or not any(base) else read_layouts(store, base_of.hex(), [base.hex()])
        except (OSError, ValueError, struct.error) as error:
            print(f"layout {name} is left out: {error}", file=sys.stderr)

def read_chunk(store, layouts, digest, size, piece=slice(0)):  # FORMAT §7
    problem = f"no layout has chunk {digest.hex()}"
    for layout, pieces, table in layouts:
        at = bisect_left(table, digest, key=lambda at, layout=layout: layout[at : at + 32])
        for record in (*table[at : at + 1], *pieces[piece]):
            try:
                found, pack, offset, length, _ = RECORD.unpack_from(layout, record)
                need(found == digest and size <= 8 << 20 and 0 < length <= 9 << 20, problem)
                pack = layout[128 + 32 * pack : 160 + 32 * pack].hex()
                with (store / "packs" / pack[:2] / f"{pack}.pack").open("rb") as file:
                    file.seek(offset)
                    kind, data = file.read(1), file.read(length - 1)
                if kind == b"\1" and zstandard.frame_content_size(data) == size:
                    data = zstandard.ZstdDecompressor().decompress(data)
                need(len(data) == size and blake3(data).digest() == digest, f"pack {pack} is damaged")
                return data
            except Exception as error:
                problem = error
    raise ValueError(problem)

def read_nodes(store, layouts):  # FORMAT §5
    rest = b""
    for index, at in enumerate(layouts[0][1]):
        digest, *_, size = RECORD.unpack_from(layouts[0][0], at)
        rest += read_chunk(store, layouts, digest, size, slice(index, index + 1))
        *lines, rest = rest.split(b"\n")
        yield from map(json.loads, lines)
        need(len(rest) <= 16 << 20, "a line of its tree is too long")

def read_file(store, layouts, node):
    listed = node.get("list") or node.get("chunks") or [[node["b3"], node["size"]]] * bool(node["size"])
    parts = (read_chunk(store, layouts, bytes.fromhex(b3), size) for b3, size in listed)
    chunks = struct.iter_unpack(LISTED, b"".join(parts)) if "list" in node else ()
    return (read_chunk(store, layouts, *each) for each in chunks) if "list" in node else parts

def write(target, blocks, b3, mode="644"):
    with target.open("xb") as file:  # over nothing, and not through a link
        digest = blake3()
        try:
            for block in blocks:
                file.write(block)
                digest.update(block)
            need(b3 in (None, digest.hexdigest()), "its content is damaged")
        except Exception:
            target.unlink()
            raise
    target.chmod(int(mode, 8) & 0o777)

def put(folder, node, content, folders):  # FORMAT §14
    target = folder / os.fsdecode(node["path"].encode("utf-8", "surrogateescape"))
    wrong = {"", ".", "..", ".art"} & set(node["path"].lower().split("/")) or ODD & set(node["path"])
    need(not wrong and not any(map(Path.is_symlink, (target, *target.parents))), "a path out of it")
    (target if "dir" in node else target.parent).mkdir(parents=True, exist_ok=True)
    if "link" in node:
        target.symlink_to(node["link"])
    elif "dir" not in node:
        write(target, content, node["b3"], node["mode"])
    folders += [(target, int(node["mode"], 8) & 0o777)] if "dir" in node else []

def recover(store, manifest, target, name):  # yields what is not whole
    carried, folders, folder = manifest.get("payload") or {}, [], target / place(name, manifest)
    folder.mkdir(parents=True)
    for kind in {"inline", "reference"} & set(carried):
        write(folder / kind, [carried[kind].encode()], carried.get("b3"))
    layouts = list(read_layouts(store, carried["tree"])) if "tree" in carried else []
    need(layouts or "tree" not in carried, "its payload is not here")
    for node in read_nodes(store, layouts) if layouts else ():
        try:
            put(folder, node, read_file(store, layouts, node) if "b3" in node else (), folders)
        except Exception as error:
            yield f"{node['path']!a}: {error}"
    for path, mode in reversed(folders):
        path.chmod(mode)

def place(name, manifest):  # FORMAT §2.1
    key, uid, number = manifest.get("key"), manifest["uid"], name.rpartition("/v")[2][:-5]
    right = f"manifests/{key}/v{number}.yaml" if key else f"anonymous/{uid}.yaml"
    is_safe = re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", key or uid)
    need(is_safe and right.lower() == name.replace("!", ""), "it is about something else")
    folder = key and re.sub("(?<![^/])(?=v[0-9]+(/|$))", "!", key)
    return f"{folder}/v{int(number)}" if key else f"_anonymous/{uid}"

def main(store, target):
    read_document(store / "format.yaml")
    need(all(re.match("write-|gc-", path.name) for path in store.glob("features/*")), "it is newer")
    target.mkdir(parents=True)
    paths, damaged = sorted([*store.glob("manifests/**/v*.yaml"), *store.glob("anonymous/*.yaml")]), 0
    for path in paths:
        name, problems = path.relative_to(store).as_posix(), []
        try:
            problems.extend(recover(store, read_document(path), target, name))
        except Exception as error:
            problems.append(error)
        damaged += bool(problems)
        sys.stderr.writelines(f"{name}: {problem}\n" for problem in problems)
    print(f"{len(paths)} versions, {damaged} of them not whole")
    return 1 if damaged else 0

if __name__ == "__main__":
    at, to = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    sys.exit(f"{to} is there" if to.exists() else main(at / ".art" if (at / ".art").is_dir() else at, to))
