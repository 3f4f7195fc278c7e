// The client of the comparisons with kube-apiserver: the same Go program drives both servers with the same requests, and
// prints how many a second there were and how long they took. Bodies are made once and answers are not decoded, so that the
// figures are the servers'.
package main

import (
	"flag"
	"fmt"
	"os"
)

const usage = `usage: go-client COMMAND [FLAGS]

  prepare   make what the others need: a namespace, an account, a driver, a node and its pod
  tokens    ask for tokens bound to that pod, as that node
  pods      create pods
  watches   watch pods many times over, change some, and count what arrives

go-client COMMAND -h shows the flags.
`

// What the commands have in common.
type common struct {
	kubeconfig  string
	connections int
	serverPID   int
}

func main() {
	commands := map[string]func([]string) error{
		"prepare": prepare,
		"tokens":  tokens,
		"pods":    pods,
		"watches": watches,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "go-client %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func flagsOf(name string, connections int) (*flag.FlagSet, *common) {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	shared := &common{}
	flags.StringVar(&shared.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "whom to ask, and as whom")
	flags.IntVar(&shared.connections, "connections", connections, "HTTP/2 connections that the requests share")
	flags.IntVar(&shared.serverPID, "server-pid", 0, "tell the processor time of this process too")
	return flags, shared
}
