package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The mark in a pod's annotations by which a watcher knows which change it sees.
const mark = `"bench/number":"`

// watches opens many watches of the namespace's pods, changes pods again and again, and counts what arrives: how much,
// whether in order, whether all of it.
func watches(arguments []string) error {
	flags, shared := flagsOf("watches", 10)
	watchers := flags.Int("watchers", 1000, "watches at once")
	changes := flags.Int("changes", 200, "changes of pods")
	inFlight := flags.Int("in-flight", 4, "changes at once, each of another pod")
	node := flags.String("node", "node-1", "the node that the pods are on")
	limit := flags.Duration("limit", time.Minute, "how long to wait for what is still to arrive")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	server, err := connect(shared)
	if err != nil {
		return err
	}
	path := "/api/v1/namespaces/" + namespace + "/pods"
	for number := range *inFlight {
		body := []byte(podOf(watched(number), *node))
		if _, err := server.exchange(0, http.MethodPost, path, jsonForm, body, 201, 409); err != nil {
			return err
		}
	}
	text, err := server.exchange(0, http.MethodGet, path, "", nil, 200)
	if err != nil {
		return err
	}
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	seen := &deliveries{wanted: int64(*watchers) * int64(*changes), all: make(chan struct{})}
	query := path + "?watch=true&resourceVersion=" + list.Metadata.ResourceVersion
	var opening sync.WaitGroup
	var refused atomic.Pointer[error]
	for number := range *watchers {
		opening.Go(func() {
			response, err := server.ask(ctx, number, http.MethodGet, query, "", nil)
			if err == nil && response.StatusCode != http.StatusOK {
				err = fmt.Errorf("a watch was answered with %s", response.Status)
			}
			if err != nil {
				refused.Store(&err)
				return
			}
			go seen.follow(response.Body)
		})
	}
	opening.Wait()
	if refused := refused.Load(); refused != nil {
		return *refused
	}
	cpu, err := processorTime(shared.serverPID)
	if err != nil {
		return err
	}
	began := time.Now()
	changed, err := run(*changes, *inFlight, 0, func(worker, number int) error {
		patch := `{"metadata":{"annotations":{` + mark + strconv.Itoa(number) + `"}}}`
		_, err := server.exchange(worker, http.MethodPatch, path+"/"+watched(worker), mergeForm, []byte(patch), 200)
		return err
	})
	if err != nil {
		return err
	}
	select {
	case <-seen.all:
	case <-time.After(*limit):
	}
	took := time.Since(began)
	spent, err := processorTime(shared.serverPID)
	if err != nil {
		return err
	}
	spent -= cpu
	count := seen.count.Load()
	changed.tell("changes")
	fmt.Printf("deliveries to %d watchers: %d in %.2f s, %.0f/s, lost %d, out of order %d",
		*watchers, count, took.Seconds(), float64(count)/took.Seconds(), seen.wanted-count, seen.disorder.Load())
	tellCPU(spent, int(count))
	fmt.Println()
	if count != seen.wanted || seen.disorder.Load() != 0 {
		return fmt.Errorf("wanted %d deliveries in order", seen.wanted)
	}
	return nil
}

// watched is the name of the pod that one of the changes at once is for.
func watched(number int) string {
	return fmt.Sprintf("watched-%d", number)
}

// What all watchers have seen.
type deliveries struct {
	wanted   int64
	count    atomic.Int64
	disorder atomic.Int64
	all      chan struct{}
}

// follow reads the events of one watch, a line each, without decoding them.
func (d *deliveries) follow(body io.ReadCloser) {
	defer body.Close()
	lines := bufio.NewReaderSize(body, 64<<10)
	last := int64(0)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return
		}
		if !bytes.Contains(line, []byte(mark)) {
			continue
		}
		version := after(line, []byte(`"resourceVersion":"`))
		if version <= last {
			d.disorder.Add(1)
		}
		last = version
		if d.count.Add(1) == d.wanted {
			close(d.all)
		}
	}
}

// after is the number that follows a text; 0 if there is none.
func after(line, text []byte) int64 {
	_, rest, _ := bytes.Cut(line, text)
	digits, _, _ := bytes.Cut(rest, []byte(`"`))
	number, _ := strconv.ParseInt(string(digits), 10, 64)
	return number
}
