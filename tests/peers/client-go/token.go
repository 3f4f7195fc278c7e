package main

import (
	"context"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// token asks for the token of a service account over protobuf, as a kubelet does, has it reviewed, and tells both answers
// without the token.
func token(ctx context.Context, config *rest.Config, arguments []string) error {
	flags := flags("token")
	namespace := flags.String("namespace", "default", "where the account is")
	account := flags.String("account", "default", "the account")
	audiences := flags.String("audiences", "", "for whom, divided by commas")
	seconds := flags.Int64("seconds", 3600, "for how long")
	pod := flags.String("pod", "", "bind it to this pod")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(witnessed(protobuf(config)))
	if err != nil {
		return err
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds}}
	if *audiences != "" {
		request.Spec.Audiences = strings.Split(*audiences, ",")
	}
	if *pod != "" {
		found, err := client.CoreV1().Pods(*namespace).Get(ctx, *pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: found.Name, UID: types.UID(found.UID),
		}
	}
	granted, err := client.CoreV1().ServiceAccounts(*namespace).CreateToken(ctx, *account, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	review, err := client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: granted.Status.Token, Audiences: request.Spec.Audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	granted.Status.Token = ""
	review.Spec.Token = ""
	tell(line{"event": "granted", "object": granted})
	tell(line{"event": "reviewed", "object": review})
	return nil
}
