"""What test_postmap.py runs, through our commands and through Postfix's: title, files, and steps (program, arguments, standard input).

`python3 tests/system/postmap_cases.py record` asks Postfix again and writes postmap_cases.json, which the test compares with, so that no
Postfix is needed there. A step's fourth item, where there is one, is what we say instead, and why.
"""
import json, os, pathlib, random, re, shutil, subprocess, sys, tempfile

from harness import write_settled

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE / "postmap_cases.json"
ORACLE = pathlib.Path(os.environ.get("ORACLE_ROOT", "/var/tmp/peers/postfix"))

MAIN = """compatibility_level = 3.6
myhostname = mail.example.test
maillog_file =
alias_database = hash:{dir}/al, hash:{dir}/al2
"""

SOURCE = '# c\na  1\nb\ttwo words  \n cont\nA 3\nnokey\nkey: v\n"q u" x\n"un\n  lead\n'
ALIASES = """\
# comment
postmaster: root
Root: somebody@example.org
"foo bar": a@b
foo: a, b@c ,
  c (comment), "d e"@f
prog: "|/bin/cmd arg, with", |/bin/x
file: /var/mail/x
inc: :include:/etc/list
noval:
bad line here
two: User Name <u@example.com>
dup: a
dup: b
<a@b>: x
a@b.c: x
quoted: "a\\"b"@x
grp: friends: a, b;
empty: ()
"""
MESSAGE = """\
Subject: hello
 folded
To : x
Content-Type: multipart/mixed; boundary="b"

preamble
--b
Content-Type: text/plain

body1

body2
--b
Content-Type: message/rfc822

Subject: nested
X: y

nbody
--b--
epilog
"""
ANY = "/./ X\n"

USAGE = "postmap: fatal: usage: postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...\n"  # 3.12 has -j
WORDS = ["a", "b", '"c d"', "(n)", "<e>", "@", ",", ";", ":", ".", "%", "!", "|", "/f", "[1 2]", "\\ x", "\\,", '"\\""', "=", "{", ">", ")", "]"]


def mixtures():
    """Every pair of tokens, with and without a blank between."""
    lines = []
    for i, one in enumerate(WORDS):
        for k, two in enumerate(WORDS):
            lines.append(f"k{i}-{k}: {one}{two}\nk{i}-{k}-s: {one} {two}\n")
    return "".join(lines)


def jumble():
    """Tokens at random, well-formed or not."""
    chance = random.Random(3)
    pieces = WORDS + ["cc", '"', "(", "(x(y)z)", "<", "[", "\\", "'", "#", "$", "\t", "\r", "é", '"a\tb"', '"a  b"', "[a\tb]", "(a\tb)", "\\(", '"a\\', ":include:/x", '""', "\x01"]
    return "".join(f"k{i}: " + "".join(chance.choice(pieces) + chance.choice(["", " "]) for _ in range(chance.randrange(1, 7))) + "\n" for i in range(1500))


def P(*args, input="", ours=None):
    return ["postmap", list(args), input, ours]


def A(*args, input="", ours=None):
    return ["postalias", list(args), input, ours]


