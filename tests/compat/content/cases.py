"""Messages and the settings they are sent under: what the content of a message becomes, and what is said about it.

@ETC@ is the folder of main.cf; every file named in `files` is put there. Messages are written with LF, sent with CRLF unless raw."""

CHECKS = r"""/^Subject: reject/ REJECT header says no
/^Subject: bare/ REJECT
/^Subject: coded/ REJECT 5.7.9 coded
/^Subject: dsn4/ REJECT 4.7.9 later
/^Subject: smtp/ REJECT 421 4.7.9 later
/^Subject: hold/ HOLD
/^Subject: held/ HOLD with text
/^Subject: discard/ DISCARD in header
/^Subject: throw/ DISCARD
/^Subject: badredirect/ REDIRECT dave
/^Subject: norcpt/ REDIRECT
/^Subject: filter/ FILTER smtp:[127.0.0.1]:@SINK@
/^Subject: badfilter/ FILTER nocolon
/^Subject: nofilter/ FILTER
/^Subject: nobcc/ BCC
/^X-Remove:/ IGNORE
/^X-RemoveT:/ IGNORE with text
/^X-Strip:/ STRIP
/^X-StripT:/ STRIP with text
/^X-Replace: (.*)/ REPLACE X-Replaced: was $1
/^X-Broken:/ REPLACE no header at all
/^X-Empty:/ REPLACE
/^X-Prepend:/ PREPEND X-Before: yes
/^X-PreBad:/ PREPEND plain text
/^X-PreNone:/ PREPEND
/^X-Warn:/ WARN warned
/^X-WarnN:/ WARN
/^X-Info:/ INFO informed
/^X-InfoN:/ INFO
/^X-Dunno:/ DUNNO
/^X-Ok:/ OK whatever
/^X-Bogus:/ FROB
/^X-Pass:/ PASS trusted
/^X-Then:/ REJECT after pass
/^X-Long: (.*)/ WARN long
/^X-lower:/ reject lower case
/^X-Delay:/ DELAY 5
/^Received: from evil/ WARN hop
/^Received: from client.test/ WARN ours
/^X-Multi: a
 b/ REJECT folded header seen
/^Content-Type:.*evil/ REJECT evil type
/^Message-Id: </ WARN id
"""

BODY = r"""/reject me/ REJECT body says no
/^hold/ HOLD
/^drop/ IGNORE
/^strip/ STRIP
/^old (.*)/ REPLACE new $1
/^none/ REPLACE
/^pre/ PREPEND put before
/^warn/ WARN warned
/^filter/ FILTER smtp:[127.0.0.1]:@SINK@
/^bcc/ BCC carol@far.test
/^discard/ DISCARD
/^redirect/ REDIRECT dave@far.test
/^pass/ PASS
/^dunno/ DUNNO
/^X-InBody/ WARN header in body
/^$/ WARN empty line
/^--b/ WARN boundary
/^yyyy/ WARN second record
"""

PARTS = {"header_checks": "/./ WARN header", "mime_header_checks": "/./ WARN mime", "nested_header_checks": "/./ WARN nested",
         "body_checks": "/./ WARN body"}
SUBJECTS = ("reject bare coded dsn4 smtp hold held discard throw badredirect norcpt filter badfilter nofilter nobcc".split())
EDITS = ("Remove RemoveT Strip StripT Replace Broken Empty Prepend PreBad PreNone Warn WarnN Info InfoN Dunno Ok Bogus Pass Delay".split())

MULTI = """Subject: parts
MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary="b1"

preamble
--b1
Content-Type: text/plain
X-In-Part: 1

text
--b1
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/alternative; boundary=b2

inner preamble
--b2

no headers here
--b2
Content-Type: text/html
not a header
html
--b2--
inner epilogue
--b1
Content-Type: multipart/digest; boundary=b3

--b3

Subject: digested

d1
--b3
Content-Type: text/plain

plain
--b3--
--b1--
epilogue
--b1
Content-Type: text/plain

after the end
"""

LATIN = "gr\xfc\xdfe"

def mime(ctype, encoding, body, head=""):
    enc = f"Content-Transfer-Encoding: {encoding}\n" if encoding else ""
    return f"Subject: m\nMIME-Version: 1.0\nContent-Type: {ctype}\n{enc}{head}\n{body}"

