package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// tokens asks for tokens of the account, bound to the pod, as the node that the kubeconfig speaks for: the server has to
// decide everything that it ever decides, and to sign.
func tokens(arguments []string) error {
	flags, shared := flagsOf("tokens", 4)
	count := flags.Int("count", 4000, "requests that count")
	warmUp := flags.Int("warm-up", 500, "requests before them")
	inFlight := flags.Int("in-flight", 64, "requests at once")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	server, err := connect(shared)
	if err != nil {
		return err
	}
	text, err := server.exchange(0, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods/"+pod, "", nil, 200)
	if err != nil {
		return err
	}
	var found struct {
		Metadata struct{ UID string }
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return err
	}
	body := []byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["` + audience + `"],
		"expirationSeconds":3600,"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"` + pod + `","uid":"` +
		found.Metadata.UID + `"}}}`)
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + account + "/token"
	ask := func(worker, _ int) error {
		answer, err := server.exchange(worker, http.MethodPost, path, jsonForm, body, 201)
		if err == nil && len(answer) < 500 {
			err = fmt.Errorf("an answer of %d bytes cannot hold a token", len(answer))
		}
		return err
	}
	if _, err := run(*warmUp, *inFlight, 0, ask); err != nil {
		return err
	}
	measured, err := run(*count, *inFlight, shared.serverPID, ask)
	if err != nil {
		return err
	}
	measured.tell("tokens")
	return nil
}
