package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// client is what every typed client of client-go has, of which write needs this much.
type client[Object runtime.Object, List runtime.Object] interface {
	Create(context.Context, Object, metav1.CreateOptions) (Object, error)
	Get(context.Context, string, metav1.GetOptions) (Object, error)
	Update(context.Context, Object, metav1.UpdateOptions) (Object, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (Object, error)
	List(context.Context, metav1.ListOptions) (List, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

// write takes a driver, an account and a pod through their lives with the typed clients over protobuf, and tells each answer.
func write(ctx context.Context, config *rest.Config, arguments []string) error {
	flags := flags("write")
	namespace := flags.String("namespace", "default", "where to write")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(witnessed(protobuf(config)))
	if err != nil {
		return err
	}
	isTrue := true
	grace := int64(0)
	for _, step := range []func() error{
		func() error {
			return live(ctx, clients.StorageV1().CSIDrivers(), &storagev1.CSIDriver{
				ObjectMeta: metav1.ObjectMeta{Name: "written.csi.example"},
				Spec: storagev1.CSIDriverSpec{
					TokenRequests:                []storagev1.TokenRequest{{Audience: "vault"}},
					RequiresRepublish:            &isTrue,
					ServiceAccountTokenInSecrets: &isTrue,
				},
			}, metav1.DeleteOptions{})
		},
		func() error {
			return live(ctx, clients.CoreV1().ServiceAccounts(*namespace), &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Name: "written"},
			}, metav1.DeleteOptions{})
		},
		func() error {
			return live(ctx, clients.CoreV1().Pods(*namespace), &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "written"},
				Spec: corev1.PodSpec{
					AutomountServiceAccountToken: new(bool),
					Containers:                   []corev1.Container{{Name: "main", Image: "image.example/main"}},
				},
			}, metav1.DeleteOptions{GracePeriodSeconds: &grace})
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// live is one object's life: it is created, read, updated, patched, listed, deleted, and looked for in vain.
func live[Object interface {
	runtime.Object
	metav1.Object
}, List runtime.Object](ctx context.Context, client client[Object, List], object Object, options metav1.DeleteOptions) error {
	name := object.GetName()
	created, err := client.Create(ctx, object, metav1.CreateOptions{FieldManager: "written"})
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	tell(line{"event": "created", "object": created})
	got, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get %s: %w", name, err)
	}
	tell(line{"event": "got", "object": got})
	got.SetAnnotations(map[string]string{"example/by": "update"})
	updated, err := client.Update(ctx, got, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("update %s: %w", name, err)
	}
	tell(line{"event": "updated", "object": updated})
	_, err = client.Update(ctx, created, metav1.UpdateOptions{})
	tell(line{"event": "refused", "error": describe(err)})
	patch := []byte(`{"metadata":{"labels":{"example/by":"patch"}}}`)
	patched, err := client.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("patch %s: %w", name, err)
	}
	tell(line{"event": "patched", "object": patched})
	listed, err := client.List(ctx, metav1.ListOptions{LabelSelector: "example/by=patch"})
	if err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	tell(line{"event": "listed", "object": listed})
	if err := client.Delete(ctx, name, options); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	_, err = client.Get(ctx, name, metav1.GetOptions{})
	tell(line{"event": "gone", "error": describe(err)})
	return nil
}