def deep(n):
    """n multiparts inside each other, the innermost part 8-bit."""
    inside = "".join(f"Content-Type: multipart/mixed; boundary=b{i}\nContent-Transfer-Encoding: 8bit\n\n--b{i}\n" for i in range(n))
    return "Subject: n\nMIME-Version: 1.0\n" + inside + f"Content-Transfer-Encoding: 8bit\n\n{LATIN}\n" + "".join(f"--b{i}--\n" for i in reversed(range(n)))

E8 = "Content-Transfer-Encoding: 8bit\n"
TEXT8 = f"{LATIN}=\n"
INNER8 = f"Subject: {LATIN}\n{E8}\n{TEXT8}"
LONG = "X-L: " + "0123456789" * 25 + "\nY: a\n" + " 0123456789\n" * 25
PART8 = f"--b\n{E8}\n{TEXT8}--b--\n{TEXT8}"
# Mail for a server that takes 7 bits only.
EIGHT_BITS = [
    ("text", mime("text/plain", "8bit", f"{LATIN} = x\ntrail \ntab\t\n.dot\n \n\nend\n")),
    ("ascii that says 8bit", mime("text/plain", "8bit", "a=b\n" + "x" * 200 + "\n")),
    ("says nothing", mime("text/plain", "", TEXT8)), ("7bit", mime("text/plain", "7bit", TEXT8)), ("binary", mime("text/plain", "binary", TEXT8)),
    ("odd", mime("text/plain", "x-odd", TEXT8)), ("quoted", mime("text/plain", '"8bit"', TEXT8)), ("empty", mime("text/plain", " ", TEXT8)),
    ("folded", mime("text/plain", "\n 8bit", TEXT8)), ("text behind it", mime("text/plain", "8bit garbage; more", TEXT8)), ("comment", mime("text/plain", "(c) 8BIT", TEXT8)),
    ("no mime version", f"Subject: s\n{E8}\n{TEXT8}"),
    ("8bit then base64", mime("text/plain", "8bit", TEXT8, "Content-Transfer-Encoding: base64\n")), ("base64 then 8bit", mime("text/plain", "base64", TEXT8, "X-A: 1\n" + E8)),
    ("8bit twice", mime("text/plain", "8bit", TEXT8, "X-A: 1\n" + E8)), ("8bit then odd", mime("text/plain", "8bit", TEXT8, "Content-Transfer-Encoding: x-odd\n")),
    ("blank before colon", mime("text/plain", "", TEXT8, "Content-Transfer-Encoding : 8bit\n")),
    ("multipart", mime("multipart/mixed; boundary=b", "8bit", f"pre {TEXT8}--b\nContent-Type: text/plain\n{E8}X: 1\n\n{TEXT8}--b\n\n{TEXT8}{PART8}")),
    ("multipart 7bit", mime("multipart/mixed; boundary=b", "7bit", f"pre {TEXT8}--b  \n{E8}not a header\n{TEXT8}{PART8}")),
    ("multipart without boundary", mime("multipart/mixed", "8bit", f"{TEXT8}--\n\nx\n")),
    ("multipart in multipart", mime("multipart/mixed; boundary=b", "8bit",
                                    f"--b\nContent-Type: multipart/mixed; boundary=bc\n{E8}\npre=\n--bc\n{E8}\n{TEXT8}--bc--\n{TEXT8}--b--\n{TEXT8}--b\n{E8}\n{TEXT8}")),
    ("boundary like quoted text", mime('multipart/mixed; boundary="=_x y"', "8bit", f"--=_x y\n{E8}\n{TEXT8}--=_x\n--=_x y--\n")),
    ("digest", mime("multipart/digest; boundary=b", "8bit",
                    f"--b\n\n{INNER8}--b\nContent-Type: text/plain\n{E8}\n{TEXT8}--b\n{E8}\nSubject: q\n\n{TEXT8}--b--\n")),
    ("no empty line in parts", mime("multipart/mixed; boundary=b", "7bit",
                                    f"--b\nContent-Type: message/rfc822\n{E8}not one {TEXT8}\n--b\nContent-Type: multipart/mixed; boundary=c\n{E8}not one {TEXT8}--c\n{E8}\n{TEXT8}"
                                    f"--b\n{E8}--b--\n")),
    ("no empty line", f"Subject: s\n{E8}not one {TEXT8}{TEXT8}"), ("no body", f"Subject: s\n{E8}"), ("empty body", f"Subject: s\n{E8}\n"),
    ("rfc822", mime("message/rfc822", "8bit", INNER8)), ("rfc822 says nothing", mime("message/rfc822", "", INNER8)), ("rfc822 base64", mime("message/rfc822", "base64", INNER8)),
    ("rfc822 of 7 bits", mime("message/rfc822", "8bit", f"Subject: s\n\n{TEXT8}")), ("rfc822 without headers", mime("message/rfc822", "8bit", f"--b\nX: {TEXT8}")),
    ("rfc822 odd headers", mime("message/rfc822", "", f"X-A : 1\n\t2\n  3\n{E8} cont\nX-B:\n\n{TEXT8}")), ("rfc822 mailbox", mime("message/rfc822", "", f"From x y\n{INNER8}")),
    ("global", mime("message/global", "8bit", INNER8)), ("global 7bit", mime("message/global", "7bit", INNER8)), ("global base64", mime("message/global", "base64", INNER8)),
    ("multipart/global", mime("multipart/global; boundary=b", "8bit", PART8)), ("partial", mime("message/partial; id=1", "8bit", INNER8)),
    ("external", mime("message/external-body", "8bit", INNER8)), ("delivery-status", mime("message/delivery-status", "8bit", f"X: {TEXT8}\nY: {TEXT8}")),
    ("message", mime("message", "8bit", TEXT8)), ("multipart/", mime("multipart", "8bit", TEXT8)), ("quoted type", mime('"multipart"/mixed', "8bit", TEXT8)),
    ("quoted subtype", mime('message/"rfc822"', "8bit", INNER8)), ("quoted parameter", mime('multipart/mixed; "boundary"=b', "8bit", PART8)),
    ("odd types", mime("multipart/digest/x; boundary=b", "8bit", PART8)), ("parameter before", mime('multipart/mixed; x=y; charset="a;b"; boundary=b; z=1', "8bit", PART8)),
    ("two boundaries", mime("multipart/mixed; boundary=a; boundary=b", "8bit", PART8)), ("no slash", mime("multipart mixed; boundary=b", "8bit", PART8)),
    ("no semicolon", mime("multipart/mixed boundary=b", "8bit", PART8)), ("blanks in type", mime("multipart / mixed ; boundary = b", "8bit", PART8)),
    ("escapes", mime('multipart/mixed; boundary="\\b"', "8bit", PART8)), ("8-bit type", mime("multipart\xe9/mixed; boundary=b", "8bit", PART8)),
    ("unclosed comment", mime("multipart/mixed (a; boundary=b", "8bit", PART8)), ("nested comment", mime("multipart/mixed (a(b)c\\)) ; boundary=b", "8bit", PART8)),
    ("comment in encoding", mime("text/plain", "8(c)bit", TEXT8)), ("encoding and more", mime("text/plain", "8bit/x", TEXT8)), ("encoding with dot", mime("text/plain", "8bit.x", TEXT8)),
    ("encoding in brackets", mime("text/plain", "<8bit>", TEXT8)), ("encoding list", mime("text/plain", "7bit, 8bit", TEXT8)),
    ("no boundary", mime("multipart/mixed; boundary=", "8bit", "--\n" + PART8)), ("no boundary but more", mime("multipart/mixed; boundary=;x=y", "8bit", "--\n" + PART8)),
    ("capitals", mime("Multipart/MIXED; BOUNDARY=B", "8BIT", "--B\n" + E8.upper() + PART8)), ("quoted type and boundary", mime('multipart/"digest"; boundary=b', "8bit", f"--b\n\n{INNER8}")),
    ("quote in encoding", mime("text/plain", '8bit"x', TEXT8)), ("blank in type", mime("multi part/mixed; boundary=b", "8bit", PART8)), ("equals twice", mime("multipart/mixed; boundary==b", "8bit", PART8)),
    ("boundary with blank end", mime('multipart/mixed; boundary="b "', "8bit", PART8)), ("empty boundary", mime('multipart/mixed; boundary=""', "8bit", PART8)),
    ("type twice", mime("multipart/mixed; boundary=b", "8bit", PART8, "Content-Type: text/plain\n")), ("type twice 2", mime("text/plain", "8bit", PART8, "Content-Type: multipart/mixed; boundary=b\n")),
    ("type twice 3", mime("message/rfc822", "8bit", INNER8, "Content-Type: text/plain\n")), ("8-bit header", f"Subject: {LATIN}\n{E8}\n{TEXT8}"),
    ("lengths", mime("text/plain", "8bit", "".join("y" * n + end + "\n" for end in ("", " ", "=", "\xe9\xe8") for n in range(66, 80)))),
    ("long lines", mime("text/plain", "8bit", "z" * 5000 + "\n" + "w" * 2047 + " x\n" + "w" * 2047 + "  x\n" + "\xe9" * 1500 + "\n" + " " * 4096 + "\n")),
    ("all bytes", mime("text/plain", "8bit", "".join(chr(i) for i in range(256) if i not in (10, 13)) + "\n\tx\t\n \n\t\n")),
    ("dots", mime("text/plain", "8bit", ".\n..\n.x\n" + "a" * 73 + ".\n" + "b" * 73 + "..\n.\n")),
    ("long boundary", mime("multipart/mixed; boundary=" + "b" * 100, "8bit", "--" + "b" * 100 + f"\n{E8}\n{TEXT8}--" + "b" * 100 + f"--\n{TEXT8}")),
    ("three deep", deep(3)), ("four deep", deep(4)),
    ("long header", LONG + mime("message/rfc822", "", LONG + INNER8)),
]