# Says the same in Postfix 3.7 and 3.12 but for what stands in `ours`: (exit, stdout, stderr), None: the recorded one.
CASES = {
    "build and list": ({"s": SOURCE}, [P("hash:s"), P("-s", "hash:s"), P("-q", "a", "hash:s"), P("-q", "A", "hash:s"), P("-q", "B", "hash:s"), P("-q", '"q u"', "hash:s"),
                                       P("btree:s2"), P("hash:s")]),
    "btree": ({"s": SOURCE}, [P("btree:s"), P("-s", "btree:s"), P("-q", "a", "btree:s"), P("-d", "a", "btree:s"), P("-q", "a", "btree:s")]),
    "default type": ({"s": "a b\n"}, [P("s"), P("-q", "a", "s"), P("-s", "s")]),
    "case": ({"s": "A b\nMixed c\n"}, [P("-f", "hash:s"), P("-s", "hash:s"), P("-q", "A", "hash:s"), P("-f", "-q", "A", "hash:s"), P("-fq", "Mixed", "hash:s"), P("-d", "A", "hash:s"),
                                       P("-f", "-d", "A", "hash:s"), P("-s", "hash:s")]),
    "duplicates": ({"s": "a 1\na 2\na 3\n"}, [P("hash:s"), P("-q", "a", "hash:s"), P("-w", "hash:s"), P("-q", "a", "hash:s"), P("-r", "hash:s"), P("-q", "a", "hash:s"), P("-rw", "hash:s")]),
    "increments": ({"s": "a 1\n"}, [P("hash:s"), P("-i", "hash:s", input="b 2\na 9\n"), P("-s", "hash:s"), P("-ir", "hash:s", input="a 9\n"), P("-q", "a", "hash:s"),
                                    P("-iw", "hash:s", input="a 7\na 8\n"), P("-q", "a", "hash:s"), P("-i", "hash:new", input="n 1\n"), P("-s", "hash:new"),
                                    P("-i", "hash:s", input='a\n"x\n  y\nfoo: bar\n'), P("-i", "hash:none/x", input="a b\n")]),
    "removal": ({"s": "a 1\nb 2\nc 3\nd 4\n"}, [P("hash:s"), P("-d", "a", "hash:s"), P("-d", "a", "hash:s"), P("-d", "-", "hash:s", input="b\nzz\n"), P("-d", "-", "hash:s", input="zz\n"),
                                                P("-s", "hash:s"), P("-d", "x", "hash:none"), P("-d", "C", "hash:s"), P("-s", "hash:s"), P("-d", "k", "texthash:s"), P("-d", "x", "nope:s")]),
    "queries": ({"s": "a 1\n", "t": "b 2\n"}, [P("hash:s"), P("hash:t"), P("-q", "b", "hash:s", "hash:t"), P("-q", "a", "hash:s", "hash:none"), P("-q", "", "hash:s"), P("-q", "zz", "hash:s"),
                                               P("-q", "-", "hash:s", "hash:t", input="a\nzz\n\nA\nb"), P("-q", "-", "hash:s", input="zz\n"), P("-q", "x", "hash:none"), P("-q", "x", "nope:s"),
                                               P("-s", "hash:t", "hash:s"), P("-s", "hash:none"), P("-q", "x", "static:z", "static:w"), P("-q", "x", "static:"), P("-s", "static:x"),
                                               P("-q", "a", "-i", "hash:s")]),
    "empty values": ({"e": "/x/\n/y/ z\n"}, [P("-q", "x", "regexp:e"), P("-q", "y", "regexp:e")]),
    "options": ({"s": "a 1\n"}, [P(ours=[None, None, USAGE]), P("-Z", "x", ours=[None, None, "postmap: invalid option -- 'Z'\n" + USAGE]),
                                 P("-q", ours=[None, None, "postmap: option requires an argument -- 'q'\n" + USAGE]), P("-q", "a", "-d", "b", "hash:s"), P("-q", "a", "-s", "hash:s"), P("-b", "hash:s"), P("-bq", "a", "hash:s"), P("-hm", "hash:s"),
                                 P("-N", "hash:s"), P("-n", "hash:s"), P("-q", "a", "hash:s"), P("-d", "a", "hash:s"), P("-q", "a", "hash:s"), P("-p", "hash:s"), P("-o", "hash:s")]),
    "tables that are not built": ({"s": "a 1\n"}, [P("cidr:s"), P("texthash:s"), P("static:x"), P("proxy:hash:s"), P("inline:{a=b}"), P("unix:passwd.byname"), P("fail:x"), P("-i", "cidr:s"),
                                                   P("missing"), P("hash:missing"), P("hash:s/x"), P("hash:"), P("")]),
    "files": ({"one": "first\n", "two": "second", "ff": "f one, two\ng nofile\nh\nk ./one\nl ,\nm .\n"},
              [P("-F", "hash:ff"), P("-s", "hash:ff"), P("-Fs", "hash:ff"), P("-F", "-q", "f", "hash:ff"), P("-q", "f", "hash:ff"), P("-Fi", "hash:ff", input="x nofile,one\ny two,,  two\n"),
               P("-Fq", "y", "hash:ff"), P("-Fq", "-", "hash:ff", input="f\nz\n")]),
    "malformed base64": ({"s": "f jun\ng Zm9v\n"}, [P("hash:s"), P("-Fq", "f", "hash:s"), P("-Fs", "hash:s"), P("-Fq", "g", "hash:s")]),
    "bytes that are no text": ({"s": b"\xff b\nc \xfe\nok \xc3\xa9\n\xc3\xa4b u\n"}, [P("hash:s"), P("-s", "hash:s"), P("-u", "hash:s"), P("-s", "hash:s"), P("-q", b"\xff", "hash:s"),
                                                                               P("-uq", b"\xff", "hash:s"), P("-q", b"\xc3\xa4B", "hash:s")]),
    "types that nobody knows": ({"s": "a 1\n"}, [P("foo:s"), A("foo:s"), P("-i", "foo:s"), P("mongodb:s"), P("-q", "a", "foo:s"), P("-s", "foo:s"), P("-d", "a", "foo:s")]),
    "with and without NUL": ({"s": "a 1\n"}, [P(*step) for t in ("hash", "btree", "lmdb", "cdb") for build in ([], ["-N"], ["-n"], ["-N", "-n"]) for step in (
        [*build, t + ":s"], *([*ask, "-q", "a", t + ":s"] for ask in ([], ["-N"], ["-n"], ["-n", "-N"], ["-N", "-n"])),
        *([] if t == "cdb" else ([*build, "-s", t + ":s"], ["-n", "-d", "a", t + ":s"], ["-N", "-d", "a", t + ":s"], ["-d", "a", t + ":s"])))]),
    "an entry in both forms": ({"s": "a 1\n"}, [P("hash:s"), P("-n", "-i", "hash:s", input="a 2\n"), P("-q", "a", "hash:s"), P("-d", "a", "hash:s"), P("-q", "a", "hash:s"), P("-d", "a", "hash:s"),
                                               P("-s", "hash:s")]),
    "NUL": ({"s": b"a\0b c\nd e\n"}, [P("hash:s"), P("-s", "hash:s")]),
    "content": ({"p": ANY, "msg": MESSAGE}, [P(*o.split(), "-q", "-", "regexp:p", input=MESSAGE) for o in ("-b", "-h", "-h -m", "-b -m", "-b -h", "-b -h -m", "-m")] + [
        P("-hq", "-", "regexp:p", input="Subject: x\nnot a header\n\nbody\n"), P("-bq", "-", "regexp:p", input="Subject: x\nnot a header\n\nbody\n"),
        P("-hbq", "-", "regexp:p", input=b"A: \xff\nB: c\n\nx\xff\n\xc3\xa9\n"), P("-U", "-hbq", "-", "regexp:p", input=b"A: \xff\nB: c\n\nx\xff\n\xc3\xa9\n"),
        P("-hbq", "-", "inline:{f=1}", "regexp:p", input="A: b\n\nf\n"), P("-hq", "-", "regexp:p", input="A: b\n \n\t\nC\t: d\n:x\n"), P("-bhq", "-", "regexp:p", input=" lead\nA: b\n\n"),
        P("-bhq", "-", "regexp:p", input=b"X:\n y\n\n\nbo\0dy\n")]),
    "aliases": ({"al": ALIASES}, [A("hash:al"), A("-q", "foo", "hash:al"), A("-q", "FOO", "hash:al"), A("-q", "-", "hash:al", input="foo\nnone\nroot\n"), A("-q", "prog", "hash:al"),
                                  A("-d", "foo", "hash:al"), A("-d", "foo", "hash:al"), A("-w", "hash:al"), A("-r", "hash:al"), A("-q", "dup", "hash:al"), A("-i", "hash:al", input="new: v\ndup: c\nbad\n"),
                                  A("-q", "new", "hash:al"), A("-i", "hash:al2", input="q: r\n"), A("-s", "hash:al2"), A("-s", "btree:none"), A("missing"), A("cidr:al"), A("-s", "-q", "x", "al")]),
    "aliases, listed": ({"al": "root: a\nb: c,d\n@x: y\n", "al3": "  x: y\na: b\n"}, [A("hash:al"), A("-s", "hash:al"), A("hash:al3"), A("-s", "hash:al3"), A("-f", "btree:al"), A("-s", "btree:al")]),
    "aliases, bytes that are no text": ({"al": b"a: caf\xe9\nb\xe9: x\n\xc3\xa9: x\n"}, [A("hash:al"), A("-s", "hash:al"), A("-u", "hash:al"), A("-s", "hash:al")]),
    "aliases, tokens at random": ({"al": jumble()}, [A("-w", "hash:al"), A("-s", "hash:al")]),
    "aliases, every pair of tokens": ({"al": mixtures()}, [A("hash:al"), A("-s", "hash:al")]),
}


