#!/usr/bin/python3
"""postmap and postalias against Postfix's own, on a corpus of tables and keys.

Each folder of tests/compat/maps holds tables and a file `commands`, played in a fresh copy of the folder, one after the other:

  ? TABLE KEY...           postmap -q KEY TABLE, for each key
  postmap ARGS             as it stands (postalias too)
  'TEXT' | postmap ARGS    with TEXT on standard input

Quoting is the shell's; \\n, \\t and \\xNN are read in keys and texts. Where there is a file `types`, all of it is played once for each
of these words in the place of TYPE. What Postfix did stands in `expected` (`expected-TYPE`): standard output, standard error (`! `), exit status (`= `).
Ours has to do the same; what may differ stands in DIFFERENCES, with the reason, and nowhere else.

  python3 tests/compat/test_maps_corpus.py --record [NAME...]   records anew from Postfix
  python3 tests/compat/test_maps_corpus.py --diff [NAME...]     shows what differs

HIKYAKU_BUILD: the build to test. POSTFIX_ROOT: an unpacked Postfix, for recording.
"""
import concurrent.futures, difflib, hashlib, os, pathlib, re, shlex, shutil, subprocess, sys, tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests/compat/maps"
OURS = ROOT / os.environ.get("HIKYAKU_BUILD", "build/test") / "bin"
POSTFIX = [os.environ.get("POSTFIX_ROOT", ""), "/var/tmp/peers/postfix"]
SHOWN = 2000  # longer output is recorded by its length and digest

MAIN_CF = "compatibility_level = 3.6\nmyhostname = mail.example.test\nmydomain = example.test\nalias_maps =\nalias_database =\n"

# (folder, command, line, why): regular expressions; lines that match are left out on both sides; line None: the whole command is.
DIFFERENCES = [
    ("*", r"^\$ \? +(static|fail|randmap):", None, "an empty key is never looked up"),
    ("message", r"/\^\$/ empty", None, "an empty key is never looked up; header and body checks never do"),
    ("*", r"^\$ '' '\|' postmap -q - ", r"^! postmap: warning: ", "tables are opened before the first key is read"),
    ("regexp|pcre", r"^\$ \? a \w+:etc", r"^! postmap: fatal: \w+ map etc: read error", "a folder is no empty table"),
    ("pcre", r"aaaaab pcre:limits", r"^! postmap: fatal: table ", "a match that meets PCRE's limits is trouble, not `not found`"),
    ("constant", r"^\$ postmap -d |postmap -i fail:", None, "a table that takes no changes says so when it is opened for them"),
    ("alias", r"postalias -q '.*(quoted name|a\"b|two words)", None, "Postfix 3.12 keeps the quotes in keys of aliases, 3.7 did not"),
    ("inline", r"\{a=b, a=c\}", None, "Postfix 3.12 warns of a duplicate; the first one counts here, as everywhere"),
    ("*", r"^\$ (\? +|post(map|alias) -q '' )lmdb:", None, "an empty key is never looked up; LMDB calls it an error"),
    ("*", r"^\$ post(map|alias) -d \S+ lmdb:nothere", None, "Postfix makes an empty lmdb: table of a name in a deletion"),
    ("*", r"^\$ post(map|alias) -s cdb:", None, "Postfix walks a cdb: table since 3.10"),
]
# What a table says of its text each time it is opened is recorded the first time.
REPEATED = re.compile(r"^! .*warning: (\S+ map .*|\S+), line \d+: |^! .*warning: (empty macro name|truncated macro|\S+: logical line)")
# Commands whose answer is one of several.
ANY_OF = {"randmap": r"^\? "}


def generate(folder):
    """Tables that are too large for the repository."""
    if (folder / "huge").exists():
        (folder / "huge").write_text("small s\nhuge " + "x" * 1_000_000 + "\nwords " + "word " * 200_000 + "end\nmany a\n" + " b\n" * 100_000)
        (folder / "huge.pat").write_text("/^small$/ s\n/^huge$/ " + "x" * 1_000_000 + "\n/^w(or)ds$/ " + "word$1 " * 150_000 + "end\n")


