"""Programs over the Python client for the tests, as scripts and operators in Python use it. Each tells what it saw as JSON
lines on standard output; judging it is the tests' part.

    client.py watch [--namespace NAME] [--seconds N]
    client.py write [--namespace NAME]

The server is that of KUBECONFIG.
"""

import argparse
import json
import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException


def tell(event, **more):
    """Writes a line."""
    print(json.dumps({"event": event, **more}), flush=True)


def plain(answer):
    """An object of the client as the JSON that came over the wire."""
    return client.ApiClient().sanitize_for_serialization(answer)


def watch_config_maps(namespace, seconds):
    """Tells what is there, then each event until the server ends the watch."""
    core = client.CoreV1Api()
    listed = core.list_namespaced_config_map(namespace)
    tell("listed", version=listed.metadata.resource_version, names=[item.metadata.name for item in listed.items])
    stream = watch.Watch().stream(
        core.list_namespaced_config_map,
        namespace,
        resource_version=listed.metadata.resource_version,
        timeout_seconds=seconds,
        allow_watch_bookmarks=True,
    )
    for event in stream:
        tell(event["type"], name=event["object"].metadata.name, data=event["object"].data)
    tell("ended")


def write(namespace):
    """Takes a driver and an account through their lives, and asks for a token."""
    core = client.CoreV1Api()
    storage = client.StorageV1Api()
    driver = client.V1CSIDriver(
        metadata=client.V1ObjectMeta(name="python.csi.example"),
        spec=client.V1CSIDriverSpec(
            token_requests=[client.StorageV1TokenRequest(audience="vault")], requires_republish=True
        ),
    )
    tell("created", object=plain(storage.create_csi_driver(driver)))
    try:
        storage.create_csi_driver(driver)
    except ApiException as error:
        tell("refused", error=json.loads(error.body))
    patch = {"spec": {"serviceAccountTokenInSecrets": True}}
    tell("patched", object=plain(storage.patch_csi_driver("python.csi.example", patch)))
    tell("listed", object=plain(storage.list_csi_driver()))
    account = client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="python"))
    tell("created", object=plain(core.create_namespaced_service_account(namespace, account)))
    request = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=["vault"], expiration_seconds=3600)
    )
    granted = core.create_namespaced_service_account_token("python", namespace, request)
    review = client.V1TokenReview(spec=client.V1TokenReviewSpec(token=granted.status.token, audiences=["vault"]))
    tell("reviewed", status=plain(client.AuthenticationV1Api().create_token_review(review).status))
    storage.delete_csi_driver("python.csi.example")
    try:
        storage.read_csi_driver("python.csi.example")
    except ApiException as error:
        tell("gone", error=json.loads(error.body))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["watch", "write"])
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    config.load_kube_config()
    if arguments.command == "watch":
        watch_config_maps(arguments.namespace, arguments.seconds)
    else:
        write(arguments.namespace)


if __name__ == "__main__":
    sys.exit(main())
