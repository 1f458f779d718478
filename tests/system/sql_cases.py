"""mysql:, pgsql:, sqlite: tables, keys, and the rows they are asked for. What Postfix answered is in sql_cases.json.

  python3 tests/system/sql_cases.py      records it anew, from an unpacked Postfix (POSTFIX_ROOT)"""
import json, os, pathlib, sqlite3, subprocess, sys, tempfile

from harness import write_settled

RECORDED = pathlib.Path(__file__).with_suffix(".json")
ORACLE = pathlib.Path(os.environ.get("POSTFIX_ROOT", "/var/tmp/peers/postfix"))
TYPES = ("mysql", "pgsql", "sqlite")

ROWS = [  # key, value, another value, domain
    ("anna@a.test", "anna@host1.test", "4711", "a.test"),
    ("bert@a.test", "bert@host2.test", None, "a.test"),
    ("carl@b.test", "carl", "", "b.test"),
    ("anna", "locally", "1", ""),
    ("a.test", "smtp:[mx.a.test]", "1", ""),
    ("@a.test", "everybody@host1.test", "1", ""),
    ("team@a.test", "bert@host1.test", "1", "a.test"),
    ("team@a.test", "bert@host2.test", "2", "a.test"),
    ("team@a.test", "carl", "3", "a.test"),
    ("null@a.test", None, "1", "a.test"),
    ("empty@a.test", "", "1", "a.test"),
    ("mixed@a.test", None, "1", "a.test"),
    ("mixed@a.test", "", "2", "a.test"),
    ("mixed@a.test", "mixed@host1.test", "3", "a.test"),
    ("größe@a.test", "Größe@hüst.test", "1", "a.test"),
    ("日本@a.test", "日本", "1", "a.test"),
    ("😀@a.test", "😀", "1", "a.test"),
    ("o'hara@a.test", "o'hara@host1.test", "1", "a.test"),
    ('"anna b"@a.test', '"anna b"@host1.test', "1", "a.test"),
    ("back\\slash@a.test", "back\\slash@host1.test", "1", "a.test"),
    ("per%cent@a.test", "per%cent@host1.test", "1", "a.test"),
    ("comma@a.test", "one, two", "1", "a.test"),
    ("space@a.test", " in front and behind ", "1", "a.test"),
    ("lines@a.test", "one\ntwo", "1", "a.test"),
    *(("big@a.test", f"n{i:02}@host1.test", str(i), "a.test") for i in range(12)),
]
# name -> (settings behind those of the connection, keys)
KEYS = "anna@a.test ANNA@A.TEST bert@a.test carl@b.test team@a.test nobody@a.test anna a.test @a.test null@a.test empty@a.test mixed@a.test"
SELECT = "query = SELECT v FROM m WHERE k = '%s' ORDER BY id\n"
LEGACY = "select_field = v\ntable = m\nwhere_field = k\n"
TABLES = {
    "plain": (SELECT, KEYS + " comma@a.test space@a.test lines@a.test per%cent@a.test big@a.test"),
    "inject": (SELECT, ["o'hara@a.test", '"anna b"@a.test', "back\\slash@a.test", "x' OR '1'='1", "x\\' OR 1=1 -- ", "x' UNION SELECT v FROM m -- ", "x'; DROP TABLE m; --", "'", "''", "\\", "\\\\",
                        "\\'", "'\\", '"', '" OR ""="', "x\\", "%", "_", "%s", "%27", "$1", "?", ";", "--", "/*", "\x1a", "x\ty", "`", "anna@a.test#", " anna@a.test", "anna@a.test ", b"\xbf'", b"\xbf' OR 1=1 -- "]),
    "utf8": (SELECT, ["größe@a.test", "GRÖßE@A.TEST", "日本@a.test", "😀@a.test", "groesse@a.test", b"\xff\xfe", b"anna\xff@a.test", b"\xc3", b"\xc0\xa7 OR 1=1 -- ", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]),
    "nul": (SELECT, ["anna@a.test\0", "anna@a.test\0x", "\0"]),
    "local": ("query = SELECT v FROM m WHERE k = '%u' ORDER BY id\n", KEYS + " anna@b@c.test"),
    "domain": ("query = SELECT v FROM m WHERE k = '%d' ORDER BY id\n", KEYS + " x@a.test x@b.test"),
    "labels": ("query = SELECT v FROM m WHERE k = '%u@%2.%1' ORDER BY id\n", KEYS + " anna@x.a.test anna@test"),
    "upper": ("query = SELECT v FROM m WHERE k = '%U@%D' ORDER BY id\n", KEYS),
    "percent": ("query = SELECT v FROM m WHERE k LIKE '%%na@%d' ORDER BY id\n", KEYS),
    "fixed": ("query = SELECT v FROM m WHERE k = 'anna@a.test'\n", "x anna@a.test a@b"),
    "bad_query": ("query = SELECT v FROM m WHERE k = '%y'\n", "anna@a.test"),
    "format": (SELECT + "result_format = smtp:[%d]:%S:%U:%D:%1:%%\n", KEYS),
    "format_result": (SELECT + "result_format = <%s|%u>\n", KEYS),
    "format_fixed": (SELECT + "result_format = OK\n", KEYS),
    "bad_format": (SELECT + "result_format = %x\n", "anna@a.test"),
    "only": (SELECT + "domain = a.test, !c.test\n", KEYS + " anna@c.test"),
    "only_negated": (SELECT + "domain = !a.test, static:x\n", KEYS),
    "only_table": (SELECT + "domain = inline:{b.test=x}\n", KEYS),
    "expansion_1": (SELECT + "expansion_limit = 1\n", "anna@a.test team@a.test mixed@a.test nobody@a.test"),
    "expansion_3": (SELECT + "expansion_limit = 3\n", "anna@a.test team@a.test big@a.test"),
    "expansion_11": (SELECT + "expansion_limit = 11\n", "big@a.test"),
    "expansion_12": (SELECT + "expansion_limit = 12\n", "big@a.test"),
    "expansion_bad": (SELECT + "expansion_limit = -1\n", "anna@a.test"),
    "columns": ("query = SELECT v, w FROM m WHERE k = '%s' ORDER BY id\n", KEYS),
    "numbers": ("query = SELECT count(*) FROM m WHERE d = '%d'\n", "x@a.test x@b.test x@c.test x"),
    "nothing": ("query = SELECT NULL\n", "anna@a.test"),
    "several": ("query = SELECT v FROM m WHERE k = '%s'; SELECT w FROM m WHERE k = '%s'\n", "anna@a.test nobody@a.test"),
    "update": ("query = UPDATE m SET w = 'x' WHERE k = 'nosuchkey%s'\n", "anna@a.test"),
    "comment": ("query = -- %s\n", "anna@a.test"),
    "no_table": ("query = SELECT v FROM nosuch WHERE k = '%s'\n", "anna@a.test"),
    "broken": ("query = SELEC v FROM m WHERE k = '%s'\n", "anna@a.test"),
    "legacy": (LEGACY, KEYS),
    "legacy_more": (LEGACY + "additional_conditions = AND w = '1'\n", "team@a.test anna@a.test o'hara@a.test"),
    "legacy_missing": ("select_field = v\ntable = m\n", "anna@a.test"),
    "legacy_both": (LEGACY.replace("= v", "= w") + SELECT, "anna@a.test"),
    "empty_query": ("query =\n", "anna@a.test"),
    "twice": ("query = SELECT 1\n" + SELECT, "anna@a.test"),
    "unknown": (SELECT + "frobnicate = yes\n", "anna@a.test"),
    "main_cf": (None, "anna@a.test nobody@a.test"),
}
COMMON = {
    "mysql": "hosts = 127.0.0.1:{port}\nuser = reader\npassword = ge'heim\ndbname = mail\n",
    "pgsql": "hosts = 127.0.0.1:{port}\nuser = reader\npassword = ge'heim\ndbname = mail\n",
    "sqlite": "dbpath = {dir}/mail.db\n",
}
SERVERS = {
    "host_inet": ("hosts = inet:127.0.0.1:{port}\n" + SELECT, "anna@a.test nobody@a.test"),
    "host_unix": ("hosts = unix:{socket}\n" + SELECT, "anna@a.test nobody@a.test"),
    "hosts": ("hosts = 127.0.0.1:{closed} 127.0.0.1:{port}\n" + SELECT, "nobody@a.test"),
    "down": ("hosts = 127.0.0.1:{closed}\n" + SELECT, "anna@a.test"),
    "password": ("password = falsch\n" + SELECT, "anna@a.test"),
    "no_dbname": ("dbname =\n" + SELECT, "anna@a.test"),
    "other_db": ("dbname = nosuch\n" + SELECT, "anna@a.test"),
    "retry": ("retry_interval = 5\nidle_interval = 7\n" + SELECT, "anna@a.test"),
}
OWN = {
    "mysql": {
        **SERVERS,
        "octets": ("query = SELECT v FROM octets WHERE k = '%s'\n", "bad nul fine"),
        "charset": ("charset = latin1\n" + SELECT, ["größe@a.test", "anna@a.test", "o'hara@a.test"]),
        "procedure": ("query = CALL find_one('%s')\n", "anna@a.test nobody@a.test"),
        "procedure_none": ("query = CALL find_none('%s')\n", "anna@a.test"),
        "procedure_none_ok": ("query = CALL find_none('%s')\nrequire_result_set = no\n", "anna@a.test"),
        "procedure_two": ("query = CALL find_two('%s')\n", "anna@a.test"),
    },
    "pgsql": {
        **SERVERS,
        "octets": ("query = SELECT v FROM octets WHERE k = '%s'\n", "bad fine"),
        "function": ("select_function = find_one\n", "anna@a.test nobody@a.test team@a.test o'hara@a.test"),
        "encoding": ("encoding = LATIN1\n" + SELECT, "anna@a.test o'hara@a.test"),
        "last": ("query = SELECT v FROM m WHERE k = '%s'; UPDATE m SET w = 'x' WHERE k = 'nosuchkey'\n", "anna@a.test"),
        "last_broken": ("query = SELECT v FROM m WHERE k = '%s'; SELECT nosuch\n", "anna@a.test"),
        "uri": ("hosts = postgresql://reader:ge%27heim@127.0.0.1:{port}/mail\n" + SELECT, "anna@a.test nobody@a.test"),
        "escape": ("query = SELECT v FROM m WHERE k = E'%s'\n", ["anna@a.test", "o'hara@a.test", "nobody"]),
        "notice": ("query = SELECT v FROM m WHERE k = '%s' AND pg_sleep(0) IS NOT NULL ORDER BY id\n", "team@a.test"),
    },
    "sqlite": {
        "octets": ("query = SELECT v FROM octets WHERE k = '%s'\n", "bad nul fine"),
        "no_file": ("dbpath = {dir}/nosuch.db\n" + SELECT, "anna@a.test"),
        "no_path": ("dbpath =\n" + SELECT, "anna@a.test"),
        "not_db": ("dbpath = {dir}/not.db\n" + SELECT, "anna@a.test"),
        "double": ('query = SELECT v FROM m WHERE k = "%s" ORDER BY id\n', ["anna@a.test", 'x"y', '" OR 1=1 OR "x"="', "o'hara@a.test"]),
        "pragma": ("query = PRAGMA user_version\n", "anna@a.test"),
    },
}
MAIN_CF = "compatibility_level = 3.6\nmyhostname = mail.example.test\nmydomain = example.test\nalias_maps =\nalias_database =\nmail_owner = {user}\n"


