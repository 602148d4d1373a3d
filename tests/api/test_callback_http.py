"""The POST of a callback: only to the public Internet or to hosts that the operator named, and with a deadline."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis.strategies import text

from rest.callbacks.address_policy import AddressPolicy, Resolve, is_public, resolve
from rest.callbacks.safe_post import CallbackHttp, Failed, Refused, Target
from tests.support.http_receivers import CERTIFICATE, Receiver, Request, Say, answer, receiving, without_end

HERE = AddressPolicy(networks=(ip_network("127.0.0.1"),))
NOBODY = AddressPolicy()
INSIDE = "not on the public Internet"


OK = answer(200)


def always(*addresses: str) -> Resolve:
    """Return a resolver by which every name has these addresses."""
    return lambda _host, _port: addresses


def sent(url: object, say: Say = OK, *, seconds: float = 10.0) -> tuple[int, Request]:
    """Send a POST to the URL, in which PORT stands for the receiver's; return the status and the received request."""
    with receiving(say) as receiver:
        status = post(url, receiver, seconds=seconds)
        return status, receiver.requests[0]


def post(url: object, receiver: Receiver, *, seconds: float = 10.0) -> int:
    place = url.replace("PORT", str(receiver.port)) if isinstance(url, str) else url
    return CallbackHttp(HERE, always("127.0.0.1"), seconds).post(place, b"{}", {"X-Id": "7"})


def refused(url: object, policy: AddressPolicy = NOBODY, resolve: Resolve = resolve) -> str:
    """Return the reason for which the URL is refused; fail if the receiver was called."""
    with receiving(OK) as receiver:
        place = url.replace("PORT", str(receiver.port)) if isinstance(url, str) else url
        with pytest.raises(Refused) as caught:
            CallbackHttp(policy, resolve).post(place, b"{}", {})
        assert receiver.connections == 0
    return str(caught.value)


# Addresses.


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "192.0.0.192"),
        *("169.254.1.1", "169.254.169.254", "100.100.100.200", "168.63.129.16", "198.18.0.1", "240.0.0.1"),
        *("224.0.0.1", "239.255.255.255", "255.255.255.255", "192.0.2.1", "192.88.99.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "::ffff:0:7f00:1", "2001:db8::1", "100::1"),
        *("2002:7f00:1::", "2002:a00:1::", "2001:0:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
    ],
)
def test_an_address_in_a_private_network_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert INSIDE in refused("http://a.test:PORT/", resolve=always(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"])
def test_an_address_on_the_public_internet_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "2130706433", "0177.0.0.1", "0x7f.1", "0x7f000001", "127.1", "0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1"),  # noqa: RUF001
        "169.254.169.254",
    ],
)
def test_a_host_that_leads_to_a_private_address_is_refused_however_it_is_written(host: str) -> None:
    assert INSIDE in refused(f"http://{host}:PORT/")


def test_a_host_with_one_private_address_among_public_ones_is_refused() -> None:
    assert INSIDE in refused("http://a.test:PORT/", resolve=always("8.8.8.8", "127.0.0.1"))


def test_a_refusal_does_not_tell_the_private_address_of_a_name() -> None:
    assert "10.1.2.3" not in refused("http://a.test:PORT/", resolve=always("10.1.2.3"))


def test_a_host_is_resolved_once_for_each_callback_and_called_at_the_address_that_was_checked() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]]
    with receiving(OK) as receiver:
        http = CallbackHttp(HERE, lambda _host, _port: answers.pop(0))

        status = http.post(f"http://a.test:{receiver.port}/", b"{}", {})

        assert status == 200
        assert len(answers) == 2
        with pytest.raises(Refused, match=INSIDE):
            http.post(f"http://a.test:{receiver.port}/", b"{}", {})
        assert receiver.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiving(OK) as inside:
        found, _ = sent("http://a.test:PORT/", answer(status, f"Location: {inside.url}"))

        assert found == status
        assert inside.connections == 0