def normal(args, out):
    """Tables have no order, and a time is a time."""
    out = re.sub(r"(?m)^(YP_LAST_MODIFIED:\t)\d{10}$", r"\1N", out)
    return "".join(sorted(out.splitlines(True))) if "-s" in args or "-Fs" in args else out


def run(path, etc, folder, step):
    prog, args, text = step[:3]
    env = dict(os.environ, MAIL_CONFIG=str(etc), LC_ALL="C")
    r = subprocess.run([path(prog), *args], cwd=folder, env=env, input=text if isinstance(text, bytes) else text.encode(), capture_output=True, timeout=120)
    keep = [line for line in r.stderr.decode(errors="replace").splitlines(True) if not line.startswith("BDB")]
    return [r.returncode, normal(args, r.stdout.decode("latin-1")), "".join(keep)]


def play(case, folder, path, more=""):
    """All steps of a case, one after the other, in a folder of its own: the results."""
    files, steps = case
    folder.mkdir(parents=True)
    etc = folder / "etc"
    etc.mkdir()
    write_settled(etc / "main.cf", MAIN.format(dir=folder) + more)
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return [run(path, etc, folder, step) for step in steps]


def oracle(case, folder):
    more = f"daemon_directory = {ORACLE}/usr/lib/postfix/sbin\ncommand_directory = {ORACLE}/usr/sbin\nshlib_directory = {ORACLE}/usr/lib/postfix\nmeta_directory = {ORACLE}/meta\n" \
           f"queue_directory = {folder}\n"
    return play(case, folder, lambda prog: str(ORACLE / "usr/sbin" / prog), more)


if __name__ == "__main__" and sys.argv[1:] == ["record"]:
    with tempfile.TemporaryDirectory() as top:
        got = {title: oracle(case, pathlib.Path(top) / str(i)) for i, (title, case) in enumerate(CASES.items())}
    RECORDED.write_text(json.dumps(got, indent=1, ensure_ascii=True) + "\n")