GROUPS = [
    dict(name="header actions", main="header_checks = regexp:@ETC@/hc", files={"hc": CHECKS},
         messages=[(s, f"Subject: {s} me\n\nb\n") for s in SUBJECTS] +
                  [(f"X-{s}", f"X-{s}: old\n folded\nSubject: ok\n\nX-{s}: in body\n") for s in EDITS] +
                  [("two actions", "X-Warn: 1\nX-Prepend: 1\nX-Replace: 1\nSubject: hold on\n\nb\n"),
                   ("reject after warn", "X-Warn: 1\nSubject: reject\nX-Info: 2\n\nb\n"),
                   ("two rejects", "Subject: reject\nX-lower: 1\n\nb\n"),
                   ("reject and discard", "Subject: discard\nX-lower: 1\n\nb\n"),
                   ("pass then reject", "X-Pass: 1\nX-Then: 1\n\nb\n"),
                   ("folded", "X-Multi: a\n b\n\nb\n"),
                   ("received", "Received: from evil by x; Mon, 1 Jan 2001 00:00:00 +0000\nSubject: r\n\nb\n"),
                   ("long", "X-Long: " + "l" * 300 + "\n\nb\n"),
                   ("weird bytes", "X-Long: a\tb\x01c\xffd\n\nb\n"),
                   ("mime header by header_checks", "MIME-Version: 1.0\nContent-Type: text/evil\n\nb\n"),
                   ("blank before colon", "X-Warn : spaced\n\nb\n"),
                   ("only body", "\nX-Warn: b\n"),
                   ("no separator", "X-Warn: a\nbody at once\n"),
                   ("mailbox line", "From joe Mon Jan 1\nX-Warn: a\n\nb\n"),
                   ("leading blank", " X-Warn: a\nX-Warn: b\n\nb\n"),
                   ("nested by header_checks", mime("message/rfc822", "", "X-Warn: inner\n\nb\n")),
                   ("filter twice", "Subject: filter\nSubject: badfilter\n\nb\n"),
                   ]),
    dict(name="body actions", main="body_checks = regexp:@ETC@/bc", files={"bc": BODY},
         messages=[(w, f"Subject: s\n\nfirst\n{w} me\nlast\n") for w in
                   "reject hold drop strip old none pre warn filter bcc discard redirect pass dunno".split()] +
                  [("many", "Subject: s\n\ndrop\ndrop\npre 1\nold 2\n\nstrip\nwarn 3\nend"),
                   ("long line", "Subject: s\n\n" + "x" * 2048 + "yyyy" * 100 + "\nshort\n"),
                   ("longer line", "Subject: s\n\n" + "x" * 2047 + "\n" + "x" * 2049 + "\n" + "yyyy" * 1025 + "\n"),
                   ("boundaries", MULTI.replace("text\n", "warn in part\n")),
                   ("in body", "Subject: s\n\nX-InBody: 1\n"),
                   ("no headers", "warn at once\n\nwarn later\n"),
                   ("after separator missing", "Subject: a\nwarn at once\nwarn later\n"),
                   ("pass then reject", "Subject: s\n\npass\nreject me\n"),
                   ("8bit", f"Subject: s\n\nwarn {LATIN}\n"),
                   ("empty body", "Subject: s\n\n"), ("no body", "Subject: s\n")]),
    dict(name="parts", main="\n".join(f"{k} = regexp:@ETC@/{k}" for k in PARTS), files=PARTS,
         messages=[("multi", MULTI),
                   ("plain", "Subject: s\n\nb\n"),
                   ("rfc822 deep", mime("message/rfc822", "", "Subject: a\nContent-Type: message/rfc822\n\nSubject: b\n\nc\n")),
                   ("global", mime("message/global", "", "Subject: a\n\nc\n")),
                   ("partial", mime("message/partial; id=1", "", "Subject: a\n\nc\n")),
                   ("boundary prefix", mime("multipart/mixed; boundary=abc", "", "--abcd\nX: 1\n\nt\n--abc--\nX: 2\n")),
                   ("no boundary", mime("multipart/mixed", "", "--\nX: 1\n\nt\n")),
                   ("unterminated quote", mime('multipart/mixed; boundary="abc', "", "--abc\nX: 1\n\nt\n")),
                   ("comment", mime("multipart/(c)mixed; (x) boundary (y) = abc", "", "--abc\nX: 1\n\nt\n")),
                   ("two types", mime("text/plain", "", "--abc\nX: 1\n\nt\n", "Content-Type: multipart/mixed; boundary=abc\n")),
                   ("no mime version", "Subject: s\nContent-Type: multipart/mixed; boundary=abc\n\n--abc\nX: 1\n\nt\n"),
                   ("encoded rfc822", mime("message/rfc822", "base64", "Subject: a\n\nc\n")),
                   ("part without end of header", mime("multipart/mixed; boundary=abc", "", "--abc\nX: 1\nbody here\nX: 3\n--abc\n\n--abc--\n")),
                   ("same boundary nested", mime("multipart/mixed; boundary=abc", "", "--abc\nContent-Type: multipart/mixed; boundary=abc\n\n--abc\nX: 1\n\nt\n--abc--\nX: 2\n\nt\n--abc--\nX: 3\n")),
                   ("boundary in header", mime("multipart/mixed; boundary=abc", "", "--abc\nX: 1\n--abc\nX: 2\n\nt\n")),
                   ("continuation first", mime("multipart/mixed; boundary=abc", "", "--abc\n folded: 1\nX: 2\n\nt\n")),
                   ("headers of mime in primary", "Content-ID: <a>\nContent-Description: d\nMIME-Version: 1.0\nContent-Foo: x\nSubject: s\n\nb\n"),
                   ("blank after boundary", mime("multipart/mixed; boundary=abc", "", "--abc  \nX: 1\n\nt\n--abc-- \n")),
                   ]),
    dict(name="no mime", main="disable_mime_input_processing = yes\n" + "\n".join(f"{k} = regexp:@ETC@/{k}" for k in PARTS), files=PARTS,
         messages=[("multi", MULTI), ("nested", mime("message/rfc822", "", "Subject: a\n\nb\n"))]),
    dict(name="small limits", main="body_checks = regexp:@ETC@/body_checks\nbody_checks_size_limit = 20\nmime_boundary_length_limit = 5\n"
              "mime_nesting_limit = 2\nheader_size_limit = 100\nmime_header_checks = regexp:@ETC@/mime_header_checks\n"
              "nested_header_checks = regexp:@ETC@/nested_header_checks\nheader_checks = regexp:@ETC@/header_checks", files=PARTS,
         messages=[("body size", "Subject: s\n\n0123456789\nabcde\nline three\nline four\n"),
                   ("each part", mime("multipart/mixed; boundary=b", "", "pre 56789\n--b\n\n0123456789\n0123456789\n0123456789\n--b\n\n0123456789\n0123456789\n0123456789\n--b--\n")),
                   ("boundary length", mime("multipart/mixed; boundary=abcdefgh", "", "--abcdeXX\nX: 1\n\nt\n")),
                   ("nesting", mime("multipart/mixed; boundary=a", "", "--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\nX: 1\n\nt\n--c--\n--b--\n--a--\n")),
                   ("long header", "X-L: " + "0123456789" * 15 + "\nSubject: s\n\nb\n"),
                   ("long folded header", "X-L: a\n" + " 0123456789\n" * 15 + "Subject: s\n\nb\n"),
                   ("exactly", "X-L: " + "x" * 95 + "\nX-M: " + "y" * 96 + "\nSubject: s\n\nb\n"),
                   ]),
    dict(name="strict 7bit headers", main="strict_7bit_headers = yes",
         messages=[("primary", f"Subject: {LATIN}\n\nb\n"), ("body", f"Subject: s\n\n{LATIN}\n"),
                   ("mime", mime("multipart/mixed; boundary=abc", "", f"--abc\nContent-Description: {LATIN}\n\nt\n--abc--\n")),
                   ("nested", mime("message/rfc822", "", f"Subject: {LATIN}\n\nt\n"))]),
    dict(name="strict 8bitmime body", main="strict_8bitmime_body = yes",
         messages=[("no mime", f"Subject: s\n\n{LATIN}\n"), ("7bit", mime("text/plain", "7bit", LATIN + "\n")),
                   ("8bit", mime("text/plain", "8bit", LATIN + "\n")), ("binary", mime("text/plain", "binary", LATIN + "\n")),
                   ("qp", mime("text/plain", "quoted-printable", LATIN + "\n")), ("odd", mime("text/plain", "x-odd", LATIN + "\n")),
                   ("part", mime("multipart/mixed; boundary=abc", "8bit", f"--abc\n\n{LATIN}\n--abc\nContent-Transfer-Encoding: 8bit\n\n{LATIN}\n--abc--\n")),
                   ("header", f"Subject: {LATIN}\n\nb\n"),
                   ("prolog", mime("multipart/mixed; boundary=abc", "7bit", f"{LATIN}\n--abc\n\nt\n--abc--\n"))]),
    dict(name="strict 8bitmime", main="strict_8bitmime = yes",
         messages=[("header", f"Subject: {LATIN}\n\nb\n"), ("body", f"Subject: s\n\n{LATIN}\n"), ("plain", "Subject: s\n\nb\n"),
                   ("both", f"Subject: {LATIN}\n\n{LATIN}\n"), ("8bit", mime("text/plain", "8bit", LATIN + "\n"))]),
    dict(name="strict encoding domain", main="strict_mime_encoding_domain = yes",
         messages=[(f"{t} {enc}", mime(t + ("; boundary=abc" if "multi" in t else ""), enc, "Subject: a\n\nb\n"))
                   for t in ("multipart/mixed", "message/rfc822", "message/partial", "message/external-body", "message/global", "text/plain")
                   for enc in ("", "7bit", "8bit", "base64", "quoted-printable", "x-odd")] +
                  [("inner", mime("multipart/mixed; boundary=abc", "7bit", "--abc\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nX: 1\n\n--abc--\n")),
                   ("8bit in 7bit", mime("multipart/mixed; boundary=abc", "7bit", "--abc\nContent-Transfer-Encoding: 8bit\n\nb\n--abc--\n"))]),
    dict(name="rewriting", main="myorigin = example.test\nappend_dot_mydomain = yes",
         messages=[("senders", "From: joe\nReply-To: joe\nSender: joe\nErrors-To: joe\nReturn-Receipt-To: joe\nDisposition-Notification-To: joe\nMail-Followup-To: joe\nSubject: joe\n\nb\n"),
                   ("recipients", "To: joe, jane@host\nCc: joe\nBcc: joe\nApparently-To: joe\nX-To: joe\nSubject: s\n\nb\n"),
                   ("resent", "Resent-From: joe\nResent-Sender: joe\nResent-To: joe\nResent-Cc: joe\nResent-Bcc: joe\nResent-Reply-To: joe\nSubject: s\n\nb\n"),
                   ("undisclosed", "From: joe\nSubject: s\n\nb\n"), ("date only", "Date: x\nSubject: s\n\nb\n"),
                   ("drop", "Bcc: a\nContent-Length: 5\nReturn-Path: <x>\nSubject: s\n\nb\n"),
                   ("nested untouched", mime("message/rfc822", "", "From: joe\nBcc: x\n\nb\n")),
                   ("empty fields", "To:\nCc: \nFrom:\nSubject: s\n\nb\n"),
                   ("groups", "To: friends: joe, jane;, bob\nSubject: s\n\nb\n")]),
    dict(name="undisclosed", main="undisclosed_recipients_header = To: undisclosed-recipients:;\nmyorigin = example.test",
         messages=[("none", "Subject: s\n\nb\n"), ("cc", "Cc: x@y.test\n\nb\n"), ("resent", "Resent-From: a@b.test\nTo: x@y.test\n\nb\n"), ("empty to", "To:\n\nb\n")]),
    dict(name="remote clients", main="local_header_rewrite_clients =\nmyorigin = example.test",
         messages=[("incomplete", "From: joe\nTo: jane@host\nSubject: s\n\nb\n"), ("nothing", "\nb\n")]),
    dict(name="remote domain", main="local_header_rewrite_clients =\nremote_header_rewrite_domain = invalid.test\nmyorigin = example.test",
         messages=[("incomplete", "From: joe\nTo: jane@host, a!b, c%d\nSubject: s\n\nb\n"), ("nothing", "\nb\n")]),
    dict(name="always add", main="local_header_rewrite_clients =\nalways_add_missing_headers = yes\nmyorigin = example.test",
         messages=[("incomplete", "From: joe\nTo: jane@host\nSubject: s\n\nb\n"), ("nothing", "\nb\n")]),
    dict(name="reject characters", main="message_reject_characters = \\0\\033\\377",
         messages=[("nul in body", "Subject: s\n\na\x00b\n"), ("nul in header", "Subject: s\x00\n\nb\n"), ("escape", "Subject: s\n\na\x1bb\n"),
                   ("high", "Subject: s\n\na\xffb\n"), ("none", "Subject: s\n\nb\n")]),
    dict(name="strip characters", main="message_strip_characters = \\0\\100x\nmyorigin = example.test",
         messages=[("body", "Subject: s\n\na\x00b@c x\nxxx\n"), ("header", "Subject: a\x00b@xc\nX-x: 1\n\nb\n"), ("none", "Subject: s\n\nb\n")]),
    dict(name="detect off", main="detect_8bit_encoding_header = no\nlocal_header_rewrite_clients =",
         messages=[("8bit said", mime("text/plain", "8bit", "plain\n"))]),
    dict(name="hops", main="hopcount_limit = 3",
         messages=[(f"{n} received", "Received: from a by b; Mon, 1 Jan 2001 00:00:00 +0000\n" * n + "Subject: s\n\nb\n") for n in (1, 2, 3, 4)] +
                  [("nested do not count", mime("message/rfc822", "", "Received: a\n" * 5 + "\nb\n"))]),
    dict(name="size", main="message_size_limit = 2000\nheader_checks = regexp:@ETC@/hc", files={"hc": CHECKS},
         messages=[("too large", "Subject: s\n\n" + "0123456789012345678901234567890123456789\n" * 60), ("fits", "Subject: s\n\n" + "0123456789\n" * 60),
                   ("too large and rejected", "Subject: reject\n\n" + "0123456789012345678901234567890123456789\n" * 60)]),
    dict(name="overrides", main="header_checks = regexp:@ETC@/hc\nbody_checks = regexp:@ETC@/bc\nreceive_override_options = no_header_body_checks",
         files={"hc": CHECKS, "bc": BODY}, messages=[("header", "Subject: reject\n\nb\n"), ("body", "Subject: s\n\nreject me\n")]),
    dict(name="broken table", main="header_checks = texthash:@ETC@/nothere", messages=[("any", "Subject: s\n\nb\n")]),
    dict(name="broken body table", main="body_checks = texthash:@ETC@/nothere", messages=[("any", "Subject: s\n\nb\n")]),
    dict(name="address tokens", main="header_address_token_limit = 20\nmyorigin = example.test",
         messages=[("many", "To: " + ", ".join(f"u{i}" for i in range(20)) + "\n\nb\n"), ("few", "To: a, b, c\n\nb\n")]),
    dict(name="to 7 bits", main="local_header_rewrite_clients =", keywords=("PIPELINING",), said=" BODY=8BITMIME", messages=EIGHT_BITS),
    dict(name="to 7 bits, small limits", main="local_header_rewrite_clients =\nmime_nesting_limit = 1\nheader_size_limit = 200\nmime_boundary_length_limit = 1\nsmtp_line_length_limit = 60",
         keywords=("PIPELINING",), said=" BODY=8BITMIME", messages=EIGHT_BITS),
    dict(name="to 7 bits, unsaid", main="local_header_rewrite_clients =", keywords=("PIPELINING",), messages=[m for m in EIGHT_BITS if m[0] in ("text", "multipart", "no mime version", "rfc822", "8-bit header")]),
    dict(name="to 7 bits, switched off", main="disable_mime_output_conversion = yes\nlocal_header_rewrite_clients =", keywords=("PIPELINING",), said=" BODY=8BITMIME", messages=EIGHT_BITS[:2]),
]
