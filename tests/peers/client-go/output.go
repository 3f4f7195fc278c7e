package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// A line of standard output.
type line map[string]any

var output sync.Mutex

// tell writes a line.
func tell(told line) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		panic(err)
	}
}

// describe gives an error of the server as it was understood, any other as its text, and null for none.
func describe(err error) any {
	if err == nil {
		return nil
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status()
	}
	return err.Error()
}

// A witness tells of each request what went over the wire: which path was asked for, and in what form the answer came.
type witness struct {
	next http.RoundTripper
}

func (w witness) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	tell(line{
		"event":  "request",
		"method": request.Method,
		"path":   request.URL.Path,
		"query":  request.URL.RawQuery,
		"sent":   request.Header.Get("Content-Type"),
		"came":   response.Header.Get("Content-Type"),
		"code":   response.StatusCode,
	})
	return response, nil
}

// witnessed makes a client tell its requests.
func witnessed(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return witness{next} })
	return config
}

// protobuf makes a typed client speak protobuf, and understand nothing else.
func protobuf(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType
	return config
}
