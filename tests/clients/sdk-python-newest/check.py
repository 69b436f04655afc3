"""A program written for Gladia's SDK, with base URL and key changed and nothing else.

The oldest SDK has no list; what it cannot ask is asked over plain HTTP.
"""

import asyncio
import json
import os
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from gladiaio_sdk import GladiaClient
from gladiaio_sdk.network.http_client import HttpError

URL = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
AUDIO = Path(os.environ["AUDIO"])
AUDIO_URL = os.environ["AUDIO_URL"]

sdk = GladiaClient(api_key=KEY, api_url=URL).prerecorded()
has_list = hasattr(sdk, "list")
plain = httpx.Client(base_url=URL, headers={"x-gladia-key": KEY}, timeout=30)


def says(what: str) -> None:
    print(what, flush=True)


def refused(call: Callable[[], Any], status: int) -> HttpError:
    """The error that a call has to end in."""
    try:
        answer = call()
    except HttpError as error:
        assert error.status == status, error
        return error
    raise AssertionError(f"expected {status}, got {answer}")


def tag() -> str:
    return uuid.uuid4().hex


def jobs(**query: Any) -> list[dict[str, Any]]:
    answer = plain.get("/v2/pre-recorded", params=query)
    answer.raise_for_status()
    return answer.json()["items"]


def tagged(name: str) -> list[str]:
    """The ids of the jobs with a tag, at the gateway."""
    return [job["id"] for job in jobs(**{"custom_metadata[tag]": name})]


def at_gladia(name: str) -> int:
    ledger = httpx.get(os.environ["SIMULATOR_URL"] + "/_simulator/ledger", timeout=30).json()
    return sum(name in json.dumps(job["custom_metadata"]) for job in ledger["jobs"])


def a_file_goes_the_whole_way() -> None:
    upload = sdk.upload_file(AUDIO)
    metadata = upload.audio_metadata
    assert metadata.filename == AUDIO.name and metadata.extension == "ogg", metadata
    assert metadata.size == AUDIO.stat().st_size and metadata.number_of_channels == 1, metadata
    assert 32 < metadata.audio_duration < 33, metadata
    assert metadata.id in upload.audio_url, upload

    name = tag()
    created = sdk.create(
        {
            "audio_url": upload.audio_url,
            "diarization": True,
            "subtitles": True,
            "subtitles_config": {"formats": ["srt", "vtt"]},
            "translation": True,
            "translation_config": {"target_languages": ["fr"]},
            "custom_metadata": {"tag": name, "case": "a b", "number": 7},
        }
    )
    assert created.result_url == f"{URL}/v2/pre-recorded/{created.id}", created
    assert str(uuid.UUID(created.id)) == created.id

    done = sdk.poll(created.id, interval=0.2)
    assert done.id == created.id and done.status == "done" and done.kind == "pre-recorded" and done.version == 2
    assert done.request_id == "G-" + created.id[:8], done.request_id
    assert done.custom_metadata == {"tag": name, "case": "a b", "number": 7}, done.custom_metadata
    assert done.error_code is None and done.completed_at
    assert done.file and done.file.filename == AUDIO.name and done.file.number_of_channels == 1
    assert done.result and done.result.metadata.billing_time > 32
    transcription = done.result.transcription
    assert transcription and "Northwind Freight" in transcription.full_transcript
    assert transcription.utterances[0].speaker == 0 and transcription.utterances[0].words[0].word == "Good"
    assert transcription.subtitles and [it.format for it in transcription.subtitles] == ["srt", "vtt"]
    assert done.result.translation and done.result.translation.results[0].languages == ["fr"]
    assert done.request_params and done.request_params.diarization is True

    raw = plain.get(created.result_url).json()
    assert raw["result"]["transcription"]["full_transcript"] == transcription.full_transcript
    # Callback addresses lead from Gladia to the gateway, and are nobody else's.
    assert "callbacks/gladia" not in json.dumps(raw)

    assert sdk.get_file(created.id) == AUDIO.read_bytes()
    assert sdk.delete(created.id) is True
    refused(lambda: sdk.get(created.id), 404)
    refused(lambda: sdk.delete(created.id), 404)


