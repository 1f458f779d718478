"""What sendmail and its other names say of a command line that makes no sense: as Postfix does, word for word."""
import subprocess

import pytest

from harness import BIN

UNKNOWN = "{0}: invalid option -- 'z'\n" * 2 + "{0}: fatal: usage: {0} [options]\n"
MISSING = "{0}: option requires an argument -- 'f'\n" * 2 + "{0}: fatal: usage: {0} [options]\n"

CASES = [
    *((name, "-z", UNKNOWN.format(name)) for name in ("sendmail", "newaliases", "mailq")),
    *((name, "-f", MISSING.format(name)) for name in ("sendmail", "newaliases", "mailq")),
    ("sendmail", "-bi -z", UNKNOWN.format("sendmail")),
    ("sendmail", "-bz", "sendmail: fatal: unsupported: -bz\n"),
    ("sendmail", "-qx", "sendmail: fatal: -qx is not implemented\n"),
    ("sendmail", "-q foo", "sendmail: fatal: flush queue mode requires no recipient\n"),
    ("sendmail", "-qIabc foo", "sendmail: fatal: flush queue_id requires no recipient\n"),
    ("sendmail", "-qRabc foo", "sendmail: fatal: flush site requires no recipient\n"),
    ("sendmail", "-bp foo", "sendmail: fatal: display queue mode requires no recipient\n"),
    ("sendmail", "-bi foo", "sendmail: fatal: alias initialization mode requires no recipient\n"),
    ("sendmail", "-Bx foo", "sendmail: fatal: -B option needs 8BITMIME or 7BIT\n"),
    ("newaliases", "foo", "newaliases: fatal: alias initialization mode requires no recipient\n"),
    ("mailq", "foo", "mailq: fatal: display queue mode requires no recipient\n"),
]


@pytest.mark.parametrize("name,args,words", CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_words(tmp_path, name, args, words):
    (tmp_path / "main.cf").write_text("")
    r = subprocess.run([BIN / name, "-C", tmp_path, *args.split()], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (r.returncode, r.stdout, r.stderr) == (75, "", words)
