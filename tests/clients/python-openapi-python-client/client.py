import os
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from httpx import Timeout

from gateway import AuthenticatedClient
from gateway.api.transcriptions import (
    create_transcription,
    create_transcription_from_file,
    delete_transcription,
    get_transcription,
    get_transcription_export,
    get_transcription_export_json,
    list_transcriptions,
)
from gateway.api.uploads import create_upload
from gateway.models import (
    CreateTranscription,
    CreateTranscriptionOptions,
    CustomMetadata,
    ExportFormat,
    Language,
    LanguageConfig,
    Problem,
    SubtitlesConfig,
    Transcription,
    TranscriptionForm,
    TranscriptionList,
    TranscriptionResult,
    TranscriptionStatus,
    UploadedAudio,
    UploadForm,
)
from gateway.types import UNSET, File, Unset

T = TypeVar("T")

gateway = AuthenticatedClient(base_url=os.environ["GATEWAY_URL"], token=os.environ["GATEWAY_KEY"], timeout=Timeout(60))
audio = Path(os.environ["AUDIO"])
run = str(uuid4())


def is_a(kind: type[T], answer: object) -> T:
    assert isinstance(answer, kind), answer
    return answer


def finished(transcription: Transcription) -> Transcription:
    while transcription.status in (TranscriptionStatus.QUEUED, TranscriptionStatus.PROCESSING):
        answer = get_transcription.sync(transcription.id, client=gateway, wait=30)
        transcription = is_a(Transcription, answer)
    return transcription


def check(transcription: Transcription) -> None:
    assert transcription.status == TranscriptionStatus.DONE
    assert transcription.result
    transcript = transcription.result.transcription
    assert transcript
    assert "Northwind Freight" in transcript.full_transcript
    first = transcript.utterances[0]
    assert first.speaker == 0
    assert first.words
    assert first.words[0].end > first.words[0].start
    assert transcription.result.metadata.audio_duration > 30
    assert transcription.options.custom_metadata
    assert transcription.options.custom_metadata["run"] == run


def metadata() -> CustomMetadata:
    return CustomMetadata.from_dict({"run": run})


english = LanguageConfig(languages=[Language.EN])

# By URL: here that of an upload.
with audio.open("rb") as file:
    form = UploadForm(audio=File(payload=file, file_name=audio.name))
    upload = is_a(UploadedAudio, create_upload.sync(client=gateway, body=form))
request = CreateTranscription(
    audio_url=upload.audio_url,
    language_config=english,
    diarization=True,
    custom_metadata=metadata(),
)
by_url = is_a(Transcription, create_transcription.sync(client=gateway, body=request, idempotency_key=run, wait=30))
check(finished(by_url))

# The same again is the same transcription.
again = create_transcription.sync_detailed(client=gateway, body=request, idempotency_key=run)
assert is_a(Transcription, again.parsed).id == by_url.id
assert again.headers["idempotency-replayed"] == "true"

options = CreateTranscriptionOptions(language_config=english, diarization=True, custom_metadata=metadata())
with audio.open("rb") as file:
    body = TranscriptionForm(audio=File(payload=file, file_name=audio.name), options=options)
    by_file = is_a(Transcription, create_transcription_from_file.sync(client=gateway, body=body))
check(finished(by_file))

subtitles = is_a(str, get_transcription_export.sync(by_file.id, ExportFormat.SRT, client=gateway))
assert subtitles.startswith("1\n00:00:")
text = is_a(str, get_transcription_export.sync(by_file.id, ExportFormat.TXT, client=gateway))
assert "Northwind Freight" in text
exported = is_a(TranscriptionResult, get_transcription_export_json.sync(by_file.id, client=gateway))
assert exported.transcription
assert "Northwind Freight" in exported.transcription.full_transcript

# Two pages, newest first.
listed: list[UUID] = []
cursor: str | Unset | None = UNSET
while cursor is not None:
    page = is_a(
        TranscriptionList,
        list_transcriptions.sync(
            client=gateway,
            limit=1,
            status=[TranscriptionStatus.DONE],
            metadata=[f"run:{run}"],
            cursor=cursor,
        ),
    )
    assert len(page.items) == 1
    listed.extend(item.id for item in page.items)
    cursor = page.next_cursor
assert listed == [by_file.id, by_url.id]

request.subtitles_config = SubtitlesConfig(maximum_rows_per_caption=9)
problem = is_a(Problem, create_transcription.sync(client=gateway, body=request))
assert problem.status == 422
assert problem.type_ == "urn:gladia-gateway:problem:invalid-request"
assert problem.errors
assert problem.errors[0].pointer == "/subtitles_config/maximum_rows_per_caption"

for id in listed:
    assert delete_transcription.sync_detailed(id, client=gateway).status_code == 204
    gone = is_a(Problem, get_transcription.sync(id, client=gateway))
    assert gone.status == 410
    assert gone.erased
    assert gone.erased.erased_at
