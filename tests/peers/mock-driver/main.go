// The CSI driver that the storage tests of Kubernetes run, those of service account tokens among them
// (k8s.io/kubernetes/test/e2e/storage/drivers/csi-test), as a program: on a socket of its own, registered with a node as
// node-driver-registrar registers drivers. It stages and publishes three volumes, `1` to `3`, and inline volumes. What it
// is called with, it tells.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	mock "k8s.io/kubernetes/test/e2e/storage/drivers/csi-test/mock/service"
)

func main() {
	name := flag.String("name", "mock.csi.k8s.io", "the driver's name")
	endpoint := flag.String("endpoint", "", "the driver's socket")
	registry := flag.String("registration-dir", "", "where the node looks for drivers")
	mounts := flag.Bool("mounts", false, "mount a tmpfs for each persistent volume, which needs root")
	flag.Parse()

	config := mock.Config{DriverName: *name, AttachLimit: 7}
	if *mounts {
		config.IO = mounted{}
	}
	service := mock.New(config)
	driver := grpc.NewServer(grpc.UnaryInterceptor(told))
	csi.RegisterIdentityServer(driver, service)
	csi.RegisterNodeServer(driver, service)
	go serve(driver, *endpoint)

	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, registered{name: *name, endpoint: *endpoint})
	serve(registrar, filepath.Join(*registry, *name+"-reg.sock"))
}

// serve serves at a path, in the place of what a killed run left there.
func serve(server *grpc.Server, path string) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}
