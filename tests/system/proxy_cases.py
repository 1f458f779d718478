"""Keys asked of tables through proxy: with the service running; what Postfix's proxymap answered is in proxy_cases.json.

  python3 tests/system/proxy_cases.py      records it anew, from an unpacked Postfix (POSTFIX_ROOT)

DIR is the folder of the files below. Answers: exit status, standard output, standard error."""
import json, os, pathlib, subprocess, sys, tempfile

RECORDED = pathlib.Path(__file__).with_suffix(".json")
ORACLE = pathlib.Path(os.environ.get("POSTFIX_ROOT", "/var/tmp/peers/postfix"))

FILES = {"t": "a one\nb  two words \nuser@example.com box\n@example.com all\nmixed Case\n\xe4 umlaut\n", "re": "/^(a+)@x$/ found $1\n/^EMPTY$/\n/case/ c\n",
         "cidr": "10.0.0.0/8 ten\n2001:db8::/32 six\n"}
TABLES = {
    "texthash:DIR/t": ["a", "A", "b", "user@example.com", "USER@Example.com", "@example.com", "none", "mixed", "\xe4", "a b"],
    "regexp:DIR/re": ["aaa@x", "AAA@x", "a@y", "lower case"],
    "cidr:DIR/cidr": ["10.1.2.3", "11.1.2.3", "2001:db8::1", "x"],
    "static:s": ["k", "K"],
    "inline:{k=v,two=2}": ["k", "K", "two", "three"],
    "unix:passwd.byname": ["root", "ROOT", "nobody-here"],
    "unionmap:{static:x,inline:{k=v}}": ["k", "z"],
    "pipemap:{inline:{k=v},inline:{v=w}}": ["k", "z"],
    "fail:x": ["k"],
    "texthash:DIR/unlisted": ["a"],
}


def write_files(folder):
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "unlisted").write_text("a b\n")


def settings(folder):
    return "proxy_read_maps = " + ", ".join("proxy:" + t for t in TABLES if "unlisted" not in t).replace("DIR", str(folder)) + "\n"


def ask(folder, postmap, table, key):
    r = subprocess.run([*postmap, "-q", key.encode(), "proxy:" + table.replace("DIR", str(folder))], capture_output=True, timeout=120)
    return [r.returncode, r.stdout.decode(), r.stderr.decode().replace(str(folder), "DIR")]


def record():
    oracle = pathlib.Path(__file__).resolve().parents[3] / "shared/oracle/run-postfix-oracle.sh"
    with tempfile.TemporaryDirectory(prefix="hk-proxy-") as top:
        top = pathlib.Path(top)
        top.chmod(0o755)
        write_files(top)
        subprocess.run([oracle, "start", top, "39730"], check=True)
        try:
            with (top / "etc/main.cf").open("a") as f:
                f.write(settings(top))
            subprocess.run([oracle, "reload", top], check=True)
            postmap = [str(ORACLE / "usr/sbin/postmap"), "-c", str(top / "etc")]
            got = {t: {k: ask(top, postmap, t, k) for k in keys} for t, keys in TABLES.items()}
        finally:
            subprocess.run([oracle, "stop", top])
    RECORDED.write_text(json.dumps(got, indent=1) + "\n")


if __name__ == "__main__":
    record()
