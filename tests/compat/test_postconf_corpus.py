#!/usr/bin/python3
"""postconf against Postfix's own, on a corpus of configurations.

Each folder of tests/compat/postconf is a configuration (main.cf, maybe master.cf, maybe more `commands`). What Postfix's
postconf did with it stands in its file `expected`: standard output, standard error (`! `), exit status (`= `), and what changed in
the files (`@ `). Ours has to do the same; what may differ stands in DIFFERENCES, with the reason, and nowhere else.

  python3 tests/compat/test_postconf_corpus.py --record [NAME...]   records anew from Postfix
  python3 tests/compat/test_postconf_corpus.py --diff [NAME...]     shows what differs

HIKYAKU_BUILD: the build to test. POSTFIX_POSTCONF: Postfix's postconf, for recording.
"""
import concurrent.futures, difflib, os, pathlib, re, shlex, shutil, subprocess, sys, tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests/compat/postconf"
OURS = ROOT / os.environ.get("HIKYAKU_BUILD", "build/test") / "bin/postconf"
CANDIDATES = [os.environ.get("POSTFIX_POSTCONF", ""), "/var/tmp/peers/postfix/usr/sbin/postconf", ROOT / "build/peers/postfix/usr/sbin/postconf"]

# Asked of every configuration; each change is made on a fresh copy.
SHOW = ["-n", "-nf", "-nx", "-M", "-Mf", "-Mx", "-F", "-Ff '*/*/command'", "-P", "-Px", "-C user", "-h myhostname", "-H mydestination",
        "-d mydestination smtpd_timeout smtp_helo_timeout default_destination_concurrency_limit hopcount_limit"]
CHANGE = ["-e mydestination=new.example", "'brand_new = a  b'", "-X myhostname mynetworks", "'-#' mydestination relayhost", "'-M#' smtp/unix", "-MX smtp/inet",
          "-Me 'smtp/unix=smtp unix - - n - 7 smtp -o a=b -o { c = d e }'", "-F '*/unix/chroot=y'", "-P smtp/inet/syslog_name=x", "-PX smtp/inet/syslog_name"]

# ---- what may differ

# (a line of standard error, None to leave it out or else what it becomes, why)
STDERR = [
    (r"support for parameter .* will be removed", None, "Postfix 3.9 and later say this, 3.7 did not"),
    (r"fatal: usage: .*", "fatal: usage", "3.12 has -j and -q, and Postfix names the program with its path"),
    (r"(postconf: fatal: invalid \S+ field .* in \".*) \"$", r'\1"', "an edit of master.cf shows the line end as a blank"),
    (r"(missing '}' in \".*)\?\"$", r'\1"', "an edit of master.cf shows the line end as a question mark"),
]
# (a line of standard output, None or what it becomes, why)
STDOUT = [
    (r"hash:/etc/aliases, nis:mail\.aliases", "hash:/etc/aliases", "ours is built without NIS"),
    (r"\$daemon_directory/postconf \d+ |/libexec/postfix/postconf \d+ ", "PROGRAM PID ", "$process_id is another one each time"),
]
# Whole commands: (configuration, command, why)
COMMANDS = [
    ("*", r"-\S*F\S*h", "Postfix 3.7 prints no blank between a command and its first argument"),
    ("comments-only", r"^-h myhostname", "the name of the host it runs on"),
    ("empty-main", r"^-h myhostname", "the name of the host it runs on"),
    ("no-final-newline", r"^(-e|'|-X|-M[eX]|'-|-P|-F ')", "Postfix appends to the last line when that has no line end, which loses both"),
]


def first_reading(lines):
    """Postfix reads main.cf several times and warns each time, also of what its first reading left behind."""
    last, kept = 0, []
    for line in lines:
        m = re.search(r"line (\d+): overriding earlier entry", line)
        if m and int(m[1]) <= last:
            continue
        last = int(m[1]) if m else last
        kept.append(line)
    return kept


