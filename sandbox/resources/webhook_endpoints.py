"""/v1/webhook_endpoints"""

from typing import Any

from stripe.params import (
    WebhookEndpointCreateParams,
    WebhookEndpointDeleteParams,
    WebhookEndpointListParams,
    WebhookEndpointRetrieveParams,
    WebhookEndpointUpdateParams,
)

from sandbox import lists
from sandbox.ids import random_text
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats


@route("POST /v1/webhook_endpoints", WebhookEndpointCreateParams, "api_version description enabled_events metadata url")
def create(world: World, params: dict[str, Any]) -> dict[str, Any]:
    """The only answer that holds the secret. Events of another API version name it, but have today's shapes."""
    endpoint = world.create(
        "webhook_endpoint",
        "we_",
        api_version=params.get("api_version"),
        description=params.get("description"),
        enabled_events=params["enabled_events"],
        metadata=merge_metadata({}, params.get("metadata")),
        secret="whsec_" + random_text(32),
        status="enabled",
        url=params["url"],
    )
    return {**world.wire(endpoint), "secret": endpoint["secret"]}


@route("GET /v1/webhook_endpoints/<id>", WebhookEndpointRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("webhook_endpoint", id)


@route(
    "POST /v1/webhook_endpoints/<id>",
    WebhookEndpointUpdateParams,
    "description disabled enabled_events metadata url",
)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    endpoint = world.get("webhook_endpoint", id)
    changes: dict[str, Any] = {name: params[name] for name in ("description", "enabled_events") if name in params}
    if "url" in params:
        changes["url"] = params["url"]
    if "disabled" in params:
        changes["status"] = "disabled" if params["disabled"] else "enabled"
    if "metadata" in params:
        changes["metadata"] = merge_metadata(endpoint["metadata"], params["metadata"])
    world.update(endpoint, **changes)
    return endpoint


@route("GET /v1/webhook_endpoints", WebhookEndpointListParams, "ending_before limit starting_after")
def list_webhook_endpoints(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, "webhook_endpoint", params)


@route("DELETE /v1/webhook_endpoints/<id>", WebhookEndpointDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    endpoint = world.get("webhook_endpoint", id)
    endpoint["deleted"] = True
    world.save(endpoint)
    return endpoint


@formats("webhook_endpoint")
def format_webhook_endpoint(world: World, endpoint: Document) -> dict[str, Any]:
    return {
        "id": endpoint["id"],
        "object": "webhook_endpoint",
        "api_version": endpoint["api_version"],
        "application": None,
        "created": endpoint["created"],
        "description": endpoint["description"],
        "enabled_events": endpoint["enabled_events"],
        "livemode": False,
        "metadata": endpoint["metadata"],
        "status": endpoint["status"],
        "url": endpoint["url"],
    }