def test_proxies_in_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(answer(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        status, _ = sent("http://a.test:PORT/")

        assert status == 200
        assert proxy.connections == 0


def test_a_host_that_the_operator_named_is_allowed_at_any_address() -> None:
    policy = AddressPolicy(hosts=frozenset({"hooks.internal"}))
    with receiving(OK) as receiver:
        http = CallbackHttp(policy, always("127.0.0.1"))

        assert http.post(f"http://Hooks.Internal.:{receiver.port}/", b"{}", {}) == 200


def test_a_host_that_the_operator_did_not_name_is_refused_at_a_private_address() -> None:
    policy = AddressPolicy(hosts=frozenset({"hooks.internal"}))

    assert INSIDE in refused("http://not.hooks.internal:PORT/", policy, always("127.0.0.1"))


def test_a_network_that_the_operator_named_is_allowed_and_no_other() -> None:
    policy = AddressPolicy(networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))

    assert policy.allows("a.test", ip_address("10.1.2.3"))
    assert policy.allows("a.test", ip_address("fd00::1"))
    assert not policy.allows("a.test", ip_address("192.168.0.1"))
    assert INSIDE in refused("http://a.test:PORT/", policy, always("10.1.2.3", "127.0.0.1"))


def test_a_host_with_several_addresses_is_called_at_the_first_that_accepts_a_connection() -> None:
    policy = AddressPolicy(networks=(ip_network("127.0.0.0/8"),))
    with receiving(OK) as receiver:
        http = CallbackHttp(policy, always("127.0.0.2", "127.0.0.1"))  # no server listens at the first

        assert http.post(f"http://a.test:{receiver.port}/", b"{}", {}) == 200


# URLs.


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://a.test/",
            "file:///etc/passwd",
            "gopher://a.test:PORT/",
            "//a.test/",
            "a.test",
            "",
            "http://",
            "http:///x",
        ),
        *("http://a.test:0/", "http://a.test:99999/", "http://a.test:x/", "http://[::1/", "http://a..test/"),
        *(
            "http://a b:PORT/",
            "http://a\x00b/",
            "http://[fe80::1%25lo]:PORT/",
            f"http://{'a' * 64}.test/",
        ),
        *("http://me@127.0.0.1:PORT/", "http://me:secret@127.0.0.1:PORT/", "http://a.test@127.0.0.1:PORT/"),
        *(None, 7, ["http://127.0.0.1:PORT/"]),
    ],
)
def test_a_url_that_is_not_plain_http_is_refused(url: object) -> None:
    assert "URL" in refused(url, HERE, always("127.0.0.1"))


@pytest.mark.parametrize("port", [1, 22, 25, 81, 442, 444, 993, 1023])
def test_a_port_that_belongs_to_another_protocol_is_refused(port: int) -> None:
    assert "port" in refused(f"http://127.0.0.1:{port}/", HERE)


@pytest.mark.parametrize("port", [80, 443, 1024, 6379, 65535])
def test_the_ports_of_http_and_those_above_1023_are_allowed(port: int) -> None:
    assert Target.from_url(f"http://a.test:{port}/").port == port


@settings(deadline=None)
@given(text().map("http://a.test{}".format) | text().map("http://{}:1/x".format) | text())
def test_any_url_is_refused_or_gives_a_request_of_printable_ascii(url: str) -> None:
    try:
        target = Target.from_url(url)
    except Refused:
        return
    assert target.path.startswith("/")
    for part in (target.path, target.authority):
        assert all("!" <= letter <= "~" for letter in part)


def test_a_callback_is_one_post_of_the_body_to_the_path_of_the_url() -> None:
    status, request = sent("http://a.test:PORT/a/b%20c;d?x=1&y=%C3%A9#part")

    assert status == 200
    assert request.line == "POST /a/b%20c;d?x=1&y=%C3%A9 HTTP/1.1"
    assert request.body == b"{}"
    assert request.headers["x-id"] == "7"
    assert request.headers["host"].startswith("a.test:")


