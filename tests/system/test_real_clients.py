"""Mail programs that people use, against a server with restrictions: plain mail, 8 bits, attachments, UTF-8 addresses, and what they say when refused."""
import email, email.policy, json, os, shutil, smtplib, subprocess
from email.message import EmailMessage

import pytest
import harness
from harness import Instance, Sink, nodemailer

RESTRICTIONS = """\
smtpd_helo_required = yes
smtpd_helo_restrictions = reject_invalid_helo_hostname
smtpd_sender_restrictions = reject_non_fqdn_sender, check_sender_access inline:{{{{bad@sender.test = REJECT not from you}}}}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{{{refused@good.test = REJECT nobody here}}}}, permit_mynetworks
smtpd_data_restrictions = reject_unauth_pipelining
"""
TEXT = "Grüße aus Köln, 日本\n.ein Punkt\n..zwei\n"
ATTACHED = bytes(range(256)) * 40


@pytest.fixture
def mta(tmp_path):
    with Sink(keywords=("PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")) as sink:
        with Instance(tmp_path, RESTRICTIONS, sink_port=sink.port) as m:
            m.sink = sink
            yield m


def need(program):
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def run(mta, *args, input=None):
    return subprocess.run(list(args), input=input, capture_output=True, text=True, timeout=2 * harness.PATIENCE, env=dict(os.environ, HOME=str(mta.dir), LC_ALL="C.UTF-8"))


def delivered(mta, n=1):
    """The message as a program reads it, and its envelope."""
    m = mta.sink.wait(n)[n - 1]
    return email.message_from_bytes(m["data"], policy=email.policy.default), m


def body_of(message):
    return message.get_body().get_content().replace("\r\n", "\n")


def attachment_of(message):
    return next(message.iter_attachments()).get_payload(decode=True)


def test_swaks(mta, tmp_path):
    swaks = need("swaks")
    (tmp_path / "a.bin").write_bytes(ATTACHED)
    to = ["--server", f"127.0.0.1:{mta.port}", "--from", "a@sender.test", "--ehlo", "client.test"]
    r = run(mta, swaks, *to, "--to", "b@good.test,c@good.test", "--pipeline", "--body", TEXT, "--attach", f"@{tmp_path}/a.bin")
    assert r.returncode == 0, r.stdout
    message, m = delivered(mta)
    assert len(m["rcpt"]) == 2 and attachment_of(message) == ATTACHED
    r = run(mta, swaks, *to, "--to", "refused@good.test")
    assert r.returncode == 24 and "554 5.7.1 <refused@good.test>: Recipient address rejected: nobody here" in r.stdout, r.stdout
    r = run(mta, swaks, *to, "--to", "b@good.test", "--from", "bad@sender.test")
    assert r.returncode and "Sender address rejected: not from you" in r.stdout
    r = run(mta, swaks, *to, "--to", "b@good.test", "--ehlo", "not..valid")
    assert r.returncode and "Helo command rejected: Invalid name" in r.stdout


def offers_xclient(mta):
    with mta.client() as c:
        return "XCLIENT" in str(c.cmd("EHLO client.test"))


def test_swaks_for_another_client(mta):
    """XCLIENT is for those who may."""
    args = [need("swaks"), "--server", f"127.0.0.1:{mta.port}", "--from", "a@sender.test", "--to", "b@good.test", "--ehlo", "client.test",
            "--xclient-name", "spike.test", "--xclient-addr", "10.0.0.9"]
    r = run(mta, *args)
    assert r.returncode and "did not advertise XCLIENT" in r.stderr and "spike.test" not in mta.log(), r.stderr
    mta.main_cf.write_text(mta.main_cf.read_text() + "smtpd_authorized_xclient_hosts = 127.0.0.1\n")
    old = set(mta.pids("smtpd"))
    mta.reload()
    harness.wait_for("the end of those that did not offer it", lambda: not old & set(mta.pids("smtpd")))
    assert offers_xclient(mta)
    r = run(mta, *args)
    assert r.returncode and "Relay access denied" in r.stdout, r.stdout
    mta.wait_log(r"reject: RCPT from spike\.test\[10\.0\.0\.9\]: 554 5\.7\.1 <b@good\.test>: Relay access denied")


def test_msmtp(mta):
    msmtp = need("msmtp")
    to = ["--host=127.0.0.1", f"--port={mta.port}", "--tls=off", "--auth=off", "--from=a@sender.test", "--domain=client.test"]
    r = run(mta, msmtp, *to, "b@good.test", "c@good.test", input=f"Subject: m\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{TEXT}")
    assert r.returncode == 0, r.stderr
    assert body_of(delivered(mta)[0]) == TEXT
    r = run(mta, msmtp, *to, "refused@good.test", input="Subject: m\n\nx\n")
    assert r.returncode == 65 and "554 5.7.1 <refused@good.test>: Recipient address rejected: nobody here" in r.stderr, r.stderr


def test_curl(mta, tmp_path):
    curl = need("curl")
    (tmp_path / "message").write_bytes(f"Subject: c\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{TEXT}".replace("\r\n", "\n").replace("\n", "\r\n").encode())
    to = ["--silent", "--show-error", f"smtp://127.0.0.1:{mta.port}/client.test", "--mail-from", "a@sender.test", "--upload-file", str(tmp_path / "message")]
    r = run(mta, curl, *to, "--mail-rcpt", "b@good.test")
    assert r.returncode == 0, r.stderr
    assert body_of(delivered(mta)[0]) == TEXT
    r = run(mta, curl, *to, "--mail-rcpt", "refused@good.test")
    assert r.returncode == 55 and "554" in r.stderr, r.stderr
    r = run(mta, curl, *to, "--mail-rcpt", "refused@good.test", "--mail-rcpt", "b@good.test", "--mail-rcpt-allowfails")
    assert r.returncode == 0, r.stderr
    assert len(delivered(mta, 2)[1]["rcpt"]) == 1
    r = run(mta, curl, "--silent", f"smtp://127.0.0.1:{mta.port}/client.test", "--mail-rcpt", "b@good.test", "--request", "VRFY")
    assert r.returncode == 0 and "252" in r.stdout, r.stdout + r.stderr


