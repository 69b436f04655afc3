"""Transcribes a file, is told of the end by a signed webhook, prints the transcript and removes what it made:

    GATEWAY_URL=https://gateway.example GATEWAY_KEY=ggw_… python transcribe.py FILE
"""

import os
import queue
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

LARGEST_WEBHOOK_BYTES = 1_000_000


class Receiver(HTTPServer):
    """Takes webhooks. Connections wait from the start, and are answered once the secret is known."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.events = queue.Queue()
        self.seen = set()

    def start(self, secret):
        self.webhook = Webhook(secret)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Request(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if not 0 <= length <= LARGEST_WEBHOOK_BYTES:
            return self.answer(413)
        body = self.rfile.read(length)
        # The signature first: until it has been checked, these bytes are anybody's.
        try:
            event = self.server.webhook.verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        # Answer, then work: the gateway waits 15 seconds, and sends again what was not answered by 2xx.
        self.answer(204)
        # Told at least once: what comes again has the same id. A service keeps the ids in its database.
        if event["id"] not in self.server.seen:
            self.server.seen.add(event["id"])
            self.server.events.put(event)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def submit(gateway, file):
    """Uploads the file. With the key, a request that got no answer may be repeated and makes one transcription."""
    # A service takes the id of a record of its own, which survives a crash.
    key = {"Idempotency-Key": str(uuid.uuid4())}
    for pause in (1, 2, 4, 8, 16, 32, None):
        try:
            with open(file, "rb") as audio:
                form = {
                    "options": (None, '{"diarization": true}', "application/json"),
                    "audio": (os.path.basename(file), audio),
                }
                answer = gateway.post("/v1/transcriptions/upload", headers=key, files=form)
            # 409: the first request is still under way.
            if answer.status_code != 409 and answer.status_code < 500:
                return checked(answer).json()["id"]
            failure = answer.text
            pause = pause and int(answer.headers.get("retry-after", pause))
        except httpx.TransportError as error:
            failure = error
        if pause:
            time.sleep(pause)
    sys.exit(f"Not submitted: {failure}")


def wait_for_end(events, transcription_id, seconds=900):
    """The event of this transcription: the endpoint is told of all that the tenant transcribes."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            event = events.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            sys.exit("Not told in time")
        print(f"Told: {event['type']} of {event['data']['transcription_id']}", file=sys.stderr)
        if event["data"]["transcription_id"] == transcription_id:
            return event


def checked(answer):
    """A refusal is a problem (RFC 9457), which says what to do about it."""
    if answer.is_error:
        sys.exit(answer.text)
    return answer


def main(file):
    receiver = Receiver()
    gateway = httpx.Client(
        base_url=os.environ["GATEWAY_URL"],
        headers={"Authorization": f"Bearer {os.environ['GATEWAY_KEY']}"},
        timeout=60,
    )
    # A service makes its endpoint once, and keeps the secret with its other secrets.
    endpoint = checked(
        gateway.post(
            "/v1/webhook-endpoints",
            json={
                "url": receiver.url,
                "description": "Python example",
                "event_types": ["transcription.done", "transcription.error"],
            },
        )
    ).json()
    transcription_id = None
    try:
        receiver.start(endpoint["secret"])
        transcription_id = submit(gateway, file)
        print(f"Submitted {transcription_id}", file=sys.stderr)
        event = wait_for_end(receiver.events, transcription_id)
        if event["type"] == "transcription.error":
            sys.exit(str(event["data"]["error"]))
        transcript = checked(gateway.get(f"/v1/transcriptions/{transcription_id}/export/txt"))
        print(transcript.text, end="")
    finally:
        gateway.delete(f"/v1/webhook-endpoints/{endpoint['id']}")
        if transcription_id:
            gateway.delete(f"/v1/transcriptions/{transcription_id}")


if __name__ == "__main__":
    # As Ctrl-C does it: what was made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped"))
    main(sys.argv[1])
