package main

import (
	"context"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// apply applies an object on the server's side with the dynamic client, and tells what came of it.
func apply(ctx context.Context, config *rest.Config, arguments []string) error {
	flags := flags("apply")
	group := flags.String("group", "", "the group of the resource")
	version := flags.String("version", "v1", "its version")
	resource := flags.String("resource", "configmaps", "its name")
	manager := flags.String("manager", "applier", "who applies")
	isForced := flags.Bool("force", false, "take the fields of others")
	text := flags.String("object", "", "the object, JSON")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(*text), &object.Object); err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	var target dynamic.ResourceInterface = client.Resource(schema.GroupVersionResource{
		Group: *group, Version: *version, Resource: *resource,
	})
	if namespace := object.GetNamespace(); namespace != "" {
		target = target.(dynamic.NamespaceableResourceInterface).Namespace(namespace)
	}
	applied, err := target.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: *manager, Force: *isForced})
	if err != nil {
		return err
	}
	tell(line{"event": "applied", "object": applied})
	return nil
}