def a_recording_is_transcribed_in_one_call() -> None:
    by_path = sdk.transcribe(str(AUDIO), {"language_config": {"languages": ["en"]}}, interval=0.2)
    assert "Northwind Freight" in by_path.result.transcription.full_transcript
    by_url = sdk.transcribe(AUDIO_URL, interval=0.2)
    assert by_url.result.transcription.full_transcript
    with AUDIO.open("rb") as file:
        assert sdk.transcribe(file, interval=0.2).status == "done"


async def transcribe_without_blocking() -> None:
    client = GladiaClient(api_key=KEY, api_url=URL).prerecorded_async()
    # Each says which it is: creates that are equal and in flight together are taken for one and its repetition.
    each = [{"custom_metadata": {"turn": turn}} for turn in range(4)]
    done = await asyncio.gather(*(client.transcribe(AUDIO_URL, options, interval=0.2) for options in each))
    assert len({job.id for job in done}) == 4


def jobs_are_listed_by_what_they_are() -> None:
    name = tag()
    wanted = [
        sdk.create({"audio_url": AUDIO_URL, "custom_metadata": {"tag": name, "turn": turn}}).id for turn in range(3)
    ]
    for job in wanted:
        sdk.poll(job, interval=0.2)
    newest_first = wanted[::-1]
    assert tagged(name) == newest_first
    assert [job["id"] for job in jobs(custom_metadata=json.dumps({"tag": name}))] == newest_first
    # Numbers are found by their text, which is all that a query can say.
    assert [job["id"] for job in jobs(**{"custom_metadata[tag]": name, "custom_metadata[turn]": "1"})] == [wanted[1]]
    if not has_list:
        return

    mine = {"custom_metadata": {"tag": name}}
    page = sdk.list({**mine, "limit": 2, "status": ["done", "error"]})
    ids = [job.id for job in page.items]
    assert page.first and page.current and page.next and page.next.startswith(URL), page.next
    assert page.items[0].result.transcription.full_transcript
    page = sdk.list({"url": page.next})
    assert page.next is None, page.next
    assert ids + [job.id for job in page.items] == newest_first

    day = page.items[0].created_at[:10]
    assert len(sdk.list({**mine, "date": day}).items) == 3
    assert len(sdk.list({**mine, "after_date": f"{day}T00:00:00.000Z"}).items) == 3
    assert sdk.list({**mine, "before_date": "2020-01-01T00:00:00.000Z"}).items == []
    assert sdk.list({**mine, "status": ["queued", "processing"]}).items == []
    assert [job.id for job in sdk.list({**mine, "offset": 1, "limit": 1}).items] == [wanted[1]]
    assert len(sdk.list().items) >= 3