def tables(kind):
    return {**TABLES, **OWN[kind]}


# ---- the rows, as SQL
def literal(text, escaping=False):
    if text is None:
        return "NULL"
    return "'" + (text.replace("\\", "\\\\") if escaping else text).replace("'", "''") + "'"


def inserts(escaping=False):
    return [f"INSERT INTO m VALUES ({i}, {', '.join(literal(v, escaping) for v in row)})" for i, row in enumerate(ROWS)]


MYSQL = [
    "CREATE DATABASE mail CHARACTER SET utf8mb4", "USE mail", "SET NAMES utf8mb4",
    "CREATE TABLE m (id INT PRIMARY KEY, k VARCHAR(200), v VARCHAR(200), w VARCHAR(200), d VARCHAR(200)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    *inserts(escaping=True),
    "CREATE TABLE octets (k VARCHAR(20), v VARBINARY(20)) ENGINE=InnoDB", "INSERT INTO octets VALUES ('bad', x'ff41'), ('nul', x'610062'), ('fine', 'x')",
    "CREATE PROCEDURE find_one(key_ VARCHAR(200)) SQL SECURITY INVOKER SELECT v FROM m WHERE k = key_",
    "CREATE PROCEDURE find_none(key_ VARCHAR(200)) SQL SECURITY INVOKER DO 1",
    "CREATE PROCEDURE find_two(key_ VARCHAR(200)) SQL SECURITY INVOKER BEGIN SELECT v FROM m WHERE k = key_; SELECT w FROM m WHERE k = key_; END",
    "FLUSH PRIVILEGES", "CREATE USER reader@'%' IDENTIFIED BY 'ge''heim'", "CREATE USER reader@localhost IDENTIFIED BY 'ge''heim'",
    "GRANT SELECT, EXECUTE, UPDATE ON mail.* TO reader@'%'", "GRANT SELECT, EXECUTE, UPDATE ON mail.* TO reader@localhost",
]
PGSQL = [
    "CREATE TABLE m (id int PRIMARY KEY, k text, v text, w text, d text)", *inserts(),
    "CREATE TABLE octets (k text, v bytea)", "INSERT INTO octets VALUES ('bad', '\\xff4100'), ('fine', 'x')",
    "CREATE FUNCTION find_one(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT v FROM m WHERE k = $1 ORDER BY id'",
    "CREATE ROLE reader LOGIN PASSWORD 'ge''heim'", "GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO reader",
]


