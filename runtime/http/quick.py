"""A shorter way for a request to its endpoint than the framework's, where both do the same.

The framework finds out anew at each request what an endpoint needs; for a cancellation that takes longer than the
endpoint itself. Here it is found out once, when the route is made. A route that needs more than a path, a JSON body and
dependencies on the request takes the framework's way, and so does each invalid request: its errors are the framework's.
"""

import json
from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from typing import Any, cast

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.params import Body, Form
from fastapi.routing import APIRoute

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
JSON = "application/json"


def shortened(route: APIRoute, framework: Handler) -> Handler:
    """The shorter way of this route, which falls back on the framework's; that one alone where there is no shorter."""
    needs, answer = route.dependant, route.response_field
    if answer is None or not _is_plain(route):
        return framework
    endpoint, status = route.endpoint, route.status_code or 200
    path = [(one.name, one.alias, one.validate) for one in needs.path_params]
    body = needs.body_params[0] if needs.body_params else None
    asked = [(one.name or "", cast(Any, one.call)) for one in needs.dependencies]

    async def handle(request: Request) -> Response:
        values: dict[str, Any] = {needs.request_param_name: request} if needs.request_param_name else {}
        valid = True
        for name, alias, validate in path:
            values[name], errors = validate(request.path_params[alias])
            valid = valid and not errors
        if body is not None:
            sent = await request.body()
            if sent and request.headers.get("content-type") == JSON:
                try:
                    values[body.name], errors = body.validate(json.loads(sent))
                except (ValueError, RecursionError):
                    valid = False
                valid = valid and not errors
            elif sent or body.field_info.is_required():
                valid = False
        if not valid:
            return await framework(request)
        for name, find in asked:
            values[name] = await find(request)
        result = await endpoint(**values)
        if not isinstance(result, Response):
            result, errors = answer.validate(result)
            if errors:
                raise TypeError(f"{route.path}: its answer is invalid: {errors}")
            result = Response(answer.serialize_json(result), status, media_type=JSON)
        return result

    return handle


def _is_plain(route: APIRoute) -> bool:
    needs = route.dependant
    body = [one.field_info for one in needs.body_params]
    left_out = route.response_model_include, route.response_model_exclude
    left_out_by_value = (
        route.response_model_exclude_unset or route.response_model_exclude_defaults or route.response_model_exclude_none
    )
    return (
        isinstance(route.response_class, DefaultPlaceholder)
        and iscoroutinefunction(route.endpoint)
        and not (needs.query_params or needs.header_params or needs.cookie_params)
        and not (needs.response_param_name or needs.background_tasks_param_name or needs.http_connection_param_name)
        and not (any(left_out) or left_out_by_value)
        and len(body) < 2
        and not any(isinstance(one, Form) or (isinstance(one, Body) and one.embed) for one in body)
        and all(_asks_the_request_only(one) for one in needs.dependencies)
    )


def _asks_the_request_only(needs: Dependant) -> bool:
    """Whether it is a coroutine of nothing but the request."""
    call = needs.call
    asks = needs.path_params, needs.query_params, needs.header_params, needs.cookie_params, needs.body_params
    return (
        needs.name is not None
        and needs.request_param_name == "request"
        and not any((*asks, needs.dependencies, needs.response_param_name, needs.security_scopes_param_name))
        and (iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__))
    )