def misshapen_options_of_another_program_spoil_nothing() -> None:
    shapes = {
        "translation": True,
        "translation_config": ["fr"],
        "audio_to_llm": True,
        "audio_to_llm_config": {"prompts": 7},
        "custom_vocabulary": True,
        "custom_vocabulary_config": {},
        "custom_spelling": True,
        "custom_spelling_config": {"spelling_dictionary": {"Gladia": 7}},
        "language_config": "fr",
        "_unknown_fields": 7,
    }
    answer = httpx.post(
        f"{URL}/v1/transcriptions",
        headers={"Authorization": f"Bearer {KEY}"},
        json={"audio_url": AUDIO_URL, "extra_options": shapes},
        timeout=30,
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()["id"]
    assert sdk.get(job).id == job
    if has_list:
        assert job in [one.id for one in sdk.list().items]


def what_is_wrong_is_said_as_gladia_says_it() -> None:
    stranger = GladiaClient(api_key="somebody", api_url=URL).prerecorded()
    error = refused(lambda: stranger.create({"audio_url": AUDIO_URL}), 401)
    assert "gladia user not found" in str(error), error
    # Also where the file has not been read to its end.
    refused(lambda: stranger.upload_file(AUDIO), 401)

    error = refused(
        lambda: sdk.create({"audio_url": AUDIO_URL, "language_config": {"languages": ["xx"]}}), 400
    )
    assert isinstance(error.response_body, dict) and error.response_body["validation_errors"], error.response_body
    assert re.fullmatch("G-[0-9a-f]{8}", error.response_body["request_id"]), error.response_body
    assert "languages" in str(error), error
    refused(lambda: sdk.create({"diarization": True}), 400)

    nobody = str(uuid.uuid4())
    refused(lambda: sdk.get(nobody), 404)
    refused(lambda: sdk.delete(nobody), 404)
    refused(lambda: sdk.get_file(nobody), 404)


def a_job_that_runs_is_not_deleted() -> None:
    name = tag()
    busy = sdk.create({"audio_url": os.environ["LONG_AUDIO_URL"], "custom_metadata": {"tag": name}}).id
    refused(lambda: sdk.delete(busy), 403)
    assert sdk.get(busy).status in ("queued", "processing")
    # Once more when Gladia has it.
    deadline = time.monotonic() + 30
    while sdk.get(busy).status != "processing":
        assert time.monotonic() < deadline, "it does not start"
        time.sleep(0.1)
    refused(lambda: sdk.delete(busy), 403)


def a_job_that_fails_says_so() -> None:
    created = sdk.create({"audio_url": os.environ["FAILING_AUDIO_URL"]})
    try:
        sdk.poll(created.id, interval=0.2)
    except Exception as error:
        assert str(error).endswith("failed with error code: 422"), error
    else:
        raise AssertionError("a failed job was done")
    failed = sdk.get(created.id)
    assert failed.status == "error" and failed.error_code == 422 and failed.result is None
    assert sdk.delete(created.id) is True


def the_create_that_the_sdk_repeats_makes_one_job() -> None:
    for line in ("GATEWAY_CUT_URL", "GATEWAY_LOST_URL", "GATEWAY_503_URL"):
        name = tag()
        client = GladiaClient(api_key=KEY, api_url=os.environ[line]).prerecorded()
        created = client.create({"audio_url": AUDIO_URL, "custom_metadata": {"tag": name}})
        sdk.poll(created.id, interval=0.2)
        assert tagged(name) == [created.id], f"{line}: {tagged(name)}"
        assert at_gladia(name) == 1, f"{line}: {at_gladia(name)} at Gladia"


def the_same_create_twice_makes_two_jobs() -> None:
    name = tag()
    body = {"audio_url": AUDIO_URL, "custom_metadata": {"tag": name}}
    first, second = sdk.create(body), sdk.create(body)
    assert sorted(tagged(name)) == sorted([first.id, second.id])


def more_than_the_account_may_run_wait_in_line() -> None:
    name = tag()
    body = {"audio_url": AUDIO_URL, "custom_metadata": {"tag": name}}
    ids = [sdk.create({**body, "custom_metadata": {"tag": name, "turn": turn}}).id for turn in range(40)]
    for job in ids:
        sdk.poll(job, interval=0.2)


for check in (
    a_file_goes_the_whole_way,
    a_recording_is_transcribed_in_one_call,
    jobs_are_listed_by_what_they_are,
    misshapen_options_of_another_program_spoil_nothing,
    what_is_wrong_is_said_as_gladia_says_it,
    a_job_that_runs_is_not_deleted,
    a_job_that_fails_says_so,
    the_create_that_the_sdk_repeats_makes_one_job,
    the_same_create_twice_makes_two_jobs,
    more_than_the_account_may_run_wait_in_line,
):
    check()
    says(check.__name__.replace("_", " "))
asyncio.run(transcribe_without_blocking())
says("several are transcribed without blocking")
