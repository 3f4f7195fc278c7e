package main

import (
	"fmt"
	"net/http"
)

const (
	namespace = "bench"
	account   = "web"
	pod       = "web-0"
	audience  = "vault"
	driver    = "tokens.csi.example"

	jsonForm  = "application/json"
	mergeForm = "application/merge-patch+json"
)

// prepare makes what the other commands need, as an administrator; what is there already stays.
func prepare(arguments []string) error {
	flags, shared := flagsOf("prepare", 1)
	node := flags.String("node", "node-1", "the node that asks for tokens; its user is system:node:NAME")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	server, err := connect(shared)
	if err != nil {
		return err
	}
	for _, object := range []struct{ path, body string }{
		{"/api/v1/namespaces", `{"metadata":{"name":"` + namespace + `"}}`},
		{"/api/v1/nodes", `{"metadata":{"name":"` + *node + `"}}`},
		{"/api/v1/namespaces/" + namespace + "/serviceaccounts", `{"metadata":{"name":"` + account + `"}}`},
		{"/apis/storage.k8s.io/v1/csidrivers", `{"metadata":{"name":"` + driver + `"},"spec":{
			"attachRequired":false,"volumeLifecycleModes":["Ephemeral"],"serviceAccountTokenInSecrets":true,
			"tokenRequests":[{"audience":"` + audience + `"}]}}`},
		{"/api/v1/namespaces/" + namespace + "/pods", podOf(pod, *node)},
	} {
		if _, err := server.exchange(0, http.MethodPost, object.path, jsonForm, []byte(object.body), 201, 409); err != nil {
			return err
		}
	}
	fmt.Printf("prepared: pod %s/%s on %s\n", namespace, pod, *node)
	return nil
}

// podOf is a pod on a node with a volume whose driver asks for a token.
func podOf(name, node string) string {
	return `{"metadata":{"name":"` + name + `"},"spec":{"nodeName":"` + node + `","serviceAccountName":"` + account + `",
		"containers":[{"name":"main","image":"image.example/main:1"}],
		"volumes":[{"name":"tokens","csi":{"driver":"` + driver + `"}}]}}`
}
