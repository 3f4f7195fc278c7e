package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// A server that is asked with the credentials of a kubeconfig.
type server struct {
	base    *url.URL
	bearer  string
	clients []*http.Client
}

// connect prepares the connections; each is made at its first request.
func connect(shared *common) (*server, error) {
	config, err := clientcmd.BuildConfigFromFlags("", shared.kubeconfig)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	found := &server{base: base, bearer: config.BearerToken}
	for range max(shared.connections, 1) {
		// Of its own for each: a transport shares one connection among all requests to a host.
		tls, err := rest.TLSConfigFor(config)
		if err != nil {
			return nil, err
		}
		found.clients = append(found.clients, &http.Client{
			Transport: &http.Transport{TLSClientConfig: tls, ForceAttemptHTTP2: true, DisableCompression: true},
		})
	}
	return found, nil
}

// ask sends a request on the connection of this number, which wraps around. The answer's body is the caller's to close.
func (s *server) ask(ctx context.Context, connection int, method, path, form string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base.JoinPath("/").String()+path[1:], bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if s.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	if body != nil {
		request.Header.Set("Content-Type", form)
	}
	request.Header.Set("Accept", "application/json")
	return s.clients[connection%len(s.clients)].Do(request)
}

// exchange sends a request and returns the whole answer, which must have one of these codes.
func (s *server) exchange(connection int, method, path, form string, body []byte, codes ...int) ([]byte, error) {
	response, err := s.ask(context.Background(), connection, method, path, form, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	for _, code := range codes {
		if response.StatusCode == code {
			return answer, nil
		}
	}
	return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, shorten(answer))
}

func shorten(answer []byte) []byte {
	return answer[:min(len(answer), 400)]
}
