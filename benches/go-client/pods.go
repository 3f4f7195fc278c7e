package main

import (
	"fmt"
	"net/http"
	"time"
)

// pods creates pods, each under a name of its own.
func pods(arguments []string) error {
	flags, shared := flagsOf("pods", 4)
	count := flags.Int("count", 2000, "pods that count")
	warmUp := flags.Int("warm-up", 200, "pods before them")
	inFlight := flags.Int("in-flight", 64, "requests at once")
	node := flags.String("node", "node-1", "the node that they are on")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	server, err := connect(shared)
	if err != nil {
		return err
	}
	set := time.Now().UnixNano()
	create := func(phase string) func(int, int) error {
		return func(worker, number int) error {
			name := fmt.Sprintf("pod-%x-%s-%d", set, phase, number)
			_, err := server.exchange(worker, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", jsonForm,
				[]byte(podOf(name, *node)), 201)
			return err
		}
	}
	if _, err := run(*warmUp, *inFlight, 0, create("warm")); err != nil {
		return err
	}
	measured, err := run(*count, *inFlight, shared.serverPID, create("hot"))
	if err != nil {
		return err
	}
	measured.tell("pods created")
	return nil
}
