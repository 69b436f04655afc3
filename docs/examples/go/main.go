// Transcribes a file, is told of the end by a signed webhook, prints the transcript and removes what it made:
//
//	GATEWAY_URL=https://gateway.example GATEWAY_KEY=ggw_… go run . FILE
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const largestWebhookBytes = 1_000_000

// ---------------------------------------------------------------------------------------------------- the receiver

type event struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data struct {
		TranscriptionID string          `json:"transcription_id"`
		Error           json.RawMessage `json:"error"`
	} `json:"data"`
}

type receiver struct {
	key  []byte
	seen sync.Map
	told chan event
}

func (r *receiver) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, largestWebhookBytes))
	if err != nil {
		response.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	// The signature first, over the bytes as they came: until it has been checked, they are anybody's.
	if !r.isSigned(request.Header, body) {
		response.WriteHeader(http.StatusUnauthorized)
		return
	}
	var told event
	if err := json.Unmarshal(body, &told); err != nil {
		response.WriteHeader(http.StatusBadRequest)
		return
	}
	// Told at least once: what comes again has the same id. A service keeps the ids in its database.
	if _, isKnown := r.seen.LoadOrStore(told.ID, true); !isKnown {
		r.told <- told
	}
	// Answer, then work: the gateway waits 15 seconds, and sends again what was not answered by 2xx.
	response.WriteHeader(http.StatusNoContent)
}

// Whether one of the signatures is that of "id.timestamp.body", made within five minutes of now.
func (r *receiver) isSigned(headers http.Header, body []byte) bool {
	id, timestamp := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return false
	}
	if age := time.Since(time.Unix(seconds, 0)); age > 5*time.Minute || age < -5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	expected := mac.Sum(nil)
	for _, signature := range strings.Fields(headers.Get("webhook-signature")) {
		version, encoded, _ := strings.Cut(signature, ",")
		given, err := base64.StdEncoding.DecodeString(encoded)
		// Takes as long for a signature that is nearly right as for any other.
		if version == "v1" && err == nil && hmac.Equal(given, expected) {
			return true
		}
	}
	return false
}

// ----------------------------------------------------------------------------------------------------- the gateway

type gateway struct{ url, key string }

func (g gateway) request(ctx context.Context, method, path string, headers map[string]string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.url+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+g.key)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	return http.DefaultClient.Do(request)
}

// The body of a success. A refusal is a problem (RFC 9457), which says what to do about it.
func read(answer *http.Response) ([]byte, error) {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = errors.New(string(body))
	}
	return body, err
}

// Makes an endpoint. A service does so once, and keeps the secret with its other secrets.
func (g gateway) makeEndpoint(ctx context.Context, receiver string) (id string, key []byte, err error) {
	description, _ := json.Marshal(map[string]any{
		"url":         receiver,
		"description": "Go example",
		"event_types": []string{"transcription.done", "transcription.error"},
	})
	headers := map[string]string{"Content-Type": "application/json"}
	answer, err := g.request(ctx, http.MethodPost, "/v1/webhook-endpoints", headers, bytes.NewReader(description))
	if err != nil {
		return "", nil, err
	}
	body, err := read(answer)
	if err != nil {
		return "", nil, err
	}
	var endpoint struct{ ID, Secret string }
	if err := json.Unmarshal(body, &endpoint); err != nil {
		return "", nil, err
	}
	key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(endpoint.Secret, "whsec_"))
	return endpoint.ID, key, err
}

// Uploads the file. With the key, a request that got no answer may be repeated and makes one transcription all the same.
func (g gateway) submit(ctx context.Context, file string) (id string, err error) {
	// A service takes the id of a record of its own, which survives a crash.
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	idempotencyKey := fmt.Sprintf("%x", random)
	for _, pause := range []int{1, 2, 4, 8, 16, 32, 0} {
		var answer *http.Response
		answer, err = g.upload(ctx, file, idempotencyKey)
		var unanswered *url.Error
		if err != nil && !errors.As(err, &unanswered) {
			return "", err
		}
		if err == nil {
			var body []byte
			body, err = read(answer)
			// 409: the first request is still under way.
			if answer.StatusCode != http.StatusConflict && answer.StatusCode < 500 {
				var transcription struct{ ID string }
				if err == nil {
					err = json.Unmarshal(body, &transcription)
				}
				return transcription.ID, err
			}
			if seconds, invalid := strconv.Atoi(answer.Header.Get("Retry-After")); invalid == nil {
				pause = seconds
			}
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Duration(pause) * time.Second):
		}
	}
	return "", err
}

// One try. The file goes out while it is read.
func (g gateway) upload(ctx context.Context, file, idempotencyKey string) (*http.Response, error) {
	audio, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer audio.Close()
	reader, writer := io.Pipe()
	defer reader.Close()
	form := multipart.NewWriter(writer)
	go func() {
		err := form.WriteField("options", `{"diarization": true}`)
		if err == nil {
			var part io.Writer
			if part, err = form.CreateFormFile("audio", filepath.Base(file)); err == nil {
				_, err = io.Copy(part, audio)
			}
		}
		if err == nil {
			err = form.Close()
		}
		writer.CloseWithError(err)
	}()
	headers := map[string]string{"Content-Type": form.FormDataContentType(), "Idempotency-Key": idempotencyKey}
	return g.request(ctx, http.MethodPost, "/v1/transcriptions/upload", headers, reader)
}

func (g gateway) remove(path string) {
	if answer, err := g.request(context.Background(), http.MethodDelete, path, nil, nil); err == nil {
		answer.Body.Close()
	}
}

func run(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	g := gateway{strings.TrimSuffix(os.Getenv("GATEWAY_URL"), "/"), os.Getenv("GATEWAY_KEY")}

	// Connections wait from here on, and are answered once the secret is known.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	endpoint, key, err := g.makeEndpoint(ctx, fmt.Sprintf("http://%s/", listener.Addr()))
	if err != nil {
		return err
	}
	defer g.remove("/v1/webhook-endpoints/" + endpoint)
	r := &receiver{key: key, told: make(chan event, 1000)}
	go (&http.Server{Handler: r, ReadTimeout: 10 * time.Second}).Serve(listener)

	transcription, err := g.submit(ctx, file)
	if err != nil {
		return err
	}
	defer g.remove("/v1/transcriptions/" + transcription)
	fmt.Fprintln(os.Stderr, "Submitted", transcription)

	// The endpoint is told of all that the tenant transcribes.
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not told: %w", ctx.Err())
		case told := <-r.told:
			fmt.Fprintf(os.Stderr, "Told: %s of %s\n", told.Type, told.Data.TranscriptionID)
			if told.Data.TranscriptionID != transcription {
				continue
			}
			if told.Type == "transcription.error" {
				return errors.New(string(told.Data.Error))
			}
			answer, err := g.request(ctx, http.MethodGet, "/v1/transcriptions/"+transcription+"/export/txt", nil, nil)
			if err != nil {
				return err
			}
			transcript, err := read(answer)
			fmt.Print(string(transcript))
			return err
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: transcribe FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
