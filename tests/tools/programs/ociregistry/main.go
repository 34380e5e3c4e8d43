// An OCI 1.1 registry with the referrers API: go-containerregistry's own, kept on disk.
//
//	ociregistry -listen 127.0.0.1:PORT -root DIRECTORY
//
// go-containerregistry keeps blobs in files but manifests in memory only. Here each change of a manifest is also
// appended to a journal, which is played back at the start, so that content survives a restart as it does elsewhere.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
)

// change is one accepted PUT or DELETE of a manifest.
type change struct {
	Method string
	Path   string
	Type   string
	Body   []byte
}

// journal hands requests to the registry and writes down what changed its manifests.
type journal struct {
	registry http.Handler
	lock     sync.Mutex
	file     *os.File
}

func open(path string, handler http.Handler) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	entries := json.NewDecoder(file)
	for {
		var one change
		// The last entry may have been cut by a kill; the client had no answer to it then.
		if err := entries.Decode(&one); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return nil, err
		}
		handler.ServeHTTP(httptest.NewRecorder(), one.request())
	}
	return &journal{registry: handler, file: file}, file.Truncate(entries.InputOffset())
}

func (one change) request() *http.Request {
	request := httptest.NewRequest(one.Method, one.Path, bytes.NewReader(one.Body))
	request.Header.Set("Content-Type", one.Type)
	return request
}

func (j *journal) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	changes := request.Method == http.MethodPut || request.Method == http.MethodDelete
	if !changes || !strings.Contains(request.URL.Path, "/manifests/") {
		j.registry.ServeHTTP(answer, request)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	seen := httptest.NewRecorder()
	j.lock.Lock()
	defer j.lock.Unlock()
	j.registry.ServeHTTP(seen, request)
	if seen.Code < http.StatusMultipleChoices {
		entry := change{request.Method, request.URL.Path, request.Header.Get("Content-Type"), body}
		if err := json.NewEncoder(j.file).Encode(entry); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for name, values := range seen.Header() {
		answer.Header()[name] = values
	}
	answer.WriteHeader(seen.Code)
	_, _ = answer.Write(seen.Body.Bytes())
}

func main() {
	listen := flag.String("listen", "", "host:port")
	root := flag.String("root", "", "directory of the content")
	flag.Parse()
	if err := os.MkdirAll(*root, 0o700); err != nil {
		log.Fatal(err)
	}
	handler := registry.New(
		registry.WithReferrersSupport(true),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(*root)),
		registry.Logger(log.New(io.Discard, "", 0)),
	)
	kept, err := open(filepath.Join(*root, "manifests.journal"), handler)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*listen, kept))
}
