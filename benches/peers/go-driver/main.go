// The same driver as token-files, as a Go author would write it: grpc-go, the kubelet's own atomic writer, mount-utils' tmpfs by the
// system call. For benches/src/bin/republish.rs, which drives both.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-lib-utils/protosanitizer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/volume/util"
)

const tokensKey = "csi.storage.k8s.io/serviceAccount.tokens"

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	volumes sync.Map // The volumes that have an operation now.
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if _, busy := d.volumes.LoadOrStore(request.VolumeId, true); busy {
		return nil, status.Error(codes.Aborted, "an operation is in progress")
	}
	defer d.volumes.Delete(request.VolumeId)
	value, found := request.Secrets[tokensKey]
	if !found {
		value = request.VolumeContext[tokensKey]
	}
	var tokens map[string]struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(value), &tokens); err != nil {
		return nil, status.Error(codes.Unavailable, "the tokens cannot be read")
	}
	if err := mount(request.TargetPath); err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	files := make(map[string]util.FileProjection, len(tokens))
	for audience, entry := range tokens {
		files[audience] = util.FileProjection{Data: []byte(entry.Token), Mode: 0o600}
	}
	writer, err := util.NewAtomicWriter(request.TargetPath, "go-driver")
	if err == nil {
		err = writer.Write(files, nil)
	}
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func (d *driver) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := syscall.Unmount(request.TargetPath, 0); err != nil && err != syscall.EINVAL && err != syscall.ENOENT {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if err := os.RemoveAll(request.TargetPath); err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// mount makes the target a tmpfs, unless it is one: its device is another than its parent's then.
func mount(target string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	var inside, outside syscall.Stat_t
	if err := syscall.Stat(target, &inside); err != nil {
		return err
	}
	if err := syscall.Stat(filepath.Dir(target), &outside); err != nil {
		return err
	}
	if inside.Dev != outside.Dev {
		return nil
	}
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
	return syscall.Mount("go-driver", target, "tmpfs", flags, "size=4m,mode=0700")
}

func logged(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	klog.V(5).InfoS("called", "method", info.FullMethod, "request", protosanitizer.StripSecrets(request))
	answer, err := handler(ctx, request)
	if err != nil {
		klog.ErrorS(err, "failed", "method", info.FullMethod)
	} else {
		klog.V(2).InfoS("served", "method", info.FullMethod)
	}
	return answer, err
}

func main() {
	klog.InitFlags(nil)
	endpoint := flag.String("endpoint", "", "the socket to serve")
	flag.Parse()
	listener, err := net.Listen("unix", *endpoint)
	if err != nil {
		klog.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logged))
	csi.RegisterIdentityServer(server, &driver{})
	csi.RegisterNodeServer(server, &driver{})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		klog.Fatal(err)
	}
}