def test_a_line_break_in_a_url_adds_no_header_and_no_request() -> None:
    _, request = sent("http://a.test:PORT/é x\r\nX-Evil: 1\r\n\r\nGET /")

    assert request.line == "POST /%C3%A9%20xX-Evil:%201GET%20/ HTTP/1.1"
    assert "x-evil" not in request.headers


# Receivers that behave badly.


@pytest.mark.parametrize(
    "say",
    [
        without_end(b"", b"H", 0.05),
        without_end(b"HTTP/1.1 200 OK\r\n", b"A", 0.05),
        without_end(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", 0.05),
        without_end(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        without_end(b"", b"", 0.05),
    ],
    ids=["status line", "header", "headers", "continues", "silence"],
)
def test_an_answer_that_never_ends_fails_after_the_deadline(say: Say) -> None:
    with pytest.raises(Failed, match=r"longer than 0\.4 s"):
        sent("http://a.test:PORT/", say, seconds=0.4)


@pytest.mark.parametrize("pause_seconds", [0.0, 0.05])
def test_an_answer_with_an_endless_body_counts_by_its_status(pause_seconds: float) -> None:
    beginning = b"HTTP/1.1 200 OK\r\n\r\n"

    status, _ = sent("http://a.test:PORT/", without_end(beginning, b"x" * 4096, pause_seconds), seconds=5)

    assert status == 200


def test_an_answer_with_endless_headers_fails_after_64_kb() -> None:
    with pytest.raises(Failed, match="larger than 64 kB"):
        sent("http://a.test:PORT/", without_end(b"HTTP/1.1 200 OK\r\nA: ", b"x" * 4096))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_never_reads_fails_after_the_deadline(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"{scheme}://a.test:{deaf.getsockname()[1]}/"
        with pytest.raises(Failed, match="longer"):
            CallbackHttp(HERE, always("127.0.0.1"), 0.3).post(url, b"x" * 10_000_000, {})


def test_a_resolver_that_never_answers_fails_after_the_deadline() -> None:
    never = threading.Event()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        never.wait(30)
        return ()

    with pytest.raises(Failed, match="longer"):
        CallbackHttp(NOBODY, resolve, 0.2).post("http://a.test/", b"{}", {})
    never.set()


@pytest.mark.parametrize(
    "say",
    [lambda c: c.sendall(b"220 mail ESMTP\r\n"), lambda _: None, lambda c: c.sendall(b"HTTP/1.1 many OK\r\n\r\n")],
    ids=["another protocol", "nothing", "no number"],
)
def test_an_answer_that_is_not_http_fails(say: Say) -> None:
    with pytest.raises(Failed, match="not HTTP"):
        sent("http://a.test:PORT/", say)


def test_a_receiver_that_refuses_connections_fails_with_that_reason() -> None:
    with receiving(OK) as gone:
        pass

    with pytest.raises(Failed, match="refuses connections"):
        CallbackHttp(HERE).post(gone.url, b"{}", {})


def test_a_host_without_an_address_fails_with_that_reason() -> None:
    with pytest.raises(Failed, match="has no address"):
        CallbackHttp(HERE).post("http://nobody.invalid/", b"{}", {})


# TLS.


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@pytest.mark.parametrize(
    ("host", "trust", "outcome"),
    [
        ("receiver.test", trusting, "200"),
        ("other.test", trusting, "not to be trusted: Hostname mismatch"),
        ("receiver.test", ssl.create_default_context, "not to be trusted: self-signed"),
    ],
)
def test_a_certificate_must_be_trusted_and_name_the_host_of_the_url(
    host: str, trust: Callable[[], ssl.SSLContext], outcome: str
) -> None:
    with receiving(OK, secure=True) as receiver:
        http = CallbackHttp(HERE, always("127.0.0.1"), trust=trust)
        try:
            found = str(http.post(f"https://{host}:{receiver.port}/", b"{}", {}))
        except Failed as failure:
            found = str(failure)

        assert outcome in found
        assert len(receiver.requests) == (outcome == "200")
