"""What the chart's custom resources must look like, as far as the chart writes them: no field that their definitions do not
have, and none missing that they ask for."""

import jsonschema

TEXT = {"type": "string", "minLength": 1}
DURATION = {"type": "string", "pattern": r"^([0-9]+(h|m|s|ms))+$"}


def closed(properties, *required):
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


def several(items):
    return {"type": "array", "minItems": 1, "items": items}


MATCH = closed({"matchLabels": {"type": "object", "minProperties": 1}}, "matchLabels")
RULE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "alert": TEXT, "record": TEXT, "expr": TEXT, "for": DURATION, "keep_firing_for": DURATION,
        "labels": {"type": "object", "additionalProperties": TEXT},
        "annotations": {"type": "object", "additionalProperties": TEXT},
    },
    "required": ["expr"],
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
POLICIES = closed({
    "stabilizationWindowSeconds": {"type": "integer", "minimum": 0, "maximum": 3600},
    "selectPolicy": {"enum": ["Max", "Min", "Disabled"]},
    "policies": several(closed({"type": {"enum": ["Pods", "Percent"]}, "value": {"type": "integer", "minimum": 1},
                                "periodSeconds": {"type": "integer", "minimum": 1, "maximum": 1800}},
                               "type", "value", "periodSeconds")),
})
SPECS = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): closed({
        "selector": MATCH,
        "namespaceSelector": closed({"matchNames": several(TEXT)}),
        "endpoints": several(closed({
            "port": TEXT, "path": TEXT, "interval": DURATION, "scrapeTimeout": DURATION,
            "relabelings": several(closed({"targetLabel": TEXT, "replacement": TEXT})),
        }, "port")),
    }, "selector", "endpoints"),
    ("monitoring.coreos.com/v1", "PrometheusRule"): closed({
        "groups": several(closed({"name": TEXT, "interval": DURATION, "rules": several(RULE)}, "name", "rules")),
    }, "groups"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): closed({
        "parentRefs": several(closed({"name": TEXT, "namespace": TEXT, "sectionName": TEXT}, "name")),
        "hostnames": several(TEXT),
        "rules": several(closed({
            "matches": several(closed({"path": closed({"type": {"enum": ["Exact", "PathPrefix"]}, "value": TEXT})})),
            "timeouts": closed({"request": DURATION, "backendRequest": DURATION}),
            "backendRefs": several(closed({"name": TEXT, "port": {"type": "integer", "minimum": 1}}, "name", "port")),
        }, "backendRefs")),
    }, "parentRefs", "rules"),
    ("keda.sh/v1alpha1", "ScaledObject"): closed({
        "scaleTargetRef": closed({"apiVersion": TEXT, "kind": TEXT, "name": TEXT}, "name"),
        "pollingInterval": {"type": "integer", "minimum": 1},
        "minReplicaCount": {"type": "integer", "minimum": 0},
        "maxReplicaCount": {"type": "integer", "minimum": 1},
        "advanced": closed({"horizontalPodAutoscalerConfig": closed({
            "behavior": closed({"scaleUp": POLICIES, "scaleDown": POLICIES}),
        })}),
        "triggers": several(closed({
            "type": {"const": "prometheus"},
            "metricType": {"const": "AverageValue"},
            # All of them are strings there.
            "metadata": closed({"serverAddress": TEXT, "query": TEXT, "threshold": {"type": "string", "pattern": "^[0-9]+$"},
                                "ignoreNullValues": {"enum": ["true", "false"]}, "authModes": TEXT},
                               "serverAddress", "query", "threshold"),
            "authenticationRef": closed({"name": TEXT, "kind": TEXT}, "name"),
        }, "type", "metadata")),
    }, "scaleTargetRef", "triggers"),
}


def check(thing):
    spec = SPECS[thing["apiVersion"], thing["kind"]]
    jsonschema.validate(thing["spec"], spec)
