import gateway.ApiClient;
import gateway.ApiException;
import gateway.api.TranscriptionsApi;
import gateway.api.UploadsApi;
import gateway.model.CreateTranscription;
import gateway.model.CreateTranscriptionOptions;
import gateway.model.ExportFormat;
import gateway.model.Language;
import gateway.model.LanguageConfig;
import gateway.model.Problem;
import gateway.model.SubtitlesConfig;
import gateway.model.Transcription;
import gateway.model.TranscriptionList;
import gateway.model.TranscriptionStatus;
import gateway.model.Utterance;
import gateway.model.Word;
import java.io.File;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;

final class Client {
    private static final String RUN = UUID.randomUUID().toString();
    private static final LanguageConfig ENGLISH = new LanguageConfig().languages(List.of(Language.EN));
    // The older form, in which answers show it too.
    private static final List<String> WORDS = List.of("Northwind Freight");

    private static final ApiClient GATEWAY = new ApiClient();
    private static final TranscriptionsApi TRANSCRIPTIONS;

    static {
        GATEWAY.updateBaseUri(System.getenv("GATEWAY_URL"));
        GATEWAY.setRequestInterceptor(
                request -> request.header("Authorization", "Bearer " + System.getenv("GATEWAY_KEY")));
        TRANSCRIPTIONS = new TranscriptionsApi(GATEWAY);
    }

    private interface Call {
        Object answer() throws ApiException;
    }

    public static void main(String[] arguments) throws Exception {
        File audio = new File(System.getenv("AUDIO"));

        // By URL: here that of an upload.
        String audioUrl = new UploadsApi(GATEWAY).createUpload(audio).getAudioUrl();
        CreateTranscription request = new CreateTranscription()
                .audioUrl(audioUrl)
                .languageConfig(ENGLISH)
                .diarization(true)
                .customVocabulary(WORDS)
                .customMetadata(Map.of("run", RUN));
        Transcription byUrl = TRANSCRIPTIONS.createTranscription(request, RUN, 30, null);
        check(finished(byUrl));

        // The same again is the same transcription.
        var again = TRANSCRIPTIONS.createTranscriptionWithHttpInfo(request, RUN, null, null);
        expect(again.getData().getId().equals(byUrl.getId()));
        expect(again.getHeaders().get("idempotency-replayed").equals(List.of("true")));

        CreateTranscriptionOptions options = new CreateTranscriptionOptions()
                .languageConfig(ENGLISH)
                .diarization(true)
                .customVocabulary(WORDS)
                .customMetadata(Map.of("run", RUN));
        String json = ApiClient.createDefaultObjectMapper().writeValueAsString(options);
        Transcription byFile = TRANSCRIPTIONS.createTranscriptionFromFile(audio, null, null, null, json);
        check(finished(byFile));

        expect(export(byFile.getId(), ExportFormat.SRT).startsWith("1\n00:00:"));
        expect(export(byFile.getId(), ExportFormat.TXT).contains("Northwind Freight"));
        var exported = TRANSCRIPTIONS.getTranscriptionExportJson(byFile.getId(), null);
        expect(exported.getTranscription().getFullTranscript().contains("Northwind Freight"));

        // Two pages, newest first.
        List<UUID> listed = new ArrayList<>();
        String cursor = null;
        do {
            TranscriptionList page = TRANSCRIPTIONS.listTranscriptions(
                    List.of(TranscriptionStatus.DONE), null, null, null, null, List.of("run:" + RUN), 1, cursor);
            expect(page.getItems().size() == 1);
            listed.add(page.getItems().get(0).getId());
            cursor = page.getNextCursor();
        } while (cursor != null);
        expect(listed.equals(List.of(byFile.getId(), byUrl.getId())));

        request.subtitlesConfig(new SubtitlesConfig().maximumRowsPerCaption(9));
        Problem problem = refusal(() -> TRANSCRIPTIONS.createTranscription(request, null, null, null));
        expect(problem.getStatus() == 422);
        expect(problem.getType().equals("urn:gladia-gateway:problem:invalid-request"));
        expect(problem.getErrors().get(0).getPointer().equals("/subtitles_config/maximum_rows_per_caption"));

        for (UUID id : listed) {
            expect(TRANSCRIPTIONS.deleteTranscriptionWithHttpInfo(id).getStatusCode() == 204);
            Problem gone = refusal(() -> TRANSCRIPTIONS.getTranscription(id, null, null, null));
            expect(gone.getStatus() == 410);
            expect(gone.getErased().getErasedAt() != null);
        }
    }

    private static Transcription finished(Transcription transcription) throws ApiException {
        while (transcription.getStatus() == TranscriptionStatus.QUEUED
                || transcription.getStatus() == TranscriptionStatus.PROCESSING) {
            transcription = TRANSCRIPTIONS.getTranscription(transcription.getId(), 30, null, null);
        }
        return transcription;
    }

    private static void check(Transcription transcription) {
        expect(transcription.getStatus() == TranscriptionStatus.DONE);
        var result = transcription.getResult();
        expect(result.getTranscription().getFullTranscript().contains("Northwind Freight"));
        Utterance first = result.getTranscription().getUtterances().get(0);
        expect(first.getSpeaker() == 0);
        Word word = first.getWords().get(0);
        expect(word.getEnd() > word.getStart());
        expect(result.getMetadata().getAudioDuration() > 30);
        expect(transcription.getOptions().getCustomMetadata().equals(Map.of("run", RUN)));
        expect(transcription.getOptions().getCustomVocabulary().equals(WORDS));
    }

    private static String export(UUID id, ExportFormat format) throws Exception {
        File file = TRANSCRIPTIONS.getTranscriptionExport(
                id, format, null, null, null, null, null, null, null, null, null, null, null);
        return Files.readString(file.toPath());
    }

    private static Problem refusal(Call call) throws Exception {
        try {
            throw new AssertionError("not refused: " + call.answer());
        } catch (ApiException refusal) {
            return ApiClient.createDefaultObjectMapper().readValue(refusal.getResponseBody(), Problem.class);
        }
    }

    private static void expect(boolean holds) {
        if (!holds) {
            throw new AssertionError();
        }
    }
}