def normal_stderr(text, folder):
    lines = []
    for line in text.replace(str(folder), "DIR").splitlines():
        line = re.sub(r"^(?:\S*/)?postconf: ", "postconf: ", line)
        for pattern, becomes, _ in STDERR:
            if re.search(pattern, line):
                line = None if becomes is None else re.sub(pattern, becomes, line)
                break
        if line is not None:
            lines.append(line)
    lines = list(dict.fromkeys(first_reading(lines)))  # each once
    # Warnings come in the order of a hash table.
    return sorted(l for l in lines if ": warning: " in l) + [l for l in lines if ": warning: " not in l]


def normal_stdout(text, folder):
    lines = []
    for line in text.replace(str(folder), "DIR").splitlines():
        for pattern, becomes, _ in STDOUT:
            if re.search(pattern, line):
                line = None if becomes is None else re.sub(pattern, becomes, line)
                break
        if line is not None:
            lines.append(line)
    return lines


def is_excepted(name, command):
    return any(n in ("*", name) and re.search(c, command) for n, c, _ in COMMANDS)


# ---- running

def read(folder):
    return {n: (folder / n).read_bytes().decode(errors="surrogateescape") if (folder / n).exists() else "" for n in ("main.cf", "master.cf")}


def one(postconf, name, command):
    """The record of one command on a fresh copy."""
    with tempfile.TemporaryDirectory(prefix="hk-postconf-") as top:
        folder = pathlib.Path(top) / "etc"
        folder.mkdir()
        for f in ("main.cf", "master.cf"):
            if (CORPUS / name / f).exists():
                shutil.copyfile(CORPUS / name / f, folder / f)
                os.utime(folder / f, (1e9, 1e9))  # Postfix waits when a file is younger than two seconds
        before = read(folder)
        r = subprocess.run([postconf, "-c", folder, *shlex.split(command)], capture_output=True, stdin=subprocess.DEVNULL,
                           env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, timeout=60)
        after = read(folder)
        out = [f"$ postconf {command}"]
        out += normal_stdout(r.stdout.decode(errors="surrogateescape"), folder)
        out += ["! " + l for l in normal_stderr(r.stderr.decode(errors="surrogateescape"), folder)]
        out += [f"= {r.returncode}"]
        for f in before:
            diff = list(difflib.unified_diff(before[f].split("\n"), after[f].split("\n"), f, f, n=0, lineterm=""))
            out += [f"@ {l}" for l in diff if not re.match(r"^(---|\+\+\+) ", l)]
        return out + [""]


def record(postconf, name):
    extra = CORPUS / name / "commands"
    commands = SHOW + CHANGE + (extra.read_text().splitlines() if extra.exists() else [])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        parts = pool.map(lambda c: one(postconf, name, c), [c for c in commands if not is_excepted(name, c)])
    return "\n".join(l for p in parts for l in p) + "\n"


def expected(name):
    return (CORPUS / name / "expected").read_bytes().decode(errors="surrogateescape")


def oracle():
    return next((pathlib.Path(c) for c in CANDIDATES if str(c) and pathlib.Path(c).exists()), None)


def names():
    return sorted(p.name for p in CORPUS.iterdir() if (p / "main.cf").exists())


def difference(name):
    want, got = expected(name), record(OURS, name)
    return "\n".join(difflib.unified_diff(want.splitlines(), got.splitlines(), "Postfix", "hikyaku", n=2, lineterm=""))


@pytest.mark.parametrize("name", names())
def test_as_postfix(name):
    text = difference(name)
    assert not text, "\n" + text.encode(errors="replace").decode()


@pytest.mark.parametrize("name", ["duplicates", "expr-compare", "master-braces", "requests"])
def test_record_is_what_postfix_does(name):
    if oracle() is None:
        pytest.skip("no Postfix to compare with")
    assert record(oracle(), name) == expected(name)


def test_the_corpus_is_large():
    assert len(names()) >= 60


def main():
    chosen = sys.argv[2:] or names()
    if sys.argv[1:2] == ["--record"]:
        if oracle() is None:
            sys.exit("no Postfix: set POSTFIX_POSTCONF")
        for n in chosen:
            (CORPUS / n / "expected").write_bytes(record(oracle(), n).encode(errors="surrogateescape"))
    elif sys.argv[1:2] == ["--diff"]:
        bad = [n for n in chosen if (d := difference(n)) and not print(f"==== {n}\n{d}")]
        print(f"{len(chosen) - len(bad)} the same, {len(bad)} differ: {' '.join(bad)}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
