package main

import (
	"context"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// inform tells what a shared informer of a resource sees: its requests, that it has synchronized, and each object that was
// added, changed or deleted.
func inform(ctx context.Context, config *rest.Config, arguments []string) error {
	flags := flags("inform")
	group := flags.String("group", "", "the group of the resource")
	version := flags.String("version", "v1", "its version")
	resource := flags.String("resource", "configmaps", "its name")
	namespace := flags.String("namespace", metav1.NamespaceAll, "only this namespace")
	labels := flags.String("labels", "", "only objects with these labels")
	isJSON := flags.Bool("json", false, "speak JSON, not protobuf")
	isListThenWatch := flags.Bool("list-then-watch", false, "LIST, then WATCH, as before client-go 0.35")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	// Client-go takes its feature gates from the environment, at their first use.
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", fmt.Sprint(!*isListThenWatch)); err != nil {
		return err
	}
	config = witnessed(config)
	if *isJSON {
		config.ContentType = "application/json"
		config.AcceptContentTypes = config.ContentType
	} else {
		config = protobuf(config)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(*namespace),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = *labels }))
	informer, err := factory.ForResource(schema.GroupVersionResource{Group: *group, Version: *version, Resource: *resource})
	if err != nil {
		return err
	}
	_, err = informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { tellObject("added", object) },
		UpdateFunc: func(before, after any) {
			// After a new list, informers report what has not changed too.
			if before.(metav1.Object).GetResourceVersion() != after.(metav1.Object).GetResourceVersion() {
				tellObject("changed", after)
			}
		},
		DeleteFunc: func(object any) {
			if unknown, isUnknown := object.(cache.DeletedFinalStateUnknown); isUnknown {
				object = unknown.Obj
			}
			tellObject("deleted", object)
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.Informer().HasSynced) {
		return ctx.Err()
	}
	tell(line{"event": "synchronized", "count": len(informer.Informer().GetStore().List())})
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

func tellObject(event string, object any) {
	tell(line{"event": event, "name": object.(metav1.Object).GetName(), "object": object})
}
