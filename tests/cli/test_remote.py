"""The same commands through a server: equal answers, the server's own words for what is wrong."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import NamedTuple

import pytest

from tests.cli.conftest import SAMPLE
from zeratul.cli import demo
from zeratul.config import Config

READING = ("user:david", "document:vacation-policy", "can_read")


class Server(NamedTuple):
    """A running `zeratul serve --demo`."""

    url: str
    key: str
    said: str
    process: subprocess.Popen
    data: str

    @property
    def options(self) -> tuple[str, ...]:
        return ("--url", self.url, "--key", self.key)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Started with the sample, told to stop with SIGTERM; it has to end by itself."""
    data = tmp_path_factory.mktemp("served") / "data"
    arguments = ["serve", "--demo", "--data", str(data), "--port", str(free_port())]
    with subprocess.Popen(
        [sys.executable, "-m", "zeratul", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Every call:"):
                break
        said = "".join(lines)
        try:
            url = re.search(r"listening on (\S+)", said)[1]
            key = re.search(r"root key, shown this once: (\S+)", said)[1]
            yield Server(url, key, said, process, str(data))
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


@pytest.mark.slow
def test_the_demo_shows_two_explanations_and_calls_that_work(server):
    """What it prints can be pasted: each curl line, read back, is answered."""
    assert "allowed: user:david as `can_read` of document:vacation-policy" in server.said
    assert "denied: user:hugo as `can_read` of document:vacation-policy" in server.said
    calls = [line for line in server.said.splitlines() if line.startswith("curl ")]
    answers = []
    for call in calls:
        url = re.search(r"curl -s (\S+)", call)[1]
        headers = dict(
            text.split(": ", 1) for text in re.findall(r"""-H ["']([^"']+)["']""", call)
        )
        body = re.search(r"-d '(.*)'; echo", call)[1].encode()
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            answers.append(json.load(response))

    assert len(answers) == 3
    assert answers[0]["relation"] == "viewer"
    assert answers[1]["allowed"] is True
    assert "document:vacation-policy#viewer@user:hugo" in answers[2]["text"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "question",
    [
        ("check", *READING),
        ("explain", *READING),
        ("explain", "user:nobody", *READING[1:]),
        ("who-can", "document:roadmap-2027", "can_read"),
        ("who-can", "document:roadmap-2027", "viewer", "group#member"),
        ("what-can", "user:carla", "document", "can_read"),
        ("export",),
        ("model", "get"),
        ("applications", "list"),
    ],
)
def test_a_server_and_its_directory_answer_alike(zeratul, server, question):
    """Also: a command on the directory works while the server runs on it."""
    remote = zeratul(*question, *server.options)
    local = zeratul(*question, "--data", server.data)

    assert remote.out == local.out
    assert remote.code == local.code
    assert remote.out


@pytest.mark.slow
def test_what_is_written_through_one_is_seen_through_the_other(zeratul, server, tmp_path):
    file = tmp_path / "one.ndjson"
    file.write_text(
        '{"resource": "document:remote", "relation": "viewer", "subject": "user:zoe"}\n'
        '{"resource": "document:remote", "relation": "viewr", "subject": "user:zoe"}\n'
    )

    done = zeratul("import", file, *server.options)

    assert done.code == 1
    assert "1 created" in done.out
    assert "line 2: " in done.err
    question = ("check", "user:zoe", "document:remote", "can_read")
    assert zeratul(*question, "--data", server.data).code == 0
    assert zeratul(*question, *server.options).code == 0
    other = zeratul("applications", "create", "other", *server.options).out.strip()
    there = (*server.options, "--application", other)
    assert zeratul("model", "put", SAMPLE / "model.json", *there).code == 0
    assert zeratul(*question, *there).code == 1
    secret = zeratul("keys", "create", "reader", *there).out.strip()
    assert zeratul(*question, "--url", server.url, "--key", secret).code == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "user:a", "documnt:x", "viewer"), "did you mean `document`?"),
        (("who-can", "document:x", "viewr"), "did you mean `viewer`?"),
        (("check", *READING, "--application", "nope"), "no application `nope`"),
        (("export", "--application", "nope"), "no application `nope`"),
        (("keys", "create", "k", "--permission", "nothing:read"), "nothing:read"),
    ],
)
def test_a_servers_refusal_is_shown_in_its_words(zeratul, server, arguments, said):
    done = zeratul(*arguments, *server.options)

    assert done.code == 2
    assert done.out == ""
    assert said in done.err


@pytest.mark.slow
def test_a_wrong_key_is_refused(zeratul, server):
    done = zeratul("check", *READING, "--url", server.url, "--key", "zrt_wrong")

    assert done.code == 2
    assert "401" in done.err


@pytest.mark.slow
def test_what_is_no_zeratul_is_not_trusted(zeratul):
    """Something else answers on the port: an error, never a decision."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        program = (
            "import socket,sys; s=socket.socket(fileno=int(sys.argv[1])); c,_=s.accept(); "
            "c.recv(65536); c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello')"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(listening.fileno())],
            pass_fds=[listening.fileno()],
        ):
            done = zeratul("check", *READING, "--url", url, "--key", "k")

    assert done.code == 2
    assert "does not answer as Zeratul does" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "the port must be"),
        (("--port", "http"), "not a valid integer"),
        (("--workers", "0"), "the workers must be"),
        (("--map-size", "-1"), "not in the range"),
    ],
)
def test_a_server_that_cannot_start_says_why(zeratul, tmp_path, arguments, said):
    done = zeratul("serve", "--data", tmp_path / "data", *arguments)

    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_busy_port_is_named_and_the_fresh_root_key_is_not_lost(tmp_path):
    """The demo makes the key before the server starts: it is shown even if the start fails."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = ["--data", str(tmp_path / "data"), "--port", str(listening.getsockname()[1])]
        done = subprocess.run(
            [sys.executable, "-m", "zeratul", "serve", "--demo", *where],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert "root key, shown this once: zrt_" in done.stdout


@pytest.mark.parametrize("given", [None, "a-root-key-of-somebody-s-own-making"])
def test_the_demo_shows_no_key_that_was_not_made_for_it(tmp_path, capsys, given):
    """Nor at its second start, when it can not know the first one's any more."""
    config = Config(data=tmp_path / "data", root_key=given)
    for start in ("first", "second"):
        demo.prepare(config).show("http://127.0.0.1:1")
        said = capsys.readouterr().out
        assert str(given) not in said
        assert ("root key, shown this once" in said) == (given is None and start == "first")
        assert ("export ZERATUL_KEY=" in said) == ('-H "X-API-Key: $ZERATUL_KEY"' in said)
        assert ("export ZERATUL_KEY=" in said) != ("root key, shown this once" in said)