def unescape(word):
    return re.sub(r"\\(n|t|\\|x[0-9a-fA-F]{2})", lambda m: {"n": "\n", "t": "\t", "\\": "\\"}.get(m[1]) or
                  bytes([int(m[1][1:], 16)]).decode("latin-1"), word).encode("latin-1")


def kinds(name):
    return (CORPUS / name / "types").read_text().split() if (CORPUS / name / "types").exists() else [""]


def commands(name, kind):
    """(as it stands in the record, standard input, arguments)"""
    text = (CORPUS / name / "commands").read_bytes().decode("latin-1").replace("TYPE", kind)
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        words = shlex.split(line)
        if words[0] == "?":
            for key in words[2:]:
                yield f"? {key} {words[1]}", b"", [b"postmap", b"-q", unescape(key), unescape(words[1])]
        elif words[1] == "|":
            yield line, unescape(words[0]), [unescape(w) for w in words[2:]]
        else:
            yield line, b"", [unescape(w) for w in words]


def shown(text):
    if len(text) > SHOWN:
        return [f"({len(text)} bytes, {hashlib.sha256(text).hexdigest()[:16]})"]
    lines = text.decode("latin-1").split("\n")
    return lines[:-1] if lines[-1] == "" else lines[:-1] + [lines[-1] + "(no line end)"]


def normal_stderr(text):
    lines = [re.sub(r"^(?:\S*/)?(post\w+): ", r"\1: ", l) for l in text.decode("latin-1").splitlines()]
    return [l if len(l) < SHOWN else l[:200] + "..." for l in lines]


