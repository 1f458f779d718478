"""What this version cannot do changes nothing about where mail goes: it waits, and the log says why."""
import pytest


@pytest.mark.parametrize("setting, dsn, text", [
    ("smtp_tls_security_level = encrypt", "4.7.5", "TLS is required"),
    ("smtp_tls_policy_maps = inline:{{ example.com=secure }}", "4.7.5", "TLS is required"),
    ("smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = static:me:secret", "4.7.0", "SASL authentication is required"),
])
def test_mail_goes_out_in_the_clear_or_without_a_password_against_the_policy(instance, setting, dsn, text):
    from harness import Sink
    with Sink() as sink:
        m = instance(setting, sink_port=sink.port).start()
        m.send("x@far.test")
        m.wait_log(rf"dsn={dsn}, status=deferred \({text}")
        m.wait_log(r"warning: service smtp: .* is not supported yet: mail for this service waits")
        assert sink.messages == []


def test_opportunistic_tls_keeps_mail_from_going_out(instance):
    from harness import Sink
    with Sink() as sink:
        m = instance("smtp_tls_security_level = may", sink_port=sink.port).start()
        m.send("x@far.test")
        sink.wait(1)


def test_authentication_is_left_out_without_a_word(instance):
    m = instance("smtpd_sasl_auth_enable = yes").start()
    m.wait_log(r"smtpd_sasl_auth_enable: AUTH is not built yet and not offered")
