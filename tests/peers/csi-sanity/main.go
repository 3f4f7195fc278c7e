// csi-sanity as its module gives it: the specs of the CSI specification, run against a driver that is there already. Its own command
// has more flags; these are what the tests need.
package main

import (
	"flag"
	"os"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
)

// Whether a spec failed: what ginkgo wants of a testing.T.
type outcome struct{ failed bool }

func (o *outcome) Fail() { o.failed = true }

func main() {
	config := sanity.NewTestConfig()
	flag.StringVar(&config.Address, "endpoint", "", "the driver's endpoint, unix:///path")
	flag.StringVar(&config.TargetPath, "target", "", "where volumes are published; made and removed")
	flag.StringVar(&config.StagingPath, "staging", "", "where volumes are staged; made and removed")
	flag.StringVar(&config.SecretsFile, "secrets", "", "YAML of the secrets of each call")
	flag.Parse()

	var specs outcome
	sanity.Test(&specs, config)
	if specs.failed {
		os.Exit(1)
	}
}