def one(folder, bin_folder, title, stdin, args):
    r = subprocess.run([os.path.join(bin_folder, args[0].decode()), "-c", folder / "etc", *args[1:]], input=stdin, capture_output=True, cwd=folder,
                       env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/", "MAIL_CONFIG": str(folder / "etc")}, timeout=60)
    out = shown(r.stdout)
    if " -s " in f"{title} ":
        out = sorted(out)  # the order is the library's
    err = normal_stderr(r.stderr.replace(str(folder).encode(), b"DIR"))
    return [f"$ {title}".encode("unicode_escape").decode()] + out + ["! " + l for l in err] + [f"= {r.returncode}", ""]


def record(name, kind, bin_folder, more_main_cf):
    with tempfile.TemporaryDirectory(prefix="hk-maps-") as top:
        folder = pathlib.Path(top) / "t"
        shutil.copytree(CORPUS / name, folder)
        generate(folder)
        (folder / "etc").mkdir()
        (folder / "etc/main.cf").write_text(MAIN_CF + more_main_cf)
        for f in folder.iterdir():  # an index must be newer than its source
            os.utime(f, (1_600_000_000, 1_600_000_000))
        said, blocks = set(), []
        for c in commands(name, kind):
            block = one(folder, bin_folder, *c)
            blocks.append([l for l in block if l not in said])
            said.update(l for l in block if REPEATED.search(l))
        return blocks


def postfix():
    """Where Postfix's programs are, and what they need in main.cf; None: nowhere."""
    for root in map(pathlib.Path, filter(None, POSTFIX)):
        if (root / "usr/sbin/postmap").exists():
            return root / "usr/sbin", f"shlib_directory = {root}/usr/lib/postfix\nmeta_directory = {root}/meta\ndaemon_directory = {root}/usr/lib/postfix/sbin\n"
    return None


def text_of(blocks):
    return "\n".join(l for b in blocks for l in b) + "\n"


def blocks_of(text):
    """The record of each command, by its first line."""
    out, block = [], []
    for line in text.split("\n"):
        if line.startswith("$ ") and block:
            out.append(block)
            block = []
        block.append(line)
    return out + [block] if block else out


def except_known(name, block):
    for folder, command, line, _ in DIFFERENCES:
        if (folder == "*" or re.fullmatch(folder, name)) and re.search(command, block[0]):
            block = block[:1] + [l for l in block[1:] if line is not None and not re.search(line, l)]
    return [l for l in block if l]


def expected(name, kind):
    return CORPUS / name / ("expected-" + kind if kind else "expected")


def differences(name, kind):
    theirs = blocks_of(expected(name, kind).read_bytes().decode("latin-1"))
    ours = record(name, kind, OURS, "")
    assert len(theirs) == len(ours), f"{name}: commands have changed; --record"
    allowed = {"\n".join(b[1:]).strip() for b in theirs} if name in ANY_OF else set()
    out = []
    for a, b in zip(theirs, ours):
        if "\n".join(b[1:]).strip() in allowed:
            continue
        a, b = except_known(name, a), except_known(name, b)
        if a != b:
            out += [b[0], *list(difflib.unified_diff(a[1:], b[1:], "Postfix", "ours", n=0, lineterm=""))[2:]]
    return out, len(ours)


CASES = [(p.name, kind) for p in sorted(CORPUS.iterdir()) if (p / "commands").exists() for kind in kinds(p.name)]


@pytest.mark.parametrize("name,kind", CASES, ids=["-".join(filter(None, c)) for c in CASES])
def test_tables_as_postfix(name, kind):
    known = subprocess.run([OURS / "postconf", "-m"], capture_output=True, text=True).stdout.split()
    if kind and kind not in known:
        pytest.skip(f"{kind}: tables are not built")
    out, n = differences(name, kind)
    assert not out, "\n".join(out)
    print(f"{n} answers are Postfix's")


@pytest.mark.parametrize("kind", kinds("indexed"))
@pytest.mark.parametrize("builder", ["Postfix", "ours"])
def test_files_are_exchanged(builder, kind):
    """What one builds the other reads."""
    if kind not in subprocess.run([OURS / "postconf", "-m"], capture_output=True, text=True).stdout.split():
        pytest.skip(f"{kind}: tables are not built")
    if not postfix():
        pytest.skip("no Postfix: POSTFIX_ROOT")
    theirs, more_main_cf = postfix()
    bins = (theirs, OURS) if builder == "Postfix" else (OURS, theirs)
    with tempfile.TemporaryDirectory(prefix="hk-maps-") as top:
        folder = pathlib.Path(top) / "t"
        shutil.copytree(CORPUS / "indexed", folder)
        generate(folder)
        (folder / "etc").mkdir()
        (folder / "etc/main.cf").write_text(MAIN_CF + more_main_cf)
        answers = []
        for build in ("postmap TYPE:t", "postmap TYPE:huge"):
            one(folder, bins[0], build, b"", [w.encode() for w in build.replace("TYPE", kind).split()])
        for c in commands("indexed", kind):
            if re.match(rf"\? .* {kind}:(t|huge)$", c[0]) and not c[0].startswith("?  "):
                answers.append(one(folder, bins[1], *c))
    recorded = {b[0]: b for b in blocks_of(expected("indexed", kind).read_bytes().decode("latin-1"))}
    assert len(answers) > 30
    for a in answers:
        assert [l for l in a if l] == [l for l in recorded[a[0]] if l]
    print(f"{len(answers)} answers from {builder}'s file")


def main():
    cases = [c for c in CASES if len(sys.argv) < 3 or c[0] in sys.argv[2:] or "-".join(filter(None, c)) in sys.argv[2:]]
    if sys.argv[1:2] == ["--record"]:
        where = postfix() or sys.exit("no Postfix: POSTFIX_ROOT")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:  # Postfix sleeps a second when something is fatal
            records = list(pool.map(lambda c: record(*c, *where), cases))
        for case, blocks in zip(cases, records):
            expected(*case).write_bytes(text_of(blocks).encode("latin-1"))
            print(f"{'-'.join(filter(None, case))}: {len(blocks)}")
    elif sys.argv[1:2] == ["--diff"]:
        for case in cases:
            out, n = differences(*case)
            print(f"== {'-'.join(filter(None, case))}: {n} asked, {sum(l.startswith('$ ') for l in out)} differ")
            print("\n".join(out))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
