"""Runs a program that submits a file and is told by webhook, between which and the gateway everything goes wrong:

    rough_network.py COMMAND...        with GATEWAY_URL set

The answer to the first upload is lost. Before the first genuine webhook the program's receiver gets forged ones, which it
has to refuse, and one about another transcription twice, of which it may tell once. The program has to come through, to
print its transcript once, and to leave nothing behind. Exits 0 if it does, else names what is wrong.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

UPSTREAM = urlsplit(os.environ["GATEWAY_URL"])
ANOTHER = "00000000-0000-7000-8000-000000000000"
SPOKEN = "this is Anna from Northwind Freight"


class Network(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Connection)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.Lock()
        self.wrong = []
        self.receiver = self.secret = None
        self.uploads = []
        self.made, self.deleted = set(), set()
        self.has_forged = False

    def expect(self, holds, what):
        if not holds:
            self.wrong.append(what)


class Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.pass_on()

    def do_DELETE(self):
        status, headers, body = self.ask_gateway(self.body())
        # Before the answer, after which the program may end.
        if status < 300:
            self.server.deleted.add(self.path)
        self.answer(status, headers, body)

    def do_POST(self):
        if self.path == "/receiver":
            self.tell()
        elif self.path == "/v1/webhook-endpoints":
            self.make_endpoint()
        elif self.path == "/v1/transcriptions/upload":
            self.upload()
        else:
            self.pass_on()

    def make_endpoint(self):
        endpoint = json.loads(self.body())
        self.server.receiver = urlsplit(endpoint["url"])
        endpoint["url"] = f"{self.server.url}/receiver"
        status, headers, body = self.ask_gateway(json.dumps(endpoint).encode())
        endpoint = json.loads(body)
        if status < 300:
            self.server.secret = endpoint["secret"]
            self.server.made.add(f"/v1/webhook-endpoints/{endpoint['id']}")
        self.answer(status, headers, body)

    def upload(self):
        status, headers, body = self.ask_gateway(self.body())
        with self.server.lock:
            self.server.uploads.append((self.headers.get("idempotency-key"), status, body))
            is_first = len(self.server.uploads) == 1
        if status < 300:
            self.server.made.add(f"/v1/transcriptions/{json.loads(body)['id']}")
        if is_first:
            self.close_connection = True
            self.connection.close()
        else:
            self.answer(status, headers, body)

    def tell(self):
        body = self.body()
        headers = {name: self.headers[name] for name in self.headers if name.lower() not in ("host", "connection")}
        with self.server.lock:
            if not self.server.has_forged:
                self.server.has_forged = True
                try:
                    self.forge(headers, body)
                except OSError:
                    self.server.wrong.append("its receiver did not wait for the genuine webhook")
        self.answer(self.send_to_receiver(headers, body), {}, b"")
        # What was delivered may come again. The program may be gone by then.
        try:
            status = self.send_to_receiver(headers, body)
            self.server.expect(status < 300, f"the second of two equal webhooks was answered {status}")
        except OSError:
            pass

    def forge(self, headers, body):
        genuine = {name.lower(): value for name, value in headers.items()}
        now = int(genuine["webhook-timestamp"])
        secret = base64.b64decode(self.server.secret.removeprefix("whsec_"))
        forged = {
            "without a signature": ({"webhook-signature": None}, body),
            "with an empty signature": ({"webhook-signature": ""}, body),
            "with a signature of zeros": ({"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()}, body),
            "with a signature that is none": ({"webhook-signature": "v1,* v1 , v2,a"}, body),
            "with the signature of another secret": (signed(b"another" * 5, genuine["webhook-id"], now, body), body),
            "with another body": ({}, body.replace(b"transcription", b"transcriptiom", 1)),
            "with another id": ({"webhook-id": "evt_1"}, body),
            "with another time": ({"webhook-timestamp": str(now + 1)}, body),
            "with a time that is none": ({"webhook-timestamp": "a[$(id>&2)]"}, body),
            "of ten minutes ago": (signed(secret, genuine["webhook-id"], now - 600, body), body),
            "of ten minutes from now": (signed(secret, genuine["webhook-id"], now + 600, body), body),
        }
        for what, (changed, content) in forged.items():
            status = self.send_to_receiver({**genuine, **changed}, content)
            self.server.expect(400 <= status < 500, f"a webhook {what} was answered {status}")

        event = {**json.loads(body), "id": "evt_1", "type": "transcription.done"}
        event["data"] = {**event["data"], "transcription_id": ANOTHER}
        content = json.dumps(event).encode()
        # Two signatures, as while a secret is rotated.
        both = signed(secret, "evt_1", now, content)
        both["webhook-signature"] = f"{signed(b'older', 'evt_1', now, content)['webhook-signature']} {both['webhook-signature']}"
        for _ in range(2):
            status = self.send_to_receiver({**genuine, **both}, content)
            self.server.expect(status < 300, f"a webhook about another transcription was answered {status}")

    def send_to_receiver(self, headers, body):
        receiver = self.server.receiver
        connection = http.client.HTTPConnection(receiver.hostname, receiver.port, timeout=15)
        headers = {name: value for name, value in headers.items() if value is not None and name.lower() != "content-length"}
        connection.request("POST", receiver.path or "/", body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def pass_on(self):
        status, headers, body = self.ask_gateway(self.body())
        self.answer(status, headers, body)

    def ask_gateway(self, body):
        headers = {
            name: self.headers[name]
            for name in self.headers
            if name.lower() not in ("host", "connection", "transfer-encoding", "content-length", "expect")
        }
        connection = http.client.HTTPConnection(UPSTREAM.hostname, UPSTREAM.port, timeout=60)
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_):
        pass


def signed(secret, event_id, timestamp, body):
    mac = hmac.new(secret, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


def main(command):
    network = Network()
    threading.Thread(target=network.serve_forever, daemon=True).start()
    try:
        ran = subprocess.run(
            command,
            env={**os.environ, "GATEWAY_URL": network.url},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired as expired:
        sys.exit(f"It did not come to an end in two minutes:\n{(expired.stderr or b'').decode()}")
    out, err = ran.stdout.decode(), ran.stderr.decode()
    network.expect(ran.returncode == 0, f"it exited with {ran.returncode}")
    network.expect(out.count(SPOKEN) == 1, f"it printed the transcript {out.count(SPOKEN)} times")
    told = len(re.findall(rf"Told: .*{ANOTHER}", err))
    network.expect(told == 1, f"it told {told} times of what came twice")
    network.expect(network.has_forged, "it was told of nothing")
    keys = {key for key, _, _ in network.uploads}
    network.expect(len(network.uploads) == 2, f"it uploaded {len(network.uploads)} times")
    network.expect(len(keys) == 1 and None not in keys, "its uploads did not have one Idempotency-Key")
    network.expect(len(network.made) == 2, f"it made {sorted(network.made)}")
    left = network.made - network.deleted
    network.expect(not left, f"it left behind {sorted(left)}")
    if network.wrong:
        sys.exit("\n".join([*network.wrong, "", "What it printed:", out, err]))
    print("It comes through a rough network")


main(sys.argv[1:])