def sqlite_file(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE m (id INTEGER PRIMARY KEY, k TEXT, v TEXT, w TEXT, d TEXT)")
        db.executemany("INSERT INTO m VALUES (?, ?, ?, ?, ?)", [(i, *row) for i, row in enumerate(ROWS)])
        db.execute("CREATE TABLE octets (k TEXT, v BLOB)")
        db.execute("INSERT INTO octets VALUES ('bad', x'ff41'), ('nul', x'610062'), ('fine', 'x')")
    db.close()


# ---- asking
def keys(spec):
    return [k if isinstance(k, bytes) else k.encode() for k in (spec if isinstance(spec, list) else spec.split(" "))]


def write(kind, folder, place):
    """The tables' files in `folder`, and its main.cf."""
    main = (folder / "main.cf").read_text()
    common = COMMON[kind].format(**place)
    for name, (settings, _) in tables(kind).items():
        if settings is None:
            main += "".join(f"{name}_{line}\n" for line in (common + SELECT).splitlines())
        else:
            # The last of several lines counts, with a warning; the point here is another one.
            for key, value in place.items():
                settings = settings.replace("{" + key + "}", str(value))
            again = {line.split(" =")[0] for line in settings.splitlines()}
            write_settled(folder / f"{name}.cf", "".join(line + "\n" for line in common.splitlines() if line.split(" =")[0] not in again) + settings)
    write_settled(folder / "main.cf", main)


def play(postmap, kind, folder, place, names=None):
    """{table: {key: [status, output, errors]}} as postmap says."""
    out = {}
    for name in names or tables(kind):
        settings, asked = tables(kind)[name]
        spec = f"{kind}:{name}" if settings is None else f"{kind}:{folder}/{name}.cf"
        out[name] = {}
        for key in keys(asked):
            on_input = b"\0" in key
            r = subprocess.run([*postmap, "-c", str(folder), "-q", "-" if on_input else key, spec], input=key + b"\n" if on_input else b"", capture_output=True, cwd=folder, timeout=120)
            out[name][key.decode("utf-8", "backslashreplace")] = [r.returncode, r.stdout.decode("utf-8", "backslashreplace"), shown(r.stderr.decode("utf-8", "backslashreplace"), folder, place)]
    return out


def shown(text, folder, place):
    text = text.replace(str(folder), "DIR").replace(place["dir"], "DIR")
    for name in ("port", "closed"):
        text = text.replace(str(place[name]), name.upper())
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def has_oracle():
    return all((ORACLE / name).exists() for name in ("usr/sbin/postmap", "meta/dynamicmaps.cf", *(f"usr/lib/postfix/postfix-{t}.so" for t in TYPES)))


def oracle(kind, folder, place, names=None):
    """What Postfix answers."""
    (folder / "main.cf").write_text(MAIN_CF.format(user="postfix") + f"queue_directory = {folder}\nshlib_directory = {ORACLE}/usr/lib/postfix\nmeta_directory = {ORACLE}/meta\n")
    write(kind, folder, place)
    return play([str(ORACLE / "usr/sbin/postmap")], kind, folder, place, names)


def main():
    import test_sql
    got = {}
    for kind in TYPES:
        with tempfile.TemporaryDirectory(prefix=f"hk-{kind}-") as d:
            d = pathlib.Path(d)
            os.chmod(d, 0o755)
            with test_sql.SERVERS[kind](d / "server") as s:
                (d / "etc").mkdir()
                got[kind] = oracle(kind, d / "etc", s.place)
    RECORDED.write_text(json.dumps(got, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    main()
