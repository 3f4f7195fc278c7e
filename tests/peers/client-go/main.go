// Programs over client-go for the tests: each subcommand does what controllers and drivers do with that library, and tells
// what it saw as JSON lines on standard output. Judging it is the tests' part.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// A program runs until it is done or the context ends, which SIGTERM does.
type program func(ctx context.Context, config *rest.Config, arguments []string) error

var programs = map[string]program{
	"inform": inform,
	"elect":  elect,
	"write":  write,
	"token":  token,
	"apply":  apply,
}

const usage = `usage: client-go COMMAND [FLAGS]

  inform   watch a resource with a shared informer and tell each event
  elect    take part in an election of a leader by a Lease
  write    create, read, change and delete objects with the typed clients
  token    ask for a token, and have it reviewed
  apply    apply objects on the server's side with the dynamic client

The server is that of KUBECONFIG.
`

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err == nil {
		err = programs[os.Args[1]](ctx, config, os.Args[2:])
	}
	if err != nil {
		tell(line{"event": "error", "error": describe(err)})
		os.Exit(1)
	}
}

// flags makes the flag set of a program; a wrong flag ends the process.
func flags(name string) *flag.FlagSet {
	return flag.NewFlagSet(name, flag.ExitOnError)
}
