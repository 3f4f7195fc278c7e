package main

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// elect takes part in the election of a leader: tells whom it sees leading, when it leads itself and when no more. SIGTERM
// makes it give the lease back.
func elect(ctx context.Context, config *rest.Config, arguments []string) error {
	flags := flags("elect")
	namespace := flags.String("namespace", "default", "where the Lease is")
	name := flags.String("name", "leader", "the name of the Lease")
	identity := flags.String("identity", "", "who takes part")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(protobuf(config))
	if err != nil {
		return err
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: *namespace, Name: *name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: *identity},
		},
		// Short, so that a test sees a lease end.
		LeaseDuration:   3 * time.Second,
		RenewDeadline:   2 * time.Second,
		RetryPeriod:     200 * time.Millisecond,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { tell(line{"event": "leads"}) },
			OnStoppedLeading: func() { tell(line{"event": "leads no more"}) },
			OnNewLeader:      func(leader string) { tell(line{"event": "leader", "identity": leader}) },
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	return nil
}