def test_mutt(mta, tmp_path):
    mutt = need("mutt")
    (tmp_path / "a.bin").write_bytes(ATTACHED)
    (tmp_path / "rc").write_text(f"set smtp_url='smtp://127.0.0.1:{mta.port}/' from=a@sender.test envelope_from_address=a@sender.test use_envelope_from=yes copy=no "
                                 "hostname=client.test use_domain=no charset=utf-8 send_charset=utf-8 allow_8bit=yes ssl_starttls=no ssl_force_tls=no\n")
    to = [mutt, "-n", "-F", str(tmp_path / "rc"), "-s", "Grüße"]
    r = run(mta, *to, "-a", str(tmp_path / "a.bin"), "--", "b@good.test", input=TEXT)
    assert r.returncode == 0, r.stdout + r.stderr
    message, _ = delivered(mta)
    assert message["Subject"] == "Grüße" and attachment_of(message) == ATTACHED and body_of(message).startswith("Grüße aus Köln")
    r = run(mta, *to, "--", "refused@good.test", input=TEXT)
    assert r.returncode == 1 and "nobody here" in r.stdout + r.stderr, r.stdout + r.stderr


def test_smtplib(mta):
    with smtplib.SMTP("127.0.0.1", mta.port, local_hostname="client.test") as s:
        m = EmailMessage(policy=email.policy.SMTP)
        m["From"], m["To"], m["Subject"] = "a@sender.test", "b@good.test", "Grüße"
        m.set_content(TEXT, cte="8bit")
        m.add_attachment(ATTACHED, maintype="application", subtype="octet-stream", filename="a.bin")
        assert s.send_message(m, mail_options=["BODY=8BITMIME"]) == {}
        message, envelope = delivered(mta)
        assert body_of(message) == TEXT and attachment_of(message) == ATTACHED and "BODY=8BITMIME" in envelope["mail"]
        assert s.sendmail("a@sender.test", ["refused@good.test", "b@good.test"], "Subject: some\r\n\r\nx\r\n") == {
            "refused@good.test": (554, b"5.7.1 <refused@good.test>: Recipient address rejected: nobody here")}
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            s.sendmail("a@sender.test", ["refused@good.test"], "Subject: none\r\n\r\nx\r\n")
        assert s.verify("b@good.test")[0] == 252


def test_smtplib_utf8_addresses(mta):
    with smtplib.SMTP("127.0.0.1", mta.port, local_hostname="client.test") as s:
        m = EmailMessage(policy=email.policy.SMTPUTF8)
        m["From"], m["To"], m["Subject"] = "jürgen@sender.test", "größe@good.test", "Grüße"
        m.set_content(TEXT, cte="8bit")
        assert s.send_message(m) == {}
    envelope = mta.sink.wait(1)[0]
    assert "SMTPUTF8" in envelope["mail"] and "größe@good.test".encode().decode("latin-1") in envelope["rcpt"][0]
    assert "From: jürgen@sender.test".encode() in envelope["data"] and "UTF8SMTP" in envelope["data"].decode()


SCRIPT = """
const mailer = require('nodemailer').createTransport({host: '127.0.0.1', port: %d, name: 'client.test', ignoreTLS: true, pool: true});
const send = m => mailer.sendMail(m).then(i => ({accepted: i.accepted, rejected: i.rejected}), e => ({code: e.responseCode, text: e.response}));
(async () => {
    const from = 'a@sender.test', text = %s, out = [];
    out.push(await send({from, to: ['b@good.test', 'refused@good.test'], subject: 'Grüße', text, attachments: [{filename: 'a.bin', content: Buffer.from('%s', 'base64')}]}));
    out.push(await send({from, to: 'refused@good.test', text}));
    out.push(await send({from: 'bad@sender.test', to: 'b@good.test', text}));
    out.push(await send({from: 'jürgen@sender.test', to: 'größe@good.test', text}));
    mailer.close();
    console.log(JSON.stringify(out));
})();
"""


def test_nodemailer(mta):
    import base64
    modules, node = nodemailer(), need("node")
    if modules is None:
        pytest.skip("nodemailer could not be fetched")
    r = subprocess.run([node, "-e", SCRIPT % (mta.port, json.dumps(TEXT), base64.b64encode(ATTACHED).decode())], capture_output=True, text=True, timeout=2 * harness.PATIENCE,
                       env=dict(os.environ, NODE_PATH=str(modules), LC_ALL="C.UTF-8"))
    assert r.returncode == 0, r.stderr
    some, none, sender, utf8 = json.loads(r.stdout)
    assert some == {"accepted": ["b@good.test"], "rejected": ["refused@good.test"]}
    assert none["code"] == 554 and "nobody here" in none["text"] and sender["code"] == 554 and "not from you" in sender["text"]
    assert len(utf8["accepted"]) == 1
    utf8, plain = sorted(mta.sink.wait(2), key=lambda m: "SMTPUTF8" not in m["mail"])  # they go out side by side
    message = email.message_from_bytes(plain["data"], policy=email.policy.default)
    assert message["Subject"] == "Grüße" and body_of(message).rstrip("\n") == TEXT.rstrip("\n") and attachment_of(message) == ATTACHED
    assert "SMTPUTF8" in utf8["mail"] and "SMTPUTF8" not in plain["mail"]
