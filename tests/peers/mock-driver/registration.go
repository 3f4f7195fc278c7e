package main

import (
	"context"

	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// registered answers a node that has found the driver.
type registered struct {
	registration.UnimplementedRegistrationServer
	name, endpoint string
}

func (r registered) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              r.name,
		Endpoint:          r.endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r registered) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	tell(line{"event": "registered", "registered": status.PluginRegistered, "error": status.Error})
	return &registration.RegistrationStatusResponse{}, nil
}
