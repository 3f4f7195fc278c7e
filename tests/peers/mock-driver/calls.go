package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const tokensKey = "csi.storage.k8s.io/serviceAccount.tokens"

// A line of standard output.
type line map[string]any

var output sync.Mutex

// tell writes a line.
func tell(told line) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		panic(err)
	}
}

// A message that may carry tokens.
type bearer interface {
	proto.Message
	GetSecrets() map[string]string
	GetVolumeContext() map[string]string
}

// told tells of each call how it was made and how it ended. Of tokens it tells the claims, by place and audience, and nothing else.
func told(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, request)
	message := proto.Clone(request.(proto.Message))
	tokens := map[string]any{}
	if message, bears := message.(bearer); bears {
		for place, entries := range map[string]map[string]string{
			"secrets": message.GetSecrets(), "volume_context": message.GetVolumeContext(),
		} {
			if value, found := entries[tokensKey]; found {
				delete(entries, tokensKey)
				tokens[place] = claims(value)
			}
		}
	}
	shown, marshalled := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if marshalled != nil {
		panic(marshalled)
	}
	tell(line{
		"event":   "called",
		"method":  path.Base(info.FullMethod),
		"request": json.RawMessage(shown),
		"tokens":  tokens,
		"code":    status.Code(err).String(),
		"message": status.Convert(err).Message(),
	})
	return answer, err
}

// claims reads the claims of tokens, by audience.
func claims(value string) map[string]any {
	var entries map[string]struct {
		Token               string `json:"token"`
		ExpirationTimestamp string `json:"expirationTimestamp"`
	}
	if json.Unmarshal([]byte(value), &entries) != nil {
		return nil
	}
	found := map[string]any{}
	for audience, entry := range entries {
		parts := strings.Split(entry.Token, ".")
		if len(parts) != 3 {
			found[audience] = nil
			continue
		}
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || !json.Valid(payload) {
			found[audience] = nil
			continue
		}
		found[audience] = line{"claims": json.RawMessage(payload), "expires": entry.ExpirationTimestamp}
	}
	return found
}
